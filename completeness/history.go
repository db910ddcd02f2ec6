package completeness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mixdown/storage"
	"mixdown/storage/lines"
)

const (
	historyName = "streams.jsonl"
	maxHistory  = 64 << 20 // bytes of a file; there are two
)

// History keeps which streams were in the air. What it hears is on disk with
// the next [History.Flush]; after a crash streams that were open end with the
// last that is known. The oldest goes when two files of 64 MiB are full.
type History struct {
	dir string

	mu   sync.Mutex // never held over I/O: who tells of a stream holds up its room
	buf  []byte
	open map[string]entry // by room and stream

	io   sync.Mutex // guards what follows
	file *os.File
	size int64
}

// entry is one line: a stream that began, a stream that ended, or, without a
// stream, a sign of life.
type entry struct {
	At       time.Time `json:"at"`
	System   string    `json:"system,omitempty"`
	RoomID   string    `json:"roomID,omitempty"`
	UserID   string    `json:"userID,omitempty"`
	StreamID string    `json:"streamID,omitempty"`
	End      bool      `json:"end,omitempty"`
	Boot     bool      `json:"boot,omitempty"` // the daemon started: nothing is in the air
}

func (e entry) key() string { return e.System + "\x00" + e.RoomID + "\x00" + e.StreamID }

// OpenHistory opens the history in the folder dir, or makes it.
func OpenHistory(dir string) (*History, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the history of rooms: %w", err)
	}
	h := &History{dir: dir, open: map[string]entry{}}
	if err := h.reopen(); err != nil {
		return nil, fmt.Errorf("open the history of rooms: %w", err)
	}
	h.add(entry{At: time.Now().UTC(), Boot: true})
	return h, h.Flush()
}

func (h *History) reopen() error {
	name := filepath.Join(h.dir, historyName)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	h.file, h.size = f, info.Size()
	return nil
}

// Began notes a stream. It does not touch the disk.
func (h *History) Began(s Stay) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := entry{At: s.From.UTC(), System: s.System, RoomID: s.RoomID, UserID: s.UserID, StreamID: s.StreamID}
	h.open[e.key()] = e
	h.addLocked(e)
}

// Ended notes the end of a stream.
func (h *History) Ended(s Stay) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := entry{At: s.To.UTC(), System: s.System, RoomID: s.RoomID, UserID: s.UserID, StreamID: s.StreamID, End: true}
	delete(h.open, e.key())
	h.addLocked(e)
}

func (h *History) add(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addLocked(e)
}

func (h *History) addLocked(e entry) {
	line, err := json.Marshal(e)
	if err != nil {
		return // strings and a time: cannot happen
	}
	h.buf = append(append(h.buf, line...), '\n')
}

// Flush makes durable what was noted. While streams are in the air it adds a
// sign of life, so that a crash tells how long they were known to be.
func (h *History) Flush() error {
	h.io.Lock()
	defer h.io.Unlock()
	return h.flushLocked()
}

// flushLocked runs with h.io held.
func (h *History) flushLocked() error {
	lines := h.take()
	if len(lines) == 0 {
		return nil
	}
	n, err := h.file.Write(lines)
	h.size += int64(n)
	if err == nil {
		err = h.file.Sync()
	} else {
		h.mu.Lock()
		h.buf = append(lines[n:len(lines):len(lines)], h.buf...)
		h.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("write the history of rooms: %w", err)
	}
	if h.size < maxHistory {
		return nil
	}
	return h.turn()
}

// turn begins a new file. If that fails the old one goes on.
func (h *History) turn() error {
	f, err := storage.TurnFile(h.file, filepath.Join(h.dir, historyName))
	if f != nil {
		h.file, h.size = f, 0
	}
	if err != nil {
		return fmt.Errorf("turn the history of rooms: %w", err)
	}
	return nil
}

// take takes what was noted, with a sign of life or, for a new file that must
// be readable alone, with all that is in the air.
func (h *History) take() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) > 0 && len(h.buf) == 0 {
		h.addLocked(entry{At: time.Now().UTC()})
	}
	if len(h.buf) > 0 && h.size == 0 {
		for _, e := range h.open {
			h.addLocked(e)
		}
	}
	lines := h.buf
	h.buf = nil
	return lines
}

// Close flushes and closes the history.
func (h *History) Close() error {
	h.io.Lock()
	defer h.io.Unlock()
	return errors.Join(h.flushLocked(), h.file.Close())
}

// Stays lists the streams that were in the air between two instants, and since
// when anything is known.
func (h *History) Stays(from, to time.Time) (list []Stay, since time.Time, err error) {
	if err := h.Flush(); err != nil {
		return nil, since, err
	}
	r := reader{from: from, to: to, open: map[string]Stay{}}
	name := filepath.Join(h.dir, historyName)
	for _, file := range []string{name + ".old", name} {
		if err := r.read(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, since, fmt.Errorf("read the history of rooms: %w", err)
		}
	}
	for _, s := range r.open {
		r.keep(s)
	}
	return r.found, r.since, nil
}

// reader makes stays of entries.
type reader struct {
	from, to    time.Time
	open        map[string]Stay
	found       []Stay
	since, last time.Time
}

func (r *reader) keep(s Stay) {
	if s.From.Before(r.to) && (s.To.IsZero() || s.To.After(r.from)) {
		r.found = append(r.found, s)
	}
}

func (r *reader) read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = lines.New(f, 0).Each(func(line []byte) error {
		var e entry
		if json.Unmarshal(line, &e) == nil {
			r.take(e)
		}
		return nil
	})
	return err
}

func (r *reader) take(e entry) {
	if r.since.IsZero() {
		r.since = e.At
	}
	switch s, known := r.open[e.key()]; {
	case e.Boot: // whoever was there fell silent with the daemon
		for key, s := range r.open {
			s.To = r.last
			r.keep(s)
			delete(r.open, key)
		}
	case e.StreamID == "":
	case e.End && known:
		s.To = e.At
		r.keep(s)
		delete(r.open, e.key())
	case !e.End && !known:
		r.open[e.key()] = Stay{System: e.System, RoomID: e.RoomID, UserID: e.UserID, StreamID: e.StreamID, From: e.At}
	}
	if e.At.After(r.last) {
		r.last = e.At
	}
}
