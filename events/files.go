package events

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mixdown/storage/lines"
)

const (
	maxFile    = 4 << 20 // size at which a file is full
	maxFileAge = time.Hour
	markEvery  = 64 << 10
	fileExt    = ".jsonl"
)

// file is one file of the log. Its name is the number of its first event; it
// holds what comes before the first event of the next file. Events beyond that
// are of a write that failed, and do not count.
type file struct {
	first uint64
	size  int64
	began time.Time // when its first event happened; zero if it holds none
	marks []mark
}

// mark is a place at which reading can begin.
type mark struct {
	seq    uint64
	offset int64
}

func fileName(first uint64) string { return fmt.Sprintf("%016d%s", first, fileExt) }

// findFiles lists the files of a folder in order.
func findFiles(dir string) (all []*file, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var f file
		name, ok := strings.CutSuffix(e.Name(), fileExt)
		if _, err := fmt.Sscanf(name, "%d", &f.first); !ok || err != nil || fileName(f.first) != e.Name() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		f.size = info.Size()
		s := span{dir: dir, first: f.first, after: f.first - 1, upTo: math.MaxUint64}
		if _, err := s.scan(func(e *Entry, _ int64) bool { f.began = e.Time.Time; return false }); err != nil {
			return nil, err
		}
		all = append(all, &f)
	}
	slices.SortFunc(all, func(a, b *file) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return all, nil
}

// span is a part of one file to be read: the events after one number and up to
// another, from a place at or before the first of them.
type span struct {
	dir         string
	first       uint64 // names the file
	after, upTo uint64
	offset      int64
}

// spansLocked lists what has to be read for the events after a number and up
// to another.
func (l *Log) spansLocked(after, upTo uint64) (all []span) {
	for i, f := range l.files {
		s := span{dir: l.dir, first: f.first, after: max(after, f.first-1), upTo: upTo}
		if i+1 < len(l.files) {
			s.upTo = min(s.upTo, l.files[i+1].first-1)
		}
		if s.after >= s.upTo {
			continue
		}
		for _, m := range f.marks {
			if m.seq <= s.after+1 {
				s.offset = m.offset
			}
		}
		all = append(all, s)
	}
	return all
}

// scan calls take with each event of the span and its offset until take says
// enough; more is then true. A damaged line is no event. Entries may be kept.
func (s span) scan(take func(e *Entry, offset int64) bool) (more bool, err error) {
	f, err := os.Open(filepath.Join(s.dir, fileName(s.first)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // too old, and gone in the meantime
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Seek(s.offset, io.SeekStart); err != nil {
		return false, err
	}
	r := lines.New(f, 0)
	for at := s.offset; ; {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return false, nil // what comes after the last newline was not finished
		}
		if err != nil {
			return false, fmt.Errorf("read %s: %w", fileName(s.first), err)
		}
		offset := at
		at += int64(len(line)) + 1
		body, ok := cutLine(line)
		if !ok {
			continue
		}
		seq := seqOf(body)
		if seq <= s.after {
			continue
		}
		if seq > s.upTo {
			return false, nil
		}
		h, err := decodeHead(body)
		if err != nil {
			continue // sound, but from no version of this program
		}
		if !take(&Entry{h, bytes.Clone(body)}, offset) {
			return true, nil
		}
	}
}

// writer appends to the newest file. After an error nobody knows what the file
// holds: the next try begins another one, with the same events.
type writer struct {
	log     *Log
	f       *os.File
	file    *file
	rotated bool // since the index was written
}

func (w *writer) write(batch []*Entry) error {
	if len(batch) == 0 {
		return nil
	}
	if w.f == nil || w.file.size >= maxFile || time.Since(w.file.began) >= maxFileAge {
		if err := w.open(batch[0]); err != nil {
			return err
		}
	}
	var buf []byte
	var marks []mark
	size, marked := w.file.size, int64(0)
	if n := len(w.file.marks); n > 0 {
		marked = w.file.marks[n-1].offset
	}
	var err error
	for i, e := range batch {
		if size-marked >= markEvery {
			marks, marked = append(marks, mark{e.Seq, size}), size
		}
		before := len(buf)
		buf = appendLine(buf, e.JSON)
		size += int64(len(buf) - before)
		if len(buf) >= 1<<20 || i == len(batch)-1 {
			if _, err = w.f.Write(buf); err != nil {
				break
			}
			buf = buf[:0]
		}
	}
	if err == nil {
		err = w.f.Sync()
	}
	if err != nil {
		return errors.Join(err, w.close())
	}
	w.log.mu.Lock()
	w.file.size, w.file.marks = size, append(w.file.marks, marks...)
	w.log.mu.Unlock()
	return nil
}

// open begins a file with the given event.
func (w *writer) open(e *Entry) error {
	if err := w.close(); err != nil {
		return err
	}
	name := filepath.Join(w.log.dir, fileName(e.Seq))
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a failed try
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := syncPath(w.log.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	w.f, w.file, w.rotated = f, &file{first: e.Seq, began: time.Now()}, true
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.files = slices.DeleteFunc(w.log.files, func(f *file) bool { return f.first == e.Seq })
	w.log.files = append(w.log.files, w.file)
	return nil
}

func (w *writer) close() error {
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f = nil
	return f.Close()
}

// syncPath makes a file's content, or a folder's names, durable.
func syncPath(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tidy writes the index after a new file was begun, and removes files that are
// too old or too many, as far as the index knows what they held.
func (l *Log) tidy() {
	if l.disk.rotated {
		if err := l.writeIndex(); err != nil {
			l.options.Log.Warn("the index of the events could not be written", "err", err)
			return
		}
		l.disk.rotated = false
	}
	for {
		old := l.takeOldest()
		if old == nil {
			return
		}
		if err := os.Remove(filepath.Join(l.dir, fileName(old.first))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.options.Log.Warn("old events could not be removed", "file", fileName(old.first), "err", err)
			return
		}
	}
}

// takeOldest takes the oldest file out of the log if all it holds may go.
func (l *Log) takeOldest() *file {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.files) < 2 || l.files[1].first > l.indexed+1 {
		return nil
	}
	var total int64
	for _, f := range l.files {
		total += f.size
	}
	// Events of a file are at most as old as the first of the next one.
	if total <= l.options.MaxBytes && time.Since(l.files[1].began) <= l.options.Keep {
		return nil
	}
	old := l.files[0]
	l.files = slices.Delete(l.files, 0, 1)
	return old
}
