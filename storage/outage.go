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
}

// outage is what a worker makes of failures. One file that fails again and
// again is that file's trouble: it waits, the others go on. When different
// files fail in a row it is the bucket: all wait, and after each wait the file
// that was tried longest ago is tried, so that one bad file cannot hide that
// the bucket is back.
type outage struct {
	row   int   // failures since the last success
	first *item // that failed in this row
	all   bool  // different ones did
	until time.Time
}

// pick chooses the file to upload now. If there is none, wait is how long to
// sleep; 0 means until there is a new one.
func (w *worker) pick(now time.Time) (it *item, wait time.Duration) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	q := w.spool.queueLocked(w.name)
	if w.outage.all {
		if wait := w.outage.until.Sub(now); wait > 0 {
			return nil, wait
		}
		q.each(func(c *item) bool {
			if it == nil || c.trouble.tried.Before(it.trouble.tried) {
				it = c
			}
			return !it.trouble.tried.IsZero() // the oldest never tried is as good as any
		})
		return it, 0
	}
	q.each(func(c *item) bool {
		if left := c.trouble.until.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			return true
		}
		it = c
		return false
	})
	if it != nil {
		return it, 0
	}
	return nil, wait
}

// settle notes how an attempt went.
func (w *worker) settle(it *item, err error) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	o := &w.outage
	if err == nil || errors.Is(err, ErrConflict) {
		if o.all { // it was the bucket, not the files
			w.spool.queueLocked(w.name).each(func(c *item) bool {
				c.trouble = trouble{}
				return true
			})
		}
		*o = outage{}
		if err == nil {
			return
		}
	}
	now := time.Now()
	it.trouble.failures++
	it.trouble.tried = now
	it.trouble.until = now.Add(w.pause(err, it.trouble.failures))
	if errors.Is(err, ErrConflict) {
		return
	}
	o.row++
	if o.first == nil {
		o.first = it
	}
	o.all = o.all || o.first != it
	o.until = now.Add(w.pause(err, o.row))
}

func (w *worker) pause(err error, attempt int) time.Duration {
	d := w.options.Backoff(attempt)
	if errors.Is(err, ErrPermanent) {
		d = max(d, permanentPause)
	}
	return d
}
