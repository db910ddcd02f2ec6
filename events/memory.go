package events

import (
	"encoding/json"
	"fmt"
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

// index is index.json: what the log would otherwise have to read all its files
// for. It is written with each new file; what came later is in the files.
type index struct {
	ID       string              `json:"id"`
	Created  time.Time           `json:"created"`
	UpTo     uint64              `json:"upTo"`
	Captures map[string]*history `json:"captures"`
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

func (i index) memory() map[string]*history {
	if i.Captures == nil {
		return map[string]*history{}
	}
	return i.Captures
}

// writeIndex writes down what is known, unless some of it is not durable yet.
func (l *Log) writeIndex() error {
	l.mu.Lock()
	if len(l.pending) > 0 {
		l.mu.Unlock()
		return nil // the files hold what the old index does not
	}
	now := time.Now()
	for id, h := range l.memory {
		if now.Sub(h.At) > forgetAfter {
			delete(l.memory, id)
		}
	}
	upTo := l.durable
	b, err := json.Marshal(index{ID: l.id, Created: l.created, UpTo: upTo, Captures: l.memory})
	l.mu.Unlock()
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

// remember counts an event and returns its place among those of its capture.
func (l *Log) remember(h Head) uint64 {
	if h.Capture == "" {
		return 0
	}
	m := l.memory[h.Capture]
	if m == nil {
		m = &history{First: h.Seq}
		l.memory[h.Capture] = m
	}
	m.Events++
	if h.CaptureSeq > 0 { // read from a file
		m.Events = h.CaptureSeq
	}
	m.Last, m.At = h.Seq, h.Time.Time
	if h.Series != "" {
		if m.Series == nil {
			m.Series = map[string]uint64{}
		}
		m.Series[h.Series] = max(m.Series[h.Series], h.Number)
	}
	return m.Events
}
