package capture

import (
	"runtime"
	"time"
)

// lane is where captures render their batches, one after the other, as many at a
// time as are half of the processors: what comes from the network, and who listens
// now, finds the others free, but for the help that a large room's mixer takes.
// It is a courtesy and no lock. A capture that has waited for laneWait renders
// beside the others, for their load or their disk is no trouble of its own. What
// is made anew after trouble goes beside it.
type lane chan struct{}

const laneWait = 100 * time.Millisecond

func newLane() lane { return make(lane, max(1, runtime.GOMAXPROCS(0)/2)) }

// enter waits for a place and says how to leave it.
func (l lane) enter() (leave func()) {
	select {
	case l <- struct{}{}:
		return l.leave
	default:
	}
	wait := time.NewTimer(laneWait)
	defer wait.Stop()
	select {
	case l <- struct{}{}:
		return l.leave
	case <-wait.C:
		return func() {}
	}
}

func (l lane) leave() { <-l }

// breath is how long rendering goes on before others may use its processor. After
// 10 ms the runtime would take it away, and rendering is nearly always in
// libopus then: that costs two changes of threads and a monitor that for some
// milliseconds looks every 20 µs.
const breath = 5 * time.Millisecond

// breather lets others have the processor when a breath is over, and at first.
type breather struct{ last time.Time }

func (b *breather) breathe() {
	if time.Since(b.last) < breath {
		return
	}
	runtime.Gosched()
	b.last = time.Now()
}
