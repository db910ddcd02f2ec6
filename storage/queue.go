package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// queue is the copy in memory of what waits for one bucket. Spool.mu guards it.
type queue struct {
	items map[string]*item // by name in the spool
	order []*item          // oldest first unless unsorted; items that are gone are skipped
	sort  bool
	bytes int64
	wake  chan struct{}
}

// item is one file that waits.
type item struct {
	name    string // in the spool
	key     string
	replace bool
	size    int64
	time    time.Time // of the file: the order of upload
	since   time.Time // when it, or what it replaced, began to wait
	maybe   bool      // the bucket may have it already
	backed  bool      // waits for the backup too
	gone    bool
	trouble trouble
}

func (q *queue) add(it *item) {
	if old := q.items[it.name]; old != nil {
		it.since = old.since
		q.remove(old)
	}
	q.items[it.name] = it
	q.bytes += it.size
	if n := len(q.order); n > 0 && older(it, q.order[n-1]) < 0 {
		q.sort = true
	}
	q.order = append(q.order, it)
	q.poke()
}

// poke wakes the bucket's worker.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) remove(it *item) {
	if it.gone {
		return
	}
	it.gone = true
	delete(q.items, it.name)
	q.bytes -= it.size
	if len(q.order) > 64 && len(q.order) > 2*len(q.items) {
		q.order = slices.DeleteFunc(q.order, func(it *item) bool { return it.gone })
	}
}

func older(a, b *item) int {
	return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.name, b.name))
}

// each calls fn with the items, oldest first, until it returns false.
func (q *queue) each(fn func(*item) bool) {
	if q.sort {
		slices.SortFunc(q.order, older)
		q.sort = false
	}
	for _, it := range q.order {
		if !it.gone && !fn(it) {
			return
		}
	}
}

func (q *queue) pending(prefix string) (files int, bytes int64) {
	if prefix == "" {
		return len(q.items), q.bytes
	}
	for _, it := range q.items {
		if strings.HasPrefix(it.key, prefix) {
			files++
			bytes += it.size
		}
	}
	return files, bytes
}

func (s *Spool) queueLocked(bucket string) *queue {
	q := s.queues[bucket]
	if q == nil {
		q = &queue{items: make(map[string]*item), wake: make(chan struct{}, 1)}
		s.queues[bucket] = q
	}
	return q
}

// splitName takes out/BUCKET/KEY or replace/BUCKET/KEY apart.
func splitName(name string) (bucket, key string, replace, ok bool) {
	tree, rest, _ := strings.Cut(name, "/")
	bucket, key, ok = strings.Cut(rest, "/")
	ok = ok && checkBucketName(bucket) == nil && checkKey(key) == nil
	return bucket, key, tree == replaceDir, ok
}

// enqueue adds the file of this name to the queue of its bucket, as one that
// begins to wait now.
func (s *Spool) enqueue(name string) error { return s.enqueueAs(name, time.Now(), false) }

// enqueueAs says besides since when the file waits and whether the bucket may
// have it already.
func (s *Spool) enqueueAs(name string, since time.Time, maybe bool) error {
	info, err := s.disk.root.Lstat(name)
	if err != nil {
		return err
	}
	return s.enqueueFile(name, info, since, maybe)
}

