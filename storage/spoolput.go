package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
)

// Put queues a small object that may be replaced: manifest.json and the like.
// It is durable when Put returns; the last version wins, also over one that
// is being uploaded. Several buckets are served one after the other.
func (s *Spool) Put(key string, data []byte, buckets []string) (Sealed, error) {
	return s.PutFrom(key, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, buckets)
}

// PutFrom is Put of what write writes, which may be large. It is called once.
func (s *Spool) PutFrom(key string, write func(io.Writer) error, buckets []string) (_ Sealed, err error) {
	buckets, err = checkTarget(key, buckets)
	if err != nil {
		return Sealed{}, fmt.Errorf("put in spool: %w", err)
	}
	var drafts []string
	defer func() {
		if err != nil {
			err = fmt.Errorf("put %s in spool: %w", key, err)
			for _, d := range drafts {
				err = errors.Join(err, ignoreMissing(s.disk.remove(d)))
			}
		}
	}()
	sealed, sum := Sealed{Key: key}, sha256.New()
	for range buckets {
		fill := func(w io.Writer) error { return write(io.MultiWriter(w, sum)) }
		if len(drafts) > 0 {
			fill = func(w io.Writer) error { return s.read(w, drafts[0]) }
		}
		name, size, err := s.draft(fill)
		if err != nil {
			return Sealed{}, err
		}
		drafts, sealed.Size = append(drafts, name), size
	}
	copy(sealed.SHA256[:], sum.Sum(nil))
	for _, b := range buckets {
		if err := s.queueDraft(drafts[0], path.Join(replaceDir, b, key)); err != nil {
			return Sealed{}, err
		}
		drafts = drafts[1:]
	}
	return sealed, nil
}

// draft makes a durable file in tmp/ of what fill writes.
func (s *Spool) draft(fill func(io.Writer) error) (name string, size int64, err error) {
	name, h, err := s.createTmp()
	if err != nil {
		return "", 0, err
	}
	w := io.NewOffsetWriter(h, 0)
	if err = fill(w); err == nil {
		err = h.Sync()
	}
	size, _ = w.Seek(0, io.SeekCurrent) // it only counts
	if err = errors.Join(err, h.Close()); err != nil {
		return "", 0, errors.Join(err, s.disk.remove(name))
	}
	return name, size, nil
}

// read writes a file of the spool to w.
func (s *Spool) read(w io.Writer, name string) error {
	h, err := s.disk.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = io.Copy(w, h.f)
	return err
}

// queueDraft gives a draft its name and queues it.
func (s *Spool) queueDraft(draft, name string) error {
	return s.disk.within(path.Dir(name), func() error {
		if err := s.disk.rename(draft, name); err != nil {
			return err
		}
		if err := s.disk.syncDir(path.Dir(name)); err != nil {
			return err
		}
		return s.enqueue(name)
	})
}

// createTmp opens a new file in tmp/.
func (s *Spool) createTmp() (name string, h *handle, err error) {
	s.mu.Lock()
	s.tmp++
	name = path.Join(tmpDir, strconv.FormatUint(s.tmp, 10))
	s.mu.Unlock()
	h, err = s.disk.create(name)
	return name, h, err
}
