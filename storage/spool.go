package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Folders of a spool. The place of a file is its state:
//
//	open/KEY.part          being written
//	sealed/B1+B2/KEY       committed, on its way to out/ of several buckets
//	out/BUCKET/KEY         waits for upload, never changes
//	replace/BUCKET/KEY     waits for upload, a newer version may replace it
//	conflict/BUCKET/KEY    the bucket holds another object of this key
//	quarantine/…           what the spool does not know
//	tmp/                   unfinished writes, of no value after a crash
const (
	openDir       = "open"
	sealedDir     = "sealed"
	outDir        = "out"
	replaceDir    = "replace"
	conflictDir   = "conflict"
	quarantineDir = "quarantine"
	tmpDir        = "tmp"
	lockName      = "lock"
)

// Spool is the folder in which files are written and from which they are
// uploaded. The folder is the queue and the truth: what is in memory is only
// a copy of it, made anew by OpenSpool. A committed file is durable and stays
// until an [Uploader] has it verified in its bucket.
//
// All methods are safe for concurrent use.
type Spool struct {
	disk *disk
	lock *os.File
	log  *slog.Logger

	mu          sync.Mutex
	queues      map[string]*queue // by bucket
	writing     map[string]bool   // keys with an open File
	quarantined []string
	tmp         uint64        // for names in tmp/
	drained     chan struct{} // closed and renewed whenever a queue gets shorter
}

// Sealed describes a committed file.
type Sealed struct {
	Key    string
	Size   int64
	SHA256 [32]byte
}

// OpenSpool opens or makes the spool in the folder dir. Only one process can
// have it open. Interrupted commits are finished; files that the spool does
// not know are moved to quarantine/ and reported, never deleted.
func OpenSpool(dir string, log *slog.Logger) (*Spool, error) { return OpenSpoolWith(dir, log, nil) }

// OpenSpoolWith is OpenSpool on a disk that fails on demand.
func OpenSpoolWith(dir string, log *slog.Logger, f Fault) (*Spool, error) {
	d, err := openDisk(dir, f)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{
		disk: d, log: log,
		queues:  make(map[string]*queue),
		writing: make(map[string]bool),
		drained: make(chan struct{}),
	}
	s.lock, err = lockFolder(dir)
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// lockFolder takes the lock that ends with the process, however it ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		err = fmt.Errorf("another process (%s) has it open: stop that one or use another folder", strings.TrimSpace(string(pid)))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // for people only
	}
	return f, nil
}

// Close releases the folder. Open files become unusable; their .part files
// stay.
func (s *Spool) Close() error {
	err := s.disk.close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Create starts a file. Its key must be new: no file of this key may be
// written or left over.
func (s *Spool) Create(key string) (*File, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("create spool file: %w", err)
	}
	if !s.claim(key) {
		return nil, fmt.Errorf("create spool file %s: is being written: %w", key, fs.ErrExist)
	}
	name := path.Join(openDir, key+partExt)
	var h *handle
	err := s.disk.within(path.Dir(name), func() (err error) {
		if h, err = s.disk.create(name); err != nil {
			return err
		}
		if err = s.disk.syncDir(path.Dir(name)); err != nil {
			err = errors.Join(err, h.Close(), s.disk.remove(name))
		}
		return err
	})
	if err != nil {
		s.release(key)
		return nil, fmt.Errorf("create spool file %s: %w", key, err)
	}
	return &File{spool: s, key: key, h: h, change: 1, hash: sha256.New()}, nil
}

// OpenPart opens the .part file of an earlier process, to mend and commit or
// abort it. Write continues at its end.
func (s *Spool) OpenPart(key string) (*File, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("open spool file: %w", err)
	}
	if !s.claim(key) {
		return nil, fmt.Errorf("open spool file %s: is being written: %w", key, fs.ErrExist)
	}
	h, err := s.disk.open(path.Join(openDir, key+partExt), os.O_RDWR)
	var info fs.FileInfo
	if err == nil {
		info, err = h.Stat()
	}
	if err != nil {
		s.release(key)
		return nil, fmt.Errorf("open spool file %s: %w", key, err)
	}
	return &File{spool: s, key: key, h: h, change: 1, size: info.Size()}, nil
}

func (s *Spool) claim(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[key] {
		return false
	}
	s.writing[key] = true
	return true
}

func (s *Spool) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, key)
}

// Leftovers lists, sorted, the keys below prefix of .part files that nobody
// is writing: what an earlier process did not finish.
func (s *Spool) Leftovers(prefix string) ([]string, error) {
	var keys []string
	err := s.disk.walk(openDir, func(name string, _ fs.DirEntry) error {
		key, ok := strings.CutSuffix(strings.TrimPrefix(name, openDir+"/"), partExt)
		if ok && strings.HasPrefix(key, prefix) && checkKey(key) == nil {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list unfinished files: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys = slices.DeleteFunc(keys, func(k string) bool { return s.writing[k] })
	slices.Sort(keys)
	return keys, nil
}

// checkTarget checks a key and the buckets for it, and sorts those.
func checkTarget(key string, buckets []string) ([]string, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if len(buckets) == 0 {
		return nil, fmt.Errorf("%s: no bucket to put it in", key)
	}
	buckets = slices.Clone(buckets)
	slices.Sort(buckets)
	buckets = slices.Compact(buckets)
	for _, b := range buckets {
		if err := checkBucketName(b); err != nil {
			return nil, err
		}
	}
	if len(strings.Join(buckets, "+")) > maxElement {
		return nil, fmt.Errorf("%s: too many buckets", key)
	}
	return buckets, nil
}

// Pending counts what waits for a bucket below prefix. Bucket "" means all.
func (s *Spool) Pending(bucket, prefix string) (files int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, q := range s.queues {
		if bucket == "" || bucket == name {
			n, b := q.pending(prefix)
			files, bytes = files+n, bytes+b
		}
	}
	return files, bytes
}

// Spooled lists what a spool holds of a recording, for another process than the
// one that has it open.
func Spooled(dir, base string) (waiting []string, err error) {
	for _, pattern := range []string{"*", "*/*"} { // open, sealed, …; out/<bucket>, replace/<bucket>, …
		folders, err := fs.Glob(os.DirFS(dir), path.Join(pattern, base)) // base has no character of a pattern: KeyName
		if err != nil {
			return nil, err
		}
		for _, folder := range folders {
			err := filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(folder)), func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					waiting = append(waiting, name)
				}
				if errors.Is(err, fs.ErrNotExist) {
					err = nil // it has just gone
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("look into the spool: %w", err)
			}
		}
	}
	return waiting, nil
}
