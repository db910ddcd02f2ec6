package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"
)

// Backup is the bucket that also gets what another could not be given for a
// time.
type Backup struct {
	Bucket string
	After  time.Duration
}

// backupEvery is how often files are looked for that have waited too long.
const backupEvery = 10 * time.Second

// backUp queues files that have waited too long for the backup too. They go on
// waiting for their own bucket: when it is back it gets them as well.
func (w *worker) backUp(ctx context.Context, b Backup) {
	for {
		due := w.overdue(time.Now().Add(-b.After))
		var failed error
		for _, it := range due {
			if err := w.spool.handOver(it, b.Bucket); err != nil {
				failed = err
				continue
			}
			w.backedUp(it, b.Bucket)
		}
		if failed != nil {
			w.options.Log.Error("a file could not be queued for the backup", "bucket", w.name, "backup", b.Bucket, "err", failed)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backupEvery):
		}
	}
}

// overdue lists what has waited since before an instant, oldest first. What
// waits only because there is so much of it is not meant: the bucket must have
// failed since it last took something, or that file.
func (w *worker) overdue(before time.Time) (due []*item) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	ill := w.outage.row+w.outage.stalls > 0
	w.spool.queueLocked(w.name).each(func(it *item) bool {
		if !it.backed && !it.since.After(before) && (ill || it.trouble.failures > 0) {
			due = append(due, it)
		}
		return true
	})
	return due
}

// backedUp notes that a file waits for the backup too. The first of an outage
// is worth a word.
func (w *worker) backedUp(it *item, backup string) {
	w.spool.mu.Lock()
	it.backed = true
	first := !w.outage.backed
	w.outage.backed = true
	w.spool.mu.Unlock()
	w.mu.Lock()
	w.stats[w.name].BackedUp++
	w.mu.Unlock()
	if first {
		w.options.Log.Warn("files that wait too long go to the backup too", "bucket", w.name, "backup", backup)
		w.options.Notice(Notice{Type: "storage.backup", Data: map[string]any{"storage": w.name, "backup": backup}})
	}
}

// handOver gives a waiting file a second name, in the queue of another bucket.
// A file that has left the spool meanwhile needs none.
func (s *Spool) handOver(it *item, bucket string) error {
	name := path.Join(outDir, bucket, it.key)
	if it.replace {
		name = path.Join(replaceDir, bucket, it.key)
	}
	err := s.disk.within(path.Dir(name), func() error {
		if err := s.link(it, name); err != nil {
			return err
		}
		if err := s.disk.syncDir(path.Dir(name)); err != nil {
			return err
		}
		return s.enqueueAs(name, time.Now(), true)
	})
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := s.disk.root.Lstat(it.name); errors.Is(gone, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("queue %s for bucket %s: %w", it.key, bucket, err)
	}
	return nil
}

// link makes name another name of the item's file, or a copy where the file
// system has no links. One that may be replaced is; another must be the same.
func (s *Spool) link(it *item, name string) error {
	to := name
	if it.replace {
		s.mu.Lock()
		s.tmp++
		to = fmt.Sprintf("%s/%d", tmpDir, s.tmp)
		s.mu.Unlock()
	}
	err := s.disk.link(it.name, to)
	switch {
	case errors.Is(err, fs.ErrExist):
		return s.sameAs(it.name, name)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.EMLINK):
		return s.copyTo(it.name, name)
	case err != nil || !it.replace:
		return err
	}
	// Renaming a file over another name of itself does nothing, and leaves both.
	return errors.Join(s.disk.rename(to, name), ignoreMissing(s.disk.remove(to)))
}

// sameAs says whether two files of the spool hold the same.
func (s *Spool) sameAs(name, other string) error {
	h, err := s.disk.open(name, 0)
	if err != nil {
		return err
	}
	var sealed Sealed
	sealed.SHA256, sealed.Size, err = hashOf(h.f)
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	same, err := s.absentOrSame(other, sealed)
	if err == nil && !same {
		err = ErrConflict
	}
	return err
}
