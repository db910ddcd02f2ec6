package main

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// yardstick decodes a little of what the floor is made of beside what is measured.
// The pace of a shared machine wanders by a fifth within a minute; over what was
// decoded meanwhile, figures that were taken a minute apart can be compared. It
// also takes out what a load does to caches, its own too: that is why figures
// are told as they are, and over the yardstick only where two loads of one size
// are compared.
type yardstick struct {
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	used    time.Duration // CPU of its thread
	packets int
}

const (
	paceEvery   = 80 * time.Millisecond // on whose multiples a recorder is awake anyway
	pacePackets = 16                    // of as many streams
)

func startYardstick(m *meter) *yardstick {
	y := &yardstick{done: make(chan struct{})}
	y.wg.Go(func() { y.run(m) })
	return y
}

func (y *yardstick) run(m *meter) {
	runtime.LockOSThread() // CPU time is the thread's
	defer runtime.UnlockOSThread()
	for next := 0; ; next += pacePackets {
		select {
		case <-y.done:
			return
		case <-time.After(paceEvery - time.Duration(time.Now().UnixNano())%paceEvery):
		}
		before := thread()
		for i := range pacePackets {
			m.decoders[(next+i)%len(m.decoders)].next(m.pcm)
		}
		y.mu.Lock()
		y.used += thread() - before
		y.packets += pacePackets
		y.mu.Unlock()
	}
}

// spent is the CPU time that it took so far, for so many packets.
func (y *yardstick) spent() (used time.Duration, packets int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.used, y.packets
}

func (y *yardstick) stop() {
	close(y.done)
	y.wg.Wait()
}

// thread is the CPU time of this thread.
func thread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic("bench: " + err.Error()) // it has no other failures than a wrong argument
	}
	return time.Duration(t.Nano())
}
