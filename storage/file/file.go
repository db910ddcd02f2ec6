// Package file is a bucket in a local folder: what `storage: local` means.
//
// It stands below storage as one of the ends of the line; the uploader puts
// objects into it and the API, the command line and verification read them
// back. An object is one file under its own name, so that a recording is a
// folder that every tool can read. Put promises that an object is there whole
// and durable or not at all. It does not lock: one process should write.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"mixdown/storage"
)

const (
	tmpDir   = ".tmp" // unfinished objects; no key starts with a dot
	dirMode  = 0o750
	fileMode = 0o640
)

// Bucket is a folder. It is a [storage.Bucket], a [storage.Browser], a
// [storage.Deleter] and a [storage.Locker].
type Bucket struct {
	root *os.Root
	tmp  atomic.Uint64

	mu sync.Mutex // held while a name is checked and taken, and while locks change
}

// Open opens or makes the folder dir as a bucket.
func Open(dir string) (*Bucket, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	// Whatever an earlier process did not finish is still in the spool.
	if err := root.RemoveAll(tmpDir); err != nil {
		return nil, errors.Join(fmt.Errorf("open bucket %s: %w", dir, err), root.Close())
	}
	return &Bucket{root: root}, nil
}

// Attach opens a bucket that another process may be writing to.
func Attach(dir string) (*Bucket, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	b := &Bucket{root: root}
	b.tmp.Store(uint64(os.Getpid()) << 32) // names that the other one does not take
	return b, nil
}

// Close releases the folder.
func (b *Bucket) Close() error { return b.root.Close() }

func checkKey(key string) error {
	if !fs.ValidPath(key) || strings.HasPrefix(key, ".") || strings.Contains(key, "/.") || strings.ContainsAny(key, "\x00\\") {
		return fmt.Errorf("key %q: %w", key, fs.ErrInvalid)
	}
	return nil
}

// Put stores an object: a temporary file is written, synced and renamed, and
// the folder synced. What arrives must have the size and hash that o says.
func (b *Bucket) Put(ctx context.Context, key string, r io.ReadSeeker, o storage.PutOptions) error {
	if err := checkKey(key); err != nil {
		return err
	}
	done, err := b.settled(ctx, key, o)
	if err == nil {
		err = b.extend(ctx, key, o.Lock)
	}
	if done || err != nil {
		return err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind %s: %w", key, err)
	}
	tmp := path.Join(tmpDir, strconv.FormatUint(b.tmp.Add(1), 10))
	if err := b.write(ctx, tmp, r, o); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", key, err), b.discard(tmp))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if done, err := b.settled(ctx, key, o); done || err != nil {
		return errors.Join(err, b.discard(tmp))
	}
	err = b.makeDirs(path.Dir(key))
	if err == nil {
		err = b.root.Rename(tmp, key)
	}
	if err == nil {
		err = b.syncDir(path.Dir(key))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store %s: %w", key, err), b.discard(tmp))
	}
	return nil
}

// settled tells whether nothing is left to do for an object: it is there. An
// object of other content that must not be replaced is ErrConflict.
func (b *Bucket) settled(ctx context.Context, key string, o storage.PutOptions) (bool, error) {
	got, err := b.Stat(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case got.Size == o.Size && got.SHA256 == o.SHA256:
		// Its name may not be durable yet if the last Put of it died halfway.
		return true, b.syncDir(path.Dir(key))
	case o.Replace:
		return false, b.unlocked(key)
	}
	return false, fmt.Errorf("store %s: %w", key, storage.ErrConflict)
}

func (b *Bucket) write(ctx context.Context, tmp string, r io.Reader, o storage.PutOptions) error {
	if err := b.root.MkdirAll(tmpDir, dirMode); err != nil {
		return err
	}
	f, err := b.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), &stoppable{ctx, r})
	if err == nil && (n != o.Size || [32]byte(h.Sum(nil)) != o.SHA256) {
		err = fmt.Errorf("source has %d bytes with SHA-256 %x, announced were %d with %x", n, h.Sum(nil), o.Size, o.SHA256)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

func (b *Bucket) discard(tmp string) error {
	err := b.root.Remove(tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// makeDirs makes dir and what is missing above it, each name durable. Folders
// that are there may stem from a process that died before syncing, so all are
// synced.
func (b *Bucket) makeDirs(dir string) error {
	if dir == "." {
		return nil
	}
	if err := b.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := b.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return b.syncDir(path.Dir(dir))
}

func (b *Bucket) syncDir(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Stat describes an object. It reads the whole file to hash it, so that what
// it says is what the disk holds.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Object, error) {
	f, o, err := b.Open(ctx, key)
	if err != nil {
		return storage.Object{}, err
	}
	defer f.Close()
	h := sha256.New()
	o.Size, err = io.Copy(h, &stoppable{ctx, f})
	if err != nil {
		return storage.Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	o.SHA256 = [32]byte(h.Sum(nil))
	return o, nil
}

// Open opens an object for reading; the Object has no hash.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadSeekCloser, storage.Object, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return nil, storage.Object{}, err
	}
	f, err := b.root.Open(key)
	if err != nil {
		return nil, storage.Object{}, notExist(key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: no object: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, storage.Object{}, errors.Join(err, f.Close())
	}
	return f, object(key, info), nil
}

// notExist makes ENOTDIR, a path through an object, what it is to a bucket.
func notExist(key string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("open %s: %w", key, fs.ErrNotExist)
	}
	return err
}

func object(key string, info fs.FileInfo) storage.Object {
	return storage.Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}
}

// List yields the objects whose keys start with prefix, in the order of their
// bytes, without hashes.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		dir := path.Dir(prefix + "x")
		if dir != "." && checkKey(dir) != nil {
			return // no key starts so
		}
		b.list(ctx, dir, prefix, yield)
	}
}

func (b *Bucket) list(ctx context.Context, dir, prefix string, yield func(storage.Object, error) bool) bool {
	entries, err := b.readDir(dir)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return yield(storage.Object{}, fmt.Errorf("list %s: %w", dir, err))
	}
	// A folder sorts as its objects do, with the slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(slashed(a), slashed(b)) })
	for _, e := range entries {
		key := path.Join(dir, e.Name())
		name := key
		if e.IsDir() {
			name += "/"
		}
		if strings.HasPrefix(e.Name(), ".") || !strings.HasPrefix(name, prefix) && !strings.HasPrefix(prefix, name) {
			continue
		}
		switch info, err := e.Info(); {
		case e.IsDir():
			if !b.list(ctx, key, prefix, yield) {
				return false
			}
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular(), !strings.HasPrefix(key, prefix):
		case err != nil:
			return yield(storage.Object{}, fmt.Errorf("list %s: %w", key, err))
		default:
			if !yield(object(key, info), nil) {
				return false
			}
		}
	}
	return true
}

func (b *Bucket) readDir(dir string) ([]fs.DirEntry, error) {
	f, err := b.root.Open(dir)
	if errors.Is(notExist(dir, err), fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if errors.Is(notExist(dir, err), fs.ErrNotExist) {
		return nil, nil // an object, not a folder
	}
	return entries, err
}

func slashed(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
