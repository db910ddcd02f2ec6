package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

// graceAfterStop is what uploads under way still get when Run is to end.
const graceAfterStop = 10 * time.Second

// worker serves one bucket.
type worker struct {
	*Uploader
	name   string
	bucket Bucket

	// Spool.mu guards these.
	outage  outage
	flights map[string]*flight // by name in the spool
	width   int                // how many may move at once
}

func (u *Uploader) worker(name string, b Bucket) *worker {
	return &worker{Uploader: u, name: name, bucket: b, flights: make(map[string]*flight), width: 1}
}

// flight is one upload that is under way.
type flight struct {
	it      *item
	moved   atomic.Int64 // when it last got on, in Unix nanoseconds
	stalled bool         // that was long ago, and has been counted
}

func (f *flight) move() { f.moved.Store(time.Now().UnixNano()) }

// moving is a body that tells how its upload gets on.
type moving struct {
	io.ReadSeeker
	*flight
}

func (m moving) Read(p []byte) (int, error) {
	m.move()
	return m.ReadSeeker.Read(p)
}

// run starts uploads as pick allows them and waits for them in the end.
func (w *worker) run(ctx context.Context) {
	var flying sync.WaitGroup
	defer flying.Wait()
	w.spool.mu.Lock()
	wake := w.spool.queueLocked(w.name).wake
	w.spool.mu.Unlock()
	for ctx.Err() == nil {
		f, wait := w.pick(time.Now())
		if f != nil {
			flying.Go(func() { w.attempt(ctx, f) })
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
func (w *worker) attempt(ctx context.Context, f *flight) {
	defer w.land(f) // when all is told: one upload at a time is told of in order
	it := f.it
	err := w.upload(ctx, f)
	change := w.settle(f, err)
	w.count(err, change)
	log := w.options.Log.With("bucket", w.name, "key", it.key)
	switch {
	case err == nil:
		log.Debug("uploaded", "bytes", it.size)
	case errors.Is(err, ErrConflict):
		log.Error("the bucket holds another object of this key, the file was moved to conflict/", "err", err)
		w.options.Notice(Notice{Type: "upload.conflict", Key: it.key, Data: map[string]any{"storage": w.name, "key": it.key, "error": err.Error()}})
	case errors.Is(err, errVanished):
		log.Error("a file is gone from the spool that no upload took out: this storage does not get it", "bytes", it.size)
		w.options.Notice(Notice{Type: "upload.vanished", Key: it.key, Data: map[string]any{"storage": w.name, "key": it.key, "bytes": it.size}})
	case errors.Is(err, errOurs), errors.Is(err, ErrPermanent):
		log.Error("upload", "err", err)
	default:
		log.Warn("upload", "err", err)
	}
	switch change {
	case wentDown:
		w.options.Notice(Notice{Type: "storage.down", Data: map[string]any{"storage": w.name, "code": FailureOf(err), "error": err.Error()}})
	case unreadable:
		w.options.Notice(Notice{Type: "upload.unreadable", Key: it.key, Data: map[string]any{"storage": w.name, "key": it.key, "error": err.Error()}})
	case cameUp:
		w.options.Notice(Notice{Type: "storage.up", Data: map[string]any{"storage": w.name}})
	}
	if err != nil {
		w.tell(it, err)
	}
}

// tell says how the upload of a file went, to who wants to know.
func (w *worker) tell(it *item, err error) {
	if w.options.Uploaded != nil {
		w.options.Uploaded(w.name, it.key, err)
	}
}

// count keeps the bucket's figures.
func (w *worker) count(err error, change change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats[w.name]
	switch {
	case err == nil:
		s.Uploaded++
		s.LastError = ""
	default:
		s.Failures++
		if s.Down.IsZero() || !errors.Is(err, errOurs) { // why it is down is worth more
			s.LastError = err.Error()
		}
		if errors.Is(err, ErrConflict) {
			s.Conflicts++
		}
	}
	switch change {
	case wentDown:
		s.Down = time.Now()
	case cameUp:
		s.Down = time.Time{}
	}
}

// errOurs is wrapped by what is not the bucket's fault: the spool's file cannot
// be read.
var errOurs = errors.New("read from the spool")

// errVanished says that there is no such file any more, where only an upload
// takes files away.
var errVanished = fmt.Errorf("%w: the file has vanished", errOurs)

// upload brings one file into the bucket, verifies it there and takes it out
// of the spool.
func (w *worker) upload(ctx context.Context, f *flight) error {
	it := f.it
	h, err := w.spool.disk.open(it.name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		w.spool.dequeue(w.name, it)
		return errVanished
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errOurs, err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errOurs, err)
	}
	o := PutOptions{ContentType: ContentType(it.key), Replace: it.replace}
	if o.SHA256, o.Size, err = hashOf(h.f); err != nil {
		return fmt.Errorf("%w: %w", errOurs, err)
	}
	// What may be replaced is locked when it is final, by package retention.
	if w.options.Lock != nil && !it.replace {
		o.Lock = w.options.Lock(w.name, it.key)
	}
	f.move()
	if err := w.put(ctx, f, io.NewSectionReader(h.f, 0, o.Size), o); err != nil {
		switch {
		case !errors.Is(err, ErrConflict):
			return err
		case it.replace:
			return fmt.Errorf("the bucket does not replace objects: %w", err)
		}
		target := w.spool.free(path.Join(conflictDir, w.name, it.key))
		return errors.Join(err, w.spool.finish(w.name, it, info, target))
	}
	w.tell(it, nil)
	return w.spool.finish(w.name, it, info, "")
}

// put stores and verifies. It is not cut off by the end of ctx at once: an
// upload that is nearly through would only have to be repeated.
func (w *worker) put(ctx context.Context, f *flight, r io.ReadSeeker, o PutOptions) error {
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
	key := f.it.key
	if f.it.maybe {
		// An answer may have been lost: asking is cheaper than sending again.
		// A bucket that refuses to say is sent it.
		got, err := w.bucket.Stat(lasting, key)
		if err == nil && got.Size == o.Size && got.SHA256 == o.SHA256 {
			return confirmLock(lasting, w.bucket, key, o.Lock)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrPermanent) {
			return fmt.Errorf("look whether it is there: %w", err)
		}
	}
	f.move()
	f.it.maybe = true
	if err := w.bucket.Put(lasting, key, moving{r, f}, o); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	f.move()
	got, err := w.bucket.Stat(lasting, key)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if got.Size != o.Size || got.SHA256 != o.SHA256 && got.SHA256 != [32]byte{} {
		return fmt.Errorf("verify: the bucket shows %d bytes with SHA-256 %x, sent were %d bytes with %x", got.Size, got.SHA256, o.Size, o.SHA256)
	}
	return confirmLock(lasting, w.bucket, key, o.Lock)
}
