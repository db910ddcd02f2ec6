package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	paceEvery   = 50 * time.Millisecond
	pacePackets = 10 // of as many streams
)

// yardstick is how fast the machine is while something is measured: what it takes to
// decode a little of what the floor is made of, beside it. On shared machines it
// wanders by a fifth within a minute, and ratios of what was measured a minute
// apart wander with it.
type yardstick struct {
	done chan struct{}
	wg   sync.WaitGroup
	used atomic.Int64 // ns of CPU
	all  []float64    // µs per stream-second
}

func startYardstick(m *meter) *yardstick {
	p := &yardstick{done: make(chan struct{})}
	p.wg.Go(func() { p.run(m) })
	return p
}

func (p *yardstick) run(m *meter) {
	runtime.LockOSThread() // CPU time is the thread's
	defer runtime.UnlockOSThread()
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for next := 0; ; next = (next + pacePackets) % len(m.decoders) {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		before := thread()
		for i := next; i < next+pacePackets; i++ {
			m.decoders[i%len(m.decoders)].next(m.pcm)
		}
		used := thread() - before
		p.used.Add(int64(used))
		p.all = append(p.all, float64(used.Nanoseconds())/1e3/pacePackets*50)
	}
}

// spent is the CPU time that it took itself.
func (p *yardstick) spent() time.Duration { return time.Duration(p.used.Load()) }

// stop is the median in µs per stream-second.
func (p *yardstick) stop() float64 {
	close(p.done)
	p.wg.Wait()
	return median(p.all)
}

// thread is the CPU time of this thread.
func thread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic("bench: " + err.Error()) // it has no other failures than a wrong argument
	}
	return time.Duration(t.Nano())
}

// evenOut tells all results at the run's median pace.
func evenOut(results []result) {
	var paces []float64
	for _, r := range results {
		paces = append(paces, r.pace)
	}
	m := median(paces)
	for i := range results {
		results[i].us *= over(m, results[i].pace)
	}
}
