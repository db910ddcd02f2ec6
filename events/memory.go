package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"mixdown/storage"
)

// forgetAfter is how long the log knows of a capture of which nothing happens
// any more. After that its events would be numbered from 1 again.
const forgetAfter = 90 * 24 * time.Hour

// history is what the log knows of one capture.
type history struct {
	Events uint64            `json:"events"`           // how many it had
	First  uint64            `json:"first"`            // sequence number of the first
	Last   uint64            `json:"last"`             // and of the last
	At     time.Time         `json:"at"`               // of the last
	Series map[string]uint64 `json:"series,omitempty"` // how far each has come
}

func (h *history) clone() *history {
	c := *h
	c.Series = maps.Clone(h.Series)
	return &c
}

// histories is what is known of captures, by id.
type histories map[string]*history

// index is index.json: what the log would otherwise have to read all its files
// for. It is written with each new file; what came later is in the files.
type index struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	UpTo     uint64    `json:"upTo"`
	Captures histories `json:"captures"`
}

const indexName = "index.json"

func readIndex(dir string) (i index, err error) {
	b, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		return index{}, err
	}
	if err := json.Unmarshal(b, &i); err != nil || i.ID == "" {
		return index{}, fmt.Errorf("%s: not readable: %w", indexName, err)
	}
	return i, nil
}

// writeIndex writes down what is known of the events that are durable: there
// may always be some that are not.
func (l *Log) writeIndex() error {
	l.mu.Lock()
	l.memory.forget()
	upTo := l.durable
	l.mu.Unlock()
	l.written.forget()
	b, err := json.Marshal(index{ID: l.id, Created: l.created, UpTo: upTo, Captures: l.written})
	if err == nil {
		err = storage.WriteFile(filepath.Join(l.dir, indexName), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", indexName, err)
	}
	l.indexed = upTo
	return nil
}

// known says that a numbered event is in the log already, or happened before
// anything the log knows of.
func (l *Log) known(e Event) bool {
	if e.Series == "" {
		return false
	}
	if h := l.memory[e.Capture]; h != nil {
		return e.Number <= h.Series[e.Series]
	}
	return e.At.Before(l.created) || time.Since(e.At) > forgetAfter
}

// forget lets go of captures of which nothing happened for long.
func (m histories) forget() {
	now := time.Now()
	maps.DeleteFunc(m, func(_ string, h *history) bool { return now.Sub(h.At) > forgetAfter })
}

// remember counts an event and returns its place among those of its capture.
func (m histories) remember(h Head) uint64 {
	if h.Capture == "" {
		return 0
	}
	c := m[h.Capture]
	if c == nil {
		c = &history{First: h.Seq}
		m[h.Capture] = c
	}
	c.Events++
	if h.CaptureSeq > 0 { // counted before
		c.Events = h.CaptureSeq
	}
	c.Last, c.At = h.Seq, h.Time.Time
	if h.Series != "" {
		if c.Series == nil {
			c.Series = map[string]uint64{}
		}
		c.Series[h.Series] = max(c.Series[h.Series], h.Number)
	}
	return c.Events
}
