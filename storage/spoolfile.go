package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"sync"
)

// File is a file of a [Spool] that is being written. It is safe for
// concurrent use; Sync does not hold up Write.
type File struct {
	spool *Spool
	key   string

	mu     sync.Mutex
	h      *handle
	size   int64
	hash   hash.Hash // of all bytes so far; nil once they cannot be hashed in passing
	change uint64    // counts changes
	synced uint64    // the last change that is durable
	failed bool      // an fsync failed: what the disk holds is unknown
	done   bool
}

// Key is the file's key.
func (f *File) Key() string { return f.key }

// Size is the file's length in bytes.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Write appends. After a short write the next one continues where this one
// stopped.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return 0, fs.ErrClosed
	}
	f.change++
	n, err := f.h.WriteAt(p, f.size)
	f.size += int64(n)
	if f.hash != nil {
		f.hash.Write(p[:n])
	}
	return n, err
}

// WriteAt changes what was written, or writes beyond the end. Commit then
// reads the file back to hash it.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return 0, fs.ErrClosed
	}
	f.hash = nil
	f.change++
	n, err := f.h.WriteAt(p, off)
	f.size = max(f.size, off+int64(n))
	return n, err
}

// ReadAt reads what was written.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return 0, fs.ErrClosed
	}
	return f.h.ReadAt(p, off)
}

// Truncate cuts or extends the file.
func (f *File) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return fs.ErrClosed
	}
	f.hash = nil
	f.change++
	if err := f.h.Truncate(size); err != nil {
		return err
	}
	f.size = size
	return nil
}

// Sync makes durable what was written before. If the fsync fails the content
// is read back and written to a new file in its place, because what the old
// one holds on the disk is unknown from then on.
func (f *File) Sync() error {
	f.mu.Lock()
	h, done, failed, change, synced := f.h, f.done, f.failed, f.change, f.synced
	f.mu.Unlock()
	if done {
		return fs.ErrClosed
	}
	if !failed && change == synced {
		return nil
	}
	if !failed {
		err := h.Sync()
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.h == h {
				f.synced = max(f.synced, change)
			}
			return nil
		}
		f.spool.log.Warn("fsync of a file failed, writing it anew", "key", f.key, "err", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return fs.ErrClosed
	}
	f.failed = true
	if err := f.rewriteLocked(); err != nil {
		return fmt.Errorf("sync %s: %w", f.key, err)
	}
	return nil
}

// rewriteLocked replaces the .part file by a durable copy.
func (f *File) rewriteLocked() error {
	s := f.spool
	tmp, h, err := s.createTmp()
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(io.NewOffsetWriter(h, 0), sum), io.NewSectionReader(f.h, 0, f.size))
	if err == nil && f.hash != nil && [32]byte(sum.Sum(nil)) != [32]byte(f.hash.Sum(nil)) {
		err = errors.New("reading it back gave another content than was written")
	}
	if err == nil {
		err = h.Sync()
	}
	name := path.Join(openDir, f.key+partExt)
	if err == nil {
		err = s.disk.within(path.Dir(name), func() error {
			if err := s.disk.rename(tmp, name); err != nil {
				return err
			}
			return s.disk.syncDir(path.Dir(name))
		})
	}
	if err != nil {
		return errors.Join(err, h.Close(), ignoreMissing(s.disk.remove(tmp)))
	}
	f.h.Close() // replaced; what it says no longer matters
	h.name = name
	f.h, f.failed, f.synced = h, false, f.change
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Abort removes the file. After Commit it does nothing.
func (f *File) Abort() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	f.done = true
	defer f.spool.release(f.key)
	name := path.Join(openDir, f.key+partExt)
	d := f.spool.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err := errors.Join(f.h.Close(), d.remove(name))
	if err != nil {
		return fmt.Errorf("abort %s: %w", f.key, err)
	}
	d.pruneLocked(path.Dir(name), openDir)
	return nil
}

// Close gives the file up without removing it: it becomes a leftover. After
// Commit or Abort it does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	f.done = true
	f.spool.release(f.key)
	return f.h.Close()
}

// Commit seals the file and publishes it: see [File.Seal], [File.Publish].
func (f *File) Commit(buckets []string) (Sealed, error) {
	sealed, err := f.Seal()
	if err != nil {
		return Sealed{}, err
	}
	return sealed, f.Publish(buckets)
}

// Seal makes the file durable and says what it is. It stays where it is, so
// that its owner can write down what was sealed before anybody uploads it;
// nothing may be written to it any more but by sealing it again.
func (f *File) Seal() (Sealed, error) {
	if err := f.Sync(); err != nil {
		return Sealed{}, fmt.Errorf("seal %s: %w", f.key, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return Sealed{}, fmt.Errorf("seal %s: %w", f.key, fs.ErrClosed)
	}
	sealed := Sealed{Key: f.key, Size: f.size}
	if f.hash == nil {
		f.hash = sha256.New()
		if _, err := io.Copy(f.hash, io.NewSectionReader(f.h, 0, f.size)); err != nil {
			f.hash = nil
			return Sealed{}, fmt.Errorf("seal %s: read it back: %w", f.key, err)
		}
	}
	sealed.SHA256 = [32]byte(f.hash.Sum(nil))
	return sealed, nil
}

// Publish queues a sealed file for the buckets, for all or none: its new name
// in the spool is the instant of commitment, and a crash after that is mended
// by OpenSpool. The same content published twice under one key is one object;
// other content is refused with ErrConflict while the first waits. After an
// error the file is still there and Publish can be repeated.
func (f *File) Publish(buckets []string) error {
	buckets, err := checkTarget(f.key, buckets)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	sealed, err := f.Seal()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.spool.commit(sealed, buckets); err != nil {
		return fmt.Errorf("publish %s: %w", f.key, err)
	}
	f.done = true
	f.spool.release(f.key)
	f.h.Close() // it is synced, there is nothing left to go wrong
	return nil
}
