package storage

import (
	"context"
	"time"
)

// What the external tests need of the inside: one step of an uploader at a
// time.

// Step attempts the next upload to a bucket, if one is due.
func (u *Uploader) Step(ctx context.Context, bucket string) (tried bool) {
	w := u.worker(bucket, u.buckets[bucket])
	f, _ := w.pick(time.Now().Add(time.Hour))
	if f != nil {
		w.attempt(ctx, f)
	}
	return f != nil
}

func LevelAfter(f FreeSpace, before SpaceLevel) SpaceLevel { return f.after(before) }

// HandOver queues everything that waits for a bucket for its backup too.
func (u *Uploader) HandOver(bucket, backup string) {
	var all []*item
	u.spool.mu.Lock()
	u.spool.queueLocked(bucket).each(func(it *item) bool {
		all = append(all, it)
		return true
	})
	u.spool.mu.Unlock()
	for _, it := range all {
		_ = u.spool.handOver(it, backup) // what fails is tried again later
	}
}
