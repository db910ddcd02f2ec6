package capture

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLane: captures render one after another; who hangs in the lane holds others
// up for a moment only, and takes nobody's place with it when it comes back.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane()
		var leaves []func()
		for range cap(l) {
			leaves = append(leaves, l.enter())
		}
		start := time.Now()
		beside := l.enter()
		if took := time.Since(start); took != laneWait {
			t.Errorf("a full lane was waited for %v", took)
		}
		go func() {
			time.Sleep(laneWait / 4)
			leaves[0]()
		}()
		start = time.Now()
		last := l.enter()
		if took := time.Since(start); took != laneWait/4 {
			t.Errorf("a place that was free after %v was waited for %v", laneWait/4, took)
		}
		beside()
		for _, leave := range append(leaves[1:], last) {
			leave()
		}
		if len(l) != 0 {
			t.Errorf("%d in the lane when all have left", len(l))
		}
	})
}
