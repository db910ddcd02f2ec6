package storage

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Options tune an [Uploader]. The zero value is usable.
type Options struct {
	// Backoff is the wait after the attempt-th failure in a row, from 1.
	// nil is [Backoff].
	Backoff func(attempt int) time.Duration
	// Permanent is the least wait after an error that only an operator can
	// mend. 0 is two minutes.
	Permanent time.Duration
	// Deadline bounds one upload of an object of size bytes. nil gives it
	// half a minute and 25 kB/s.
	Deadline func(size int64) time.Duration
	// Parallel is how many uploads to one bucket are under way while it takes
	// them well. 0 is 4. Those that hang do not count.
	Parallel int
	// Backups says where else files go that a bucket could not be given.
	Backups map[string]Backup
	// Uploaded, if set, is told of every attempt: err is nil when the object is
	// verified in the bucket, and then it is told before the file leaves the
	// spool, so that a kill between the two has it told again. It is called by
	// several goroutines at once and must not block.
	Uploaded func(bucket, key string, err error)
	// Lock, if set, is the lock with which an object is stored.
	Lock func(bucket, key string) Lock
	// Notice, if set, is told what an operator should hear of, likewise.
	Notice func(Notice)
	Log    *slog.Logger // nil discards
}

// Notice is something that an operator should hear of.
type Notice struct {
	Type string         // storage.down, storage.up, storage.backup, upload.…, spool.…
	Key  string         // of the file that it is about; "" if it is about none
	Data map[string]any // what there is to know
}

// Backoff doubles from 1 s to 20 s and adds a random part of up to a half, so
// that many daemons do not come back as one. A bucket that is down is never
// asked more often than once a second.
func Backoff(attempt int) time.Duration {
	d := 20 * time.Second
	if attempt < 6 {
		d = min(d, 500*time.Millisecond<<max(attempt, 1))
	}
	return d + time.Duration(rand.Int64N(int64(d)/2))
}

// Uploader carries what waits in a spool to its buckets: one worker for each
// bucket, so that a dead one delays no other; the oldest file starts first;
// without end. A file leaves the spool only when the bucket has shown its size
// and hash.
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
	Down      time.Time     // since when nothing arrives; zero while something does
	BackedUp  int64         // files that were also queued for the backup, since start
}

// NewUploader makes an uploader for the named buckets of a spool.
func NewUploader(spool *Spool, buckets map[string]Bucket, o Options) *Uploader {
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
	if o.Deadline == nil {
		o.Deadline = func(size int64) time.Duration {
			return 30*time.Second + time.Duration(size/25_000)*time.Second
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Parallel == 0 {
		o.Parallel = 4
	}
	if o.Permanent == 0 {
		o.Permanent = 2 * time.Minute
	}
	if o.Notice == nil {
		o.Notice = func(Notice) {}
	}
	u := &Uploader{spool: spool, buckets: maps.Clone(buckets), options: o, stats: make(map[string]*BucketStats)}
	spool.mu.Lock()
	defer spool.mu.Unlock()
	for name := range buckets {
		u.stats[name] = &BucketStats{}
		spool.queueLocked(name) // so that it is there to be counted
	}
	return u
}

// Run uploads until ctx ends and returns nil then. What is under way gets a
// grace of ten seconds; what is left waits in the spool for the next Run, in
// this process or another.
func (u *Uploader) Run(ctx context.Context) error {
	for _, name := range u.orphans() {
		u.options.Log.Warn("files wait for a bucket that is not configured", "bucket", name)
	}
	var workers sync.WaitGroup
	for name, bucket := range u.buckets {
		w := u.worker(name, bucket)
		workers.Go(func() { w.run(ctx) })
		if b, ok := u.options.Backups[name]; ok {
			workers.Go(func() { w.backUp(ctx, b) })
		}
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

// Stats tells the state of every bucket, and of those that are not configured
// while files wait for them.
func (u *Uploader) Stats() map[string]BucketStats {
	u.spool.mu.Lock()
	defer u.spool.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make(map[string]BucketStats, len(u.stats))
	for name, q := range u.spool.queues {
		var b BucketStats
		switch s := u.stats[name]; {
		case s != nil:
			b = *s
		case len(q.items) == 0:
			continue
		}
		b.Pending, b.Bytes = q.pending("")
		q.each(func(it *item) bool {
			b.Oldest = max(0, time.Since(it.time))
			return false
		})
		all[name] = b
	}
	return all
}

// Away says why a bucket has not been reached for a while; "" if it is.
func (u *Uploader) Away(bucket string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats[bucket]
	if s == nil || s.Down.IsZero() {
		return ""
	}
	return fmt.Sprintf("storage %s takes nothing since %s: %s; files wait in the spool", bucket, s.Down.UTC().Format(time.RFC3339), s.LastError)
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
