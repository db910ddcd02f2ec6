package crypt

import (
	"crypto/aes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/crypto/xts"
)

const (
	sector     = 512 // bytes that are enciphered together; a multiple of AES's 16
	scratchKey = 64  // bytes: two AES-256 keys, as XTS takes them
)

// Scratch is a file that can be written and read anywhere and that the disk
// holds as ciphertext only (AES-256-XTS, IEEE 1619). It hides what is in it,
// not that it was changed: it is for the process's own use. Not safe for
// concurrent use.
//
// On the disk it is a whole number of sectors; its length is known to its user
// only, and what lies behind that is undefined.
type Scratch struct {
	file   *os.File
	cipher *xts.Cipher
	size   int64 // of what was written
	buf    []byte
}

// NewScratch makes a file that has no name any more when it returns, with a
// key that is nowhere but in memory: the end of the process, however it
// comes, is the end of it.
func NewScratch(dir string) (*Scratch, error) {
	f, err := os.CreateTemp(dir, ".scratch-*")
	if err != nil {
		return nil, fmt.Errorf("make a scratch file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("make a scratch file: %w", errors.Join(err, f.Close()))
	}
	var key [scratchKey]byte
	_, _ = rand.Read(key[:]) // never fails
	return newScratch(f, key[:])
}

// OpenScratch opens or makes the file name under a key that its user keeps.
func OpenScratch(name string, key Key) (*Scratch, error) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a scratch file: %w", err)
	}
	return newScratch(f, key.derive("scratch", scratchKey))
}

func newScratch(f *os.File, key []byte) (*Scratch, error) {
	c, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Scratch{file: f, cipher: c}, nil
}

// Write appends.
func (s *Scratch) Write(p []byte) (int, error) { return s.WriteAt(p, s.size) }

// WriteAt implements io.WriterAt. What it half did counts for nothing.
func (s *Scratch) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	from, to := off/sector*sector, (off+int64(len(p))+sector-1)/sector*sector
	b := s.room(int(to - from))
	// What the first and the last sector hold besides stays.
	if off > from {
		if err := s.sectors(b[:sector], from); err != nil {
			return 0, err
		}
	}
	if last := to - sector; off+int64(len(p)) < to && (last > from || off == from) {
		if err := s.sectors(b[last-from:], last); err != nil {
			return 0, err
		}
	}
	copy(b[off-from:], p)
	for i := 0; i < len(b); i += sector {
		s.cipher.Encrypt(b[i:i+sector], b[i:i+sector], uint64(from+int64(i))/sector)
	}
	if _, err := s.file.WriteAt(b, from); err != nil {
		return 0, err
	}
	s.size = max(s.size, off+int64(len(p)))
	return len(p), nil
}

// Sync makes what was written durable.
func (s *Scratch) Sync() error { return s.file.Sync() }

// ReadAt implements io.ReaderAt. The end of the file is known by the sector:
// who reads must know how much was written.
func (s *Scratch) ReadAt(p []byte, off int64) (int, error) {
	from, to := off/sector*sector, (off+int64(len(p))+sector-1)/sector*sector
	b := s.room(int(to - from))
	n, err := s.file.ReadAt(b, from)
	n -= n % sector
	for i := 0; i < n; i += sector {
		s.cipher.Decrypt(b[i:i+sector], b[i:i+sector], uint64(from+int64(i))/sector)
	}
	got := 0
	if int64(n) > off-from {
		got = copy(p, b[off-from:n])
	}
	if got == len(p) {
		err = nil
	}
	return got, err
}

// sectors reads whole sectors; those that were never written are zeros.
func (s *Scratch) sectors(b []byte, off int64) error {
	n, err := s.file.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	n -= n % sector
	clear(b[n:])
	for i := 0; i < n; i += sector {
		s.cipher.Decrypt(b[i:i+sector], b[i:i+sector], uint64(off+int64(i))/sector)
	}
	return nil
}

func (s *Scratch) room(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	return s.buf[:n]
}

// Truncate cuts the file to size bytes.
func (s *Scratch) Truncate(size int64) error {
	s.size = size
	return s.file.Truncate((size + sector - 1) / sector * sector)
}

// Size is how much was written by this process.
func (s *Scratch) Size() int64 { return s.size }

// Reader reads what was written from the beginning.
func (s *Scratch) Reader() io.Reader { return io.NewSectionReader(s, 0, s.size) }

// Close gives the file up.
func (s *Scratch) Close() error { return s.file.Close() }
