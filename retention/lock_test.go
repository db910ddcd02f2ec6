package retention_test

import (
	"sync"
	"testing"

	"mixdown/storage"
)

// TestLateObjectIsLocked: what comes while the locks of a recording are being
// confirmed, as a time stamp may, is locked before they count as confirmed.
func TestLateObjectIsLocked(t *testing.T) {
	b := newBed(t, memoryDir(t), "main")
	r := b.record("c1", "desk", "legal", 0, "main")
	b.stop("c1")
	key := r.Base + "/zz-stamp.tsr" // behind the others in the list
	var once sync.Once
	b.extends = func(string, string) {
		once.Do(func() {
			b.store("main", key, true)
			b.keeper.Uploaded("main", key, nil)
		})
	}
	for range 4 {
		b.keeper.Round(t.Context())
	}
	l, err := b.buckets["main"].(storage.Locker).Lock(t.Context(), key)
	if err != nil || l.Mode == storage.Unlocked {
		t.Errorf("lock %v, %v", l, err)
	}
}
