package native

import "testing"

// FuzzDeletion: whatever a server gives as a reason is worded or left out.
func FuzzDeletion(f *testing.F) {
	f.Add(`{"stream_delete_reason":[{"code":1}]}`)
	f.Add(`{"stream_delete_reason":[]}`)
	f.Add(`nonsense`)
	f.Fuzz(func(t *testing.T, s string) {
		if r := deletion(s); len(r) > 40 {
			t.Fatalf("reason %q", r)
		}
	})
}
