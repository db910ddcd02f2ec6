package storage

import (
	"context"
	"log/slog"
	"time"
)

// What the external tests need of the inside: the place where faults are
// injected, and one step of an uploader at a time.

type Fault = fault

func CreateJournalWith(dir string, f Fault) (*Journal, error) { return createJournal(dir, f) }
func OpenJournalWith(dir string, f Fault) (*Journal, error)   { return openJournal(dir, f) }

func OpenSpoolWith(dir string, log *slog.Logger, f Fault) (*Spool, error) {
	return openSpool(dir, log, f)
}

// Step attempts the next upload to a bucket, if one is due.
func (u *Uploader) Step(ctx context.Context, bucket string) (tried bool) {
	w := u.worker(bucket, u.buckets[bucket])
	f, _ := w.pick(time.Now().Add(time.Hour))
	if f != nil {
		w.attempt(ctx, f)
	}
	return f != nil
}
