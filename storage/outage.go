package storage

import (
	"errors"
	"time"
)

// trouble is what an item has seen. Spool.mu guards it.
type trouble struct {
	failures int
	tried    time.Time // last attempt
	until    time.Time // not before this
	ours     int       // of the failures, those in a row in which the spool's file could not be read
}

const (
	// stallAfter is how long an upload may stand still before it is held to
	// hang: the next one then starts beside it.
	stallAfter = 5 * time.Second
	// maxFlights bounds the uploads to one bucket, hanging ones included.
	maxFlights = 16
	// downAfter is how many failures in a row make a bucket one that is down.
	downAfter = 3
)

// outage is what a worker makes of failures. After any failure the bucket is
// left alone for a moment. One file that fails again and again is that file's
// trouble: it waits, the others go on. When different files fail in a row it
// is the bucket: all wait, and after each wait the file that was tried longest
// ago is tried, so that one bad file cannot hide that the bucket is back.
type outage struct {
	row    int   // failures since the last success
	stalls int   // uploads held to hang since then
	first  *item // that failed in this row
	all    bool  // different ones did
	down   bool  // and somebody was told so
	backed bool  // files of it went to the backup
	until  time.Time
}

// change is what an attempt changed about a bucket, or its file.
type change int

const (
	unchanged change = iota
	wentDown
	cameUp
	unreadable
)

// pick chooses the file to upload now. If there is none, wait is how long to
// sleep; 0 means until there is a new one or an upload has ended.
//
// A bucket that takes one upload well is given more at once, up to
// Options.Parallel; after a failure it is one again. An upload that hangs
// counts as none, so that a bucket that accepts and never answers holds up
// nothing but what it was given.
func (w *worker) pick(now time.Time) (f *flight, wait time.Duration) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	moving, stall := w.inFlight(now)
	switch {
	case len(w.flights) >= maxFlights:
		return nil, stall
	case moving >= w.width:
		return nil, stall
	case w.outage.until.After(now):
		return nil, w.outage.until.Sub(now)
	}
	it, wait := w.choose(now)
	if it == nil {
		return nil, wait
	}
	f = &flight{it: it}
	f.move()
	w.flights[it.name] = f
	return f, 0
}

// inFlight counts the uploads that get on, and says when the first of them
// will be held to hang. Each that hangs is a failure of the bucket, though not
// one of the file yet.
func (w *worker) inFlight(now time.Time) (moving int, stall time.Duration) {
	for _, f := range w.flights {
		left := time.Unix(0, f.moved.Load()).Add(stallAfter).Sub(now)
		if left > 0 {
			f.stalled = false
			moving++
			if stall == 0 || left < stall {
				stall = left
			}
			continue
		}
		if !f.stalled {
			f.stalled = true
			w.width = 1
			w.outage.stalls++
			if until := now.Add(w.options.Backoff(1)); until.After(w.outage.until) {
				w.outage.until = until
			}
		}
	}
	return moving, stall
}

func (w *worker) choose(now time.Time) (it *item, wait time.Duration) {
	q := w.spool.queueLocked(w.name)
	q.each(func(c *item) bool {
		switch left := c.trouble.until.Sub(now); {
		case w.flights[c.name] != nil:
			return true
		case c.trouble.ours > 0 && left > 0: // no matter how the bucket is
			if wait == 0 || left < wait {
				wait = left
			}
			return true
		case w.outage.all:
			if it == nil || c.trouble.tried.Before(it.trouble.tried) {
				it = c
			}
			return !it.trouble.tried.IsZero() // the oldest never tried is as good as any
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
			return true
		}
		it = c
		return false
	})
	return it, wait
}

// settle notes how an attempt went.
func (w *worker) settle(f *flight, err error) change {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	q, o, it := w.spool.queueLocked(w.name), &w.outage, f.it
	now := time.Now()
	if err != nil {
		it.trouble.failures++
		it.trouble.tried = now
		it.trouble.until = now.Add(w.pause(err, it.trouble.failures))
	}
	if errors.Is(err, errOurs) { // the file waits, and says nothing about the bucket
		if it.trouble.ours++; it.trouble.ours == downAfter {
			return unreadable
		}
		return unchanged
	}
	it.trouble.ours = 0
	if err == nil || errors.Is(err, ErrConflict) {
		up := o.down
		if o.all { // it was the bucket, not the files
			q.each(func(c *item) bool {
				c.trouble = trouble{}
				return true
			})
		}
		*o = outage{}
		w.width = min(w.width+1, w.options.Parallel)
		if up {
			return cameUp
		}
		return unchanged
	}
	w.width = 1
	o.row++
	if o.first == nil {
		o.first = it
	}
	o.all = o.all || o.first != it
	row := 1
	if o.all {
		row = o.row
	}
	o.until = now.Add(w.pause(err, row))
	if !o.down && o.row >= downAfter {
		o.down = true
		return wentDown
	}
	return unchanged
}

// land makes room for the next upload.
func (w *worker) land(f *flight) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	delete(w.flights, f.it.name)
	w.spool.queueLocked(w.name).poke()
}

func (w *worker) pause(err error, attempt int) time.Duration {
	d := w.options.Backoff(attempt)
	if errors.Is(err, ErrPermanent) {
		d = max(d, w.options.Permanent)
	}
	return d
}
