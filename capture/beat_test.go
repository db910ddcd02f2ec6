package capture

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBeat: whoever waits for a beat, from whenever on, wakes with the others,
// soon, and not before the time asked for.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beat{time.Now()}
		for i := range 1000 {
			time.Sleep(time.Duration(i) * 317 * time.Microsecond)
			wait := time.Duration(i%7) * 90 * time.Millisecond
			got := b.after(wait)
			if got < wait || got >= wait+beatEvery || (time.Since(b.start)+got)%beatEvery != 0 {
				t.Fatalf("%v after the start, a beat that is %v away is waited for %v", time.Since(b.start), wait, got)
			}
		}
	})
}
