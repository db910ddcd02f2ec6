package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"time"
)

// Options tune an [Uploader]. The zero value is usable.
type Options struct {
	// Backoff is the wait after the attempt-th failure in a row, from 1.
	// nil is [Backoff].
	Backoff func(attempt int) time.Duration
	// Deadline bounds one Put or Stat of an object of size bytes. nil gives
	// it half a minute and 100 kB/s.
	Deadline func(size int64) time.Duration
	// Uploaded, if set, is told of every attempt that ended: err is nil when
	// the object is verified in the bucket. Each bucket calls it from its
	// own goroutine; it must not block.
	Uploaded func(bucket, key string, err error)
	// Lock, if set, is the lock with which an object is stored.
	Lock func(bucket, key string) Lock
	Log  *slog.Logger // nil discards
}

// graceAfterStop is what the present Put still gets when Run is to end.
const graceAfterStop = 10 * time.Second

// permanentPause is the wait after an error that only an operator can mend.
const permanentPause = 2 * time.Minute

// Backoff doubles from 0.2 s to 30 s and takes a random part of up to a half
// away, so that many daemons do not come back as one.
func Backoff(attempt int) time.Duration {
	d := 30 * time.Second
	if attempt < 9 {
		d = min(d, 100*time.Millisecond<<max(attempt, 1))
	}
	return d - time.Duration(rand.Int64N(int64(d)/2))
}

// Uploader carries what waits in a spool to its buckets: one worker for each
// bucket, so that a dead one delays no other; oldest first; without end. A
// file leaves the spool only when the bucket has shown its size and hash.
type Uploader struct {
	spool   *Spool
	buckets map[string]Bucket
	options Options

	mu    sync.Mutex
	stats map[string]*BucketStats
}

// BucketStats is the state of one bucket.
type BucketStats struct {
	Pending   int           // files that wait
	Bytes     int64         // of them
	Oldest    time.Duration // age of the oldest of them
	Uploaded  int64         // files since start
	Failures  int64         // failed attempts since start
	Conflicts int64         // files moved to conflict/ since start: each one needs an operator
	LastError string        // of the latest attempt; "" if it succeeded
}

