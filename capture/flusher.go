package capture

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// writeEvery is how often records are passed to the operating system: it
	// is what a kill can cost.
	writeEvery = 200 * time.Millisecond

	// syncEvery is how often they are made durable: with the time of the
	// fsyncs it is what a power cut can cost.
	syncEvery = 3 * writeEvery
)

// flusher saves the records of all captures on one goroutine, all of them at
// once: the disk is given all that it has to take before the first fsync waits,
// which then commits what the file system has to note of the others too. A
// journal to which nothing was added costs nothing.
type flusher struct {
	mu       sync.Mutex
	captures []*Capture
	past     int64         // fsyncs of captures that ended
	last     time.Duration // that the last flush took
}

func (f *flusher) add(c *Capture) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.captures = append(f.captures, c)
}

func (f *flusher) remove(c *Capture) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.past += c.journal.Fsyncs()
	f.captures = slices.DeleteFunc(slices.Clone(f.captures), func(o *Capture) bool { return o == c })
}

func (f *flusher) all() []*Capture {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.captures
}

// flushed counts the fsyncs so far, and says how long the last flush took.
func (f *flusher) flushed() (fsyncs int64, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fsyncs = f.past
	for _, c := range f.captures {
		fsyncs += c.journal.Fsyncs()
	}
	return fsyncs, f.last
}

// run flushes until ctx ends. What comes after that is for whoever ends the
// captures.
func (f *flusher) run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	synced := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		start := time.Now()
		if start.Sub(synced) < syncEvery-writeEvery/2 {
			f.flush((*keeper).hand, (*keeper).write)
			continue
		}
		f.flush((*keeper).hand, (*keeper).write, (*keeper).start, (*keeper).sync)
		synced = start
		f.mu.Lock()
		f.last = time.Since(start)
		f.mu.Unlock()
	}
}

// flush does one step after the other, each with all captures.
func (f *flusher) flush(steps ...func(*keeper)) {
	all := f.all()
	for _, step := range steps {
		for _, c := range all {
			c.records(step)
		}
	}
}

// records does something with the records of one capture and keeps a panic to
// it.
func (c *Capture) records(do func(*keeper)) {
	defer c.guard("journal")
	do(c.keeper)
}

// Flushed counts the fsyncs of all journals since the manager runs, and says
// how long the last flush of all of them took.
func (m *Manager) Flushed() (fsyncs int64, took time.Duration) { return m.config.flusher.flushed() }