func (s *Spool) enqueueFile(name string, info fs.FileInfo, since time.Time, maybe bool) error {
	bucket, key, replace, ok := splitName(name)
	if !ok {
		return fmt.Errorf("queue %s: no name of a committed file", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(bucket).add(&item{
		name: name, key: key, replace: replace, size: info.Size(), time: info.ModTime(), since: since, maybe: maybe,
	})
	return nil
}

// dequeue takes an item out and tells those who wait for that.
func (s *Spool) dequeue(bucket string, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(bucket).remove(it)
	close(s.drained)
	s.drained = make(chan struct{})
}

// finish ends the wait of an item whose file was uploaded as info describes
// it: the file goes, unless a newer version has taken its place meanwhile.
// With a target it is moved there instead.
func (s *Spool) finish(bucket string, it *item, info fs.FileInfo, target string) error {
	if target != "" {
		if err := s.disk.within(path.Dir(target), func() error { return nil }); err != nil {
			return err
		}
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	now, err := s.disk.root.Lstat(it.name)
	if err == nil && !os.SameFile(now, info) {
		return nil // the newer version waits under an item of its own
	}
	if err == nil && target != "" {
		err = s.disk.rename(it.name, target)
		if err == nil {
			err = s.disk.syncDir(path.Dir(target))
		}
	} else if err == nil {
		err = s.disk.remove(it.name)
	}
	if err = ignoreMissing(err); err != nil {
		return fmt.Errorf("take %s out of the spool: %w", it.name, err)
	}
	s.disk.pruneLocked(path.Dir(it.name), path.Join(strings.SplitN(it.name, "/", 3)[:2]...))
	// A newer version that came between picking it and opening the file was
	// what was uploaded, and its item is the one that is done.
	s.mu.Lock()
	if now := s.queueLocked(bucket).items[it.name]; now != nil {
		it = now
	}
	s.mu.Unlock()
	s.dequeue(bucket, it)
	return nil
}

// free finds a name that is not taken, by a number behind it.
func (s *Spool) free(name string) string {
	for i := 1; ; i++ {
		try := name
		if i > 1 {
			try += "." + strconv.Itoa(i)
		}
		if _, err := s.disk.root.Lstat(try); err != nil {
			return try
		}
	}
}

// recover brings the folder into a state that Commit and Put could have left,
// and reads the queues.
func (s *Spool) recover() error {
	for _, dir := range []string{openDir, sealedDir, outDir, replaceDir, conflictDir, quarantineDir, tmpDir} {
		if err := s.disk.within(dir, func() error { return nil }); err != nil {
			return err
		}
	}
	for _, dir := range []string{openDir, sealedDir, outDir, replaceDir} {
		if err := s.disk.syncTree(dir); err != nil {
			return err
		}
	}
	if err := s.recoverTop(); err != nil {
		return err
	}
	steps := []struct {
		dir   string
		visit func(name string, e fs.DirEntry) error
	}{
		{tmpDir, s.recoverTmp}, {openDir, s.recoverPart}, {sealedDir, s.recoverSealed},
		{outDir, s.recoverOut}, {replaceDir, s.recoverOut},
	}
	for _, step := range steps {
		if err := s.disk.walk(step.dir, step.visit); err != nil {
			return fmt.Errorf("read folder %s: %w", step.dir, err)
		}
	}
	return nil
}

// recoverTop moves strange files aside. A strange folder only gets a word: it
// may be another program's mount.
func (s *Spool) recoverTop() error {
	entries, err := s.disk.readDir(".")
	if err != nil {
		return err
	}
	ours := []string{openDir, sealedDir, outDir, replaceDir, conflictDir, quarantineDir, tmpDir, lockName}
	for _, e := range entries {
		switch {
		case slices.Contains(ours, e.Name()):
		case e.IsDir():
			s.log.Warn("unknown folder in the spool", "path", e.Name())
		default:
			if err := s.quarantine(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Spool) recoverTmp(name string, e fs.DirEntry) error {
	if _, err := strconv.ParseUint(path.Base(name), 10, 64); err == nil && e.Type().IsRegular() {
		return s.disk.remove(name)
	}
	return s.quarantine(name)
}

// recoverPart removes a .part that is another name of a committed file: a
// power cut between the two halves of a rename leaves both.
func (s *Spool) recoverPart(name string, e fs.DirEntry) error {
	key, ok := strings.CutSuffix(strings.TrimPrefix(name, openDir+"/"), partExt)
	if !ok || !e.Type().IsRegular() || checkKey(key) != nil {
		return s.quarantine(name)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	for _, tree := range []string{outDir, sealedDir} {
		folders, err := s.disk.readDir(tree)
		if err != nil {
			return err
		}
		for _, f := range folders {
			other, err := s.disk.root.Lstat(path.Join(tree, f.Name(), key))
			if err == nil && os.SameFile(info, other) {
				return errors.Join(s.disk.remove(name), s.disk.syncDir(path.Dir(name)))
			}
		}
	}
	return nil
}

// recoverSealed finishes a commit to several buckets.
func (s *Spool) recoverSealed(name string, e fs.DirEntry) error {
	joined, key, ok := strings.Cut(strings.TrimPrefix(name, sealedDir+"/"), "/")
	if !ok || !e.Type().IsRegular() {
		return s.quarantine(name)
	}
	buckets, err := checkTarget(key, strings.Split(joined, "+"))
	if err != nil {
		return s.quarantine(name)
	}
	h, err := s.disk.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	sealed := Sealed{Key: key}
	sealed.SHA256, sealed.Size, err = hashOf(h.f)
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	err = s.spread(name, sealed, buckets)
	if errors.Is(err, ErrConflict) {
		s.log.Error("two committed files have one key", "key", key, "err", err)
		return s.quarantine(name)
	}
	return err
}

func (s *Spool) recoverOut(name string, e fs.DirEntry) error {
	if _, _, _, ok := splitName(name); !ok || !e.Type().IsRegular() {
		return s.quarantine(name)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	return s.enqueueFile(name, info, info.ModTime(), true) // it waits since it was written
}
