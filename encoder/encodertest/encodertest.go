// Package encodertest reads recorded files back and keeps segments in memory,
// for the tests of everything that writes through package encoder.
//
// No program imports it. It promises what an ordinary player would hear: of
// Ogg Opus the pre-skip dropped and the end trimmed, of mono the same on both
// sides.
package encodertest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"mixdown/encoder"
	"mixdown/encoder/flac"
	"mixdown/encoder/ogg"
	"mixdown/encoder/wav"
)

// ReadFile decodes a whole file to stereo at 48 kHz; its extension (.ogg, .wav,
// .flac) tells the format.
func ReadFile(path string) ([][2]float32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	samples, err := Decode(filepath.Ext(path), b)
	if err != nil {
		return samples, fmt.Errorf("decode %s: %w", path, err)
	}
	return samples, nil
}

// Decode is ReadFile for a file in memory; ext is ".ogg", ".wav" or ".flac". With
// an error it also returns what came before.
func Decode(ext string, file []byte) ([][2]float32, error) {
	read, err := reader(ext, file)
	var parts [][][2]float32 // a slice that grows to hours would be copied again and again
	for err == nil {
		part, n := make([][2]float32, 48000), 0
		for more := 0; err == nil && n < len(part); n += more {
			more, err = read(part[n:])
		}
		parts = append(parts, part[:n])
	}
	if err == io.EOF {
		err = nil
	}
	return slices.Concat(parts...), err
}

func reader(ext string, file []byte) (read func([][2]float32) (int, error), err error) {
	switch ext {
	case ".ogg":
		return ogg.NewDecoder(bytes.NewReader(file)).Read, nil
	case ".wav":
		r, err := wav.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		return r.Read, nil
	case ".flac":
		r, err := flac.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		return r.Read, nil
	}
	return nil, fmt.Errorf("unknown extension %q", ext)
}

// File is a file in memory.
type File struct{ Data []byte }

// Write appends.
func (f *File) Write(p []byte) (int, error) {
	f.Data = append(f.Data, p...)
	return len(p), nil
}

// WriteAt overwrites, and grows the file if p reaches beyond its end.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(f.Data); grow > 0 {
		f.Data = append(f.Data, make([]byte, grow)...)
	}
	return copy(f.Data[off:], p), nil
}

// Store is an encoder.Store in memory.
type Store struct {
	mu       sync.Mutex
	files    map[int]*File
	segments []encoder.Segment
}

// Create implements encoder.Store. An index that exists is an error.
func (s *Store) Create(seg encoder.Segment) (encoder.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[int]*File{}
	}
	if s.files[seg.Index] != nil {
		return nil, fmt.Errorf("segment %d exists", seg.Index)
	}
	f := &File{}
	s.files[seg.Index] = f
	return f, nil
}

// Commit implements encoder.Store.
func (s *Store) Commit(f encoder.File, seg encoder.Segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[seg.Index] != f {
		return fmt.Errorf("segment %d is another file", seg.Index)
	}
	s.segments = append(s.segments, seg)
	return nil
}

// Segments are the committed segments in the order of their commits.
func (s *Store) Segments() []encoder.Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]encoder.Segment(nil), s.segments...)
}

// Bytes is the content of a segment's file, committed or not; nil if there is
// none.
func (s *Store) Bytes(index int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[index]; f != nil {
		return f.Data
	}
	return nil
}