// NewUploader makes an uploader for the named buckets of a spool.
func NewUploader(spool *Spool, buckets map[string]Bucket, o Options) *Uploader {
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
	if o.Deadline == nil {
		o.Deadline = func(size int64) time.Duration {
			return 30*time.Second + time.Duration(size/100_000)*time.Second
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u := &Uploader{spool: spool, buckets: maps.Clone(buckets), options: o, stats: make(map[string]*BucketStats)}
	for name := range buckets {
		u.stats[name] = &BucketStats{}
	}
	return u
}

// Run uploads until ctx ends and returns nil then. The present upload of each
// bucket gets a grace of ten seconds; what is left waits in the spool for the
// next Run, in this process or another.
func (u *Uploader) Run(ctx context.Context) error {
	for _, name := range u.orphans() {
		u.options.Log.Warn("files wait for a bucket that is not configured", "bucket", name)
	}
	var workers sync.WaitGroup
	for name, bucket := range u.buckets {
		w := &worker{Uploader: u, name: name, bucket: bucket}
		workers.Go(func() { w.run(ctx) })
	}
	workers.Wait()
	return nil
}

// orphans are buckets that files wait for and nobody serves.
func (u *Uploader) orphans() []string {
	u.spool.mu.Lock()
	defer u.spool.mu.Unlock()
	var names []string
	for name, q := range u.spool.queues {
		if u.buckets[name] == nil && len(q.items) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Stats tells the state of every bucket.
func (u *Uploader) Stats() map[string]BucketStats {
	u.spool.mu.Lock()
	defer u.spool.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make(map[string]BucketStats, len(u.stats))
	for name, s := range u.stats {
		b := *s
		q := u.spool.queueLocked(name)
		b.Pending, b.Bytes = q.pending("")
		q.each(func(it *item) bool {
			b.Oldest = max(0, time.Since(it.time))
			return false
		})
		all[name] = b
	}
	return all
}

// Drain waits until nothing below prefix waits for the given buckets, or for
// any if none is given, or ctx ends. Somebody must be in Run meanwhile.
func (u *Uploader) Drain(ctx context.Context, prefix string, buckets ...string) error {
	if len(buckets) == 0 {
		buckets = slices.Collect(maps.Keys(u.buckets))
	}
	for {
		u.spool.mu.Lock()
		changed := u.spool.drained
		left := 0
		for _, name := range buckets {
			n, _ := u.spool.queueLocked(name).pending(prefix)
			left += n
		}
		u.spool.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d uploads: %w", left, ctx.Err())
		}
	}
}

// worker serves one bucket.
type worker struct {
	*Uploader
	name   string
	bucket Bucket
	outage outage
}

func (w *worker) run(ctx context.Context) {
	w.spool.mu.Lock()
	wake := w.spool.queueLocked(w.name).wake
	w.spool.mu.Unlock()
	for ctx.Err() == nil {
		it, wait := w.pick(time.Now())
		if it != nil {
			w.attempt(ctx, it)
			continue
		}
		var timeout <-chan time.Time
		if wait > 0 {
			timeout = time.After(wait)
		}
		select {
		case <-wake:
		case <-timeout:
		case <-ctx.Done():
		}
	}
}

// attempt uploads one file and counts how that went.
func (w *worker) attempt(ctx context.Context, it *item) {
	err := w.upload(ctx, it)
	w.settle(it, err)
	w.mu.Lock()
	stats := w.stats[w.name]
	switch {
	case err == nil:
		stats.Uploaded++
		stats.LastError = ""
	default:
		stats.Failures++
		stats.LastError = err.Error()
		if errors.Is(err, ErrConflict) {
			stats.Conflicts++
		}
	}
	w.mu.Unlock()
	log := w.options.Log.With("bucket", w.name, "key", it.key)
	switch {
	case err == nil:
		log.Debug("uploaded", "bytes", it.size)
	case errors.Is(err, ErrConflict):
		log.Error("the bucket holds another object of this key, the file was moved to conflict/", "err", err)
	case errors.Is(err, ErrPermanent):
		log.Error("upload", "err", err)
	default:
		log.Warn("upload", "err", err)
	}
	if w.options.Uploaded != nil {
		w.options.Uploaded(w.name, it.key, err)
	}
}

// upload brings one file into the bucket, verifies it there and takes it out
// of the spool.
func (w *worker) upload(ctx context.Context, it *item) error {
	h, err := w.spool.disk.open(it.name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		w.spool.dequeue(w.name, it)
		return fmt.Errorf("file has vanished from the spool: %w", err)
	}
	if err != nil {
		return err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return err
	}
	o := PutOptions{ContentType: ContentType(it.key), Replace: it.replace}
	if o.SHA256, o.Size, err = hashOf(h.f); err != nil {
		return fmt.Errorf("read from the spool: %w", err)
	}
	// What may be replaced is locked when it is final, by package retention.
	if w.options.Lock != nil && !it.replace {
		o.Lock = w.options.Lock(w.name, it.key)
	}
	if err := w.put(ctx, it.key, io.NewSectionReader(h.f, 0, o.Size), o); err != nil {
		switch {
		case !errors.Is(err, ErrConflict):
			return err
		case it.replace:
			return fmt.Errorf("the bucket does not replace objects: %w", err)
		}
		target := w.spool.free(path.Join(conflictDir, w.name, it.key))
		return errors.Join(err, w.spool.finish(w.name, it, info, target))
	}
	return w.spool.finish(w.name, it, info, "")
}

// put stores and verifies. It is not cut off by the end of ctx at once: an
// upload that is nearly through would only have to be repeated.
func (w *worker) put(ctx context.Context, key string, r io.ReadSeeker, o PutOptions) error {
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.options.Deadline(o.Size))
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(graceAfterStop)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-stopped:
		}
	})
	defer stop()
	if err := w.bucket.Put(lasting, key, r, o); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	got, err := w.bucket.Stat(lasting, key)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if got.Size != o.Size || got.SHA256 != o.SHA256 && got.SHA256 != [32]byte{} {
		return fmt.Errorf("verify: the bucket shows %d bytes with SHA-256 %x, sent were %d bytes with %x", got.Size, got.SHA256, o.Size, o.SHA256)
	}
	return confirmLock(lasting, w.bucket, key, o.Lock)
}
