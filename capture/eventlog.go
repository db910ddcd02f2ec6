package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// eventLog is the recording's events.jsonl while it grows: one JSON object a
// line, in the order of the timeline.
type eventLog struct {
	clock *clock
	file  randomFile
	size  int64 // with what is buffered
	buf   bytes.Buffer
}

// event is one line of events.jsonl.
type event struct {
	At     storage.Time `json:"at"`
	Sample int64        `json:"sample"`
	Type   string       `json:"type"`
	Who    any          `json:"who,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Actor  string       `json:"actor,omitempty"`

	Settings *settings `json:"settings,omitempty"`

	Figures map[string]float64 `json:"figures,omitempty"`
	Row     *placedRow         `json:"row,omitempty"`
	Peaks   []byte             `json:"peaks,omitempty"` // of an output, as overview has them
}

func openEventLog(file string, c *clock, key *crypt.Key) (*eventLog, error) {
	f, err := eventFile(file, key)
	if err != nil {
		return nil, fmt.Errorf("open the event log: %w", err)
	}
	return &eventLog{clock: c, file: f}, nil
}

// add notes an event at capture time at; who is what it is about.
func (e *eventLog) add(at time.Duration, kind string, who any, reason string) {
	e.note(at, event{Type: kind, Who: who, Reason: reason})
}

// control notes a change that takes effect at capture time at, and what is in
// force from then on.
func (e *eventLog) control(at time.Duration, c control) {
	v := event{Type: c.Event, Reason: c.Reason, Actor: c.Actor, Settings: c.Settings.redacted()}
	if c.Scope != nil && *c.Scope != (Scope{}) {
		v.Who = c.Scope
	}
	e.note(at, v)
}

// figures notes how a stream stands.
func (e *eventLog) figures(at time.Duration, streamID string, figures map[string]float64) {
	e.note(at, event{Type: "stream.quality", Who: streamID, Figures: figures})
}

// row notes packets of one stay of a stream that follow one another.
func (e *eventLog) row(stream joiner.Stream, stay uint32, r row) {
	e.note(pcm.Duration(r.Pos), event{Type: "stream.packets", Who: stream, Row: &placedRow{stay, r}})
}

func (e *eventLog) note(at time.Duration, v event) {
	v.At, v.Sample = e.clock.utcAt(at), samplesAt(at)
	line, err := json.Marshal(v)
	if err != nil {
		return // plain structs of strings: cannot happen
	}
	e.buf.Write(line)
	e.buf.WriteByte('\n')
	e.size += int64(len(line)) + 1
}

// flush writes what was added. The journal can make it again.
func (e *eventLog) flush() error {
	if e.buf.Len() == 0 {
		return nil
	}
	if _, err := e.file.WriteAt(e.buf.Bytes(), e.size-int64(e.buf.Len())); err != nil {
		return fmt.Errorf("write events.jsonl: %w", err)
	}
	e.buf.Reset()
	return nil
}

// sync makes what was added durable: a checkpoint counts on it, and with the
// journal from before that goes what could make it again.
func (e *eventLog) sync() error {
	if err := e.flush(); err != nil {
		return err
	}
	if err := e.file.Sync(); err != nil {
		return fmt.Errorf("sync events.jsonl: %w", err)
	}
	return nil
}

// truncate forgets everything after the first size bytes: replaying the
// journal adds it again.
func (e *eventLog) truncate(size int64) error {
	e.buf.Reset()
	e.size = size
	if err := e.file.Truncate(size); err != nil {
		return fmt.Errorf("cut events.jsonl: %w", err)
	}
	return nil
}

// reader reads the whole log, which may be larger than memory.
func (e *eventLog) reader() (io.Reader, error) {
	return io.NewSectionReader(e.file, 0, e.size), e.flush()
}

func (e *eventLog) close() error { return e.file.Close() }
