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
		for i := range 1000 {
			time.Sleep(time.Duration(i) * 317 * time.Microsecond)
			wait := time.Duration(i%7) * 90 * time.Millisecond
			got := untilBeat(wait)
			if got < wait || got >= wait+beatEvery || time.Duration(time.Now().Add(got).UnixNano())%beatEvery != beatLag {
				t.Fatalf("at %v, a beat that is %v away is waited for %v", time.Now(), wait, got)
			}
		}
	})
}
