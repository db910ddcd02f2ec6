package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// commit moves open/KEY.part into the queues of the buckets.
func (s *Spool) commit(sealed Sealed, buckets []string) error {
	part := path.Join(openDir, sealed.Key+partExt)
	for _, b := range buckets {
		same, err := s.absentOrSame(path.Join(outDir, b, sealed.Key), sealed)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("waiting for bucket %s: %w", b, ErrConflict)
		}
	}
	target := path.Join(sealedDir, strings.Join(buckets, "+"), sealed.Key)
	if len(buckets) == 1 {
		target = path.Join(outDir, buckets[0], sealed.Key)
	}
	err := s.disk.within(path.Dir(target), func() error {
		// The rename is done already if this is the second try.
		if err := s.disk.rename(part, target); err != nil && !s.exists(target, err) {
			return err
		}
		// The new name must be durable before the old one is gone for good,
		// and the old one gone before anything is uploaded.
		if err := s.disk.syncDir(path.Dir(target)); err != nil {
			return err
		}
		if err := ignoreMissing(s.disk.syncDir(path.Dir(part))); err != nil {
			return err
		}
		s.disk.pruneLocked(path.Dir(part), openDir)
		if len(buckets) == 1 {
			return s.enqueue(target)
		}
		return nil
	})
	if err != nil || len(buckets) == 1 {
		return err
	}
	return s.spread(target, sealed, buckets)
}

// exists tells whether name is there although moving it there failed with err.
func (s *Spool) exists(name string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = s.disk.root.Lstat(name)
	return err == nil
}

// spread gives each bucket its own name of a sealed file and drops the first.
func (s *Spool) spread(from string, sealed Sealed, buckets []string) error {
	for _, b := range buckets {
		name := path.Join(outDir, b, sealed.Key)
		err := s.disk.within(path.Dir(name), func() error {
			same, err := s.absentOrSame(name, sealed)
			if err != nil {
				return err
			}
			if !same {
				return fmt.Errorf("waiting for bucket %s: %w", b, ErrConflict)
			}
			err = s.disk.link(from, name)
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EMLINK) {
				err = s.copyTo(from, name)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := s.disk.syncDir(path.Dir(name)); err != nil {
				return err
			}
			return s.enqueue(name)
		})
		if err != nil {
			return err
		}
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	// The file is in all queues; that its first name goes is only tidiness,
	// and the next start makes up for it.
	if err := s.disk.remove(from); err != nil {
		s.log.Warn("could not remove a sealed file", "key", sealed.Key, "err", err)
		return nil
	}
	if err := s.disk.syncDir(path.Dir(from)); err != nil {
		s.log.Warn("could not sync a folder", "key", sealed.Key, "err", err)
	}
	s.disk.pruneLocked(path.Dir(from), sealedDir)
	return nil
}

// copyTo serves file systems without hard links.
func (s *Spool) copyTo(from, to string) error {
	draft, _, err := s.draft(func(w io.Writer) error { return s.read(w, from) })
	if err != nil {
		return err
	}
	if err := s.disk.rename(draft, to); err != nil {
		return errors.Join(err, s.disk.remove(draft))
	}
	return nil
}

// absentOrSame is true unless another content has the name.
func (s *Spool) absentOrSame(name string, sealed Sealed) (bool, error) {
	h, err := s.disk.open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer h.Close()
	sum, size, err := hashOf(h.f)
	return sum == sealed.SHA256 && size == sealed.Size, err
}

// hashOf reads r to its end.
func hashOf(r io.Reader) (sum [32]byte, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return [32]byte(h.Sum(nil)), size, err
}
