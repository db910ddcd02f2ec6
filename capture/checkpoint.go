package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// timelineSnapshot is the checkpoint of a timeline.
type timelineSnapshot struct {
	Frame   int64            `json:"frame"`
	Applied time.Duration    `json:"applied"`
	Busy    time.Duration    `json:"busy"`
	Heard   bool             `json:"heard"`
	Newest  time.Duration    `json:"newest"`
	Linked  bool             `json:"linked"`
	Events  int64            `json:"events"`         // bytes of the event log
	Life    int              `json:"life,omitempty"` // how often it had been rewound
	Users   []storage.User   `json:"users"`
	Streams []streamSnapshot `json:"streams"`
	Mix     []byte           `json:"mix,omitempty"`
	Open    []openSegment    `json:"open,omitempty"` // what has to be sealed before nothing older is needed

	News       []news        `json:"news,omitempty"`
	NewsCount  uint64        `json:"newsCount"`
	Base       *settings     `json:"base,omitempty"`
	Turns      []turn        `json:"turns,omitempty"`
	Controlled time.Duration `json:"controlled,omitempty"`
}

// snapshot is the checkpoint of the present. The event log is on the disk as far
// as the checkpoint says: neither a kill nor a power cut right after it must leave
// it shorter. It is one line, with room for size bytes in all.
func (t *timeline) snapshot(size int) ([]byte, error) {
	t.noteWaves(true)
	if err := t.events.sync(); err != nil {
		t.fail(err)
		return nil, err
	}
	s := timelineSnapshot{
		Frame: t.frame, Applied: t.applied, Busy: t.busy, Heard: t.heard, Newest: t.newest, Linked: t.linked,
		Events: t.events.size, Life: len(t.archive.rewound), Users: t.users,
		News: t.news, NewsCount: t.newsCount, Base: &t.base, Turns: t.turns, Controlled: t.controlled,
	}
	for o := range t.archive.open {
		s.Open = append(s.Open, o)
	}
	for _, st := range t.streams {
		s.Streams = append(s.Streams, st.snapshot())
	}
	if t.mix != nil {
		s.Mix = t.mix.Snapshot()
	}
	var b bytes.Buffer
	b.Grow(size)
	if err := json.NewEncoder(&b).Encode(s); err != nil {
		panic("capture: snapshot: " + err.Error())
	}
	return b.Bytes(), nil
}

// recordHead is what stands before a record's data in a checkpoint: kind, stream,
// time, length.
const recordHead = 1 + 4 + 8 + 4

// joinCheckpoint makes a checkpoint of a snapshot, which is one line, and of the
// records that it has not applied yet. In a large room both have megabytes: the
// memory of the snapshot is used if it suffices.
func joinCheckpoint(snapshot []byte, due []storage.Record) []byte {
	size := 0
	for _, r := range due {
		size += recordHead + len(r.Data)
	}
	b := slices.Grow(snapshot, size)
	for _, r := range due {
		b = append(b, r.Kind)
		b = binary.LittleEndian.AppendUint32(b, r.Stream)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Data)))
		b = append(b, r.Data...)
	}
	return b
}

// splitCheckpoint takes a checkpoint apart. The journal has checked its sum.
func splitCheckpoint(checkpoint []byte) (snapshot []byte, due []storage.Record) {
	snapshot, rest, _ := bytes.Cut(checkpoint, []byte{'\n'})
	for len(rest) >= recordHead {
		n := int(binary.LittleEndian.Uint32(rest[recordHead-4:]))
		if n > len(rest)-recordHead {
			break
		}
		due = append(due, storage.Record{
			Kind: rest[0], Stream: binary.LittleEndian.Uint32(rest[1:]), At: int64(binary.LittleEndian.Uint64(rest[5:])), Data: rest[recordHead : recordHead+n],
		})
		rest = rest[recordHead+n:]
	}
	return snapshot, due
}

// rotate begins a stretch of the journal with a checkpoint.
func (c *Capture) rotate(t *timeline) error {
	s, err := t.snapshot(c.keeper.checkpointSize())
	if err != nil {
		return err
	}
	return c.keeper.rotate(s)
}

// restoreTimeline makes a timeline from a snapshot, or a new one from none.
// It has applied what is in the snapshot; what was due comes next.
func restoreTimeline(spec Spec, a *archive, e *eventLog, snapshot []byte) (*timeline, error) {
	var s timelineSnapshot
	if len(snapshot) > 0 {
		if err := json.Unmarshal(snapshot, &s); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	if s.Base == nil {
		s.Base = settingsOf(spec)
	}
	t := &timeline{
		base: *s.Base, turns: s.Turns, told: *s.Base, controlled: s.Controlled, archive: a, events: e, stems: map[string]*stems{},
		frame: s.Frame, applied: s.Applied, checkpointed: s.Applied, busy: s.Busy,
		heard: s.Heard, newest: s.Newest, linked: s.Linked, users: s.Users, news: s.News, newsCount: s.NewsCount,
	}
	if n := len(t.turns); n > 0 {
		t.told = t.turns[n-1].Control.Settings
	}
	if len(snapshot) > 0 {
		if err := a.rewind(s.Events); err != nil {
			return nil, err
		}
	}
	if err := e.truncate(s.Events); err != nil {
		return nil, err
	}
	if len(snapshot) == 0 {
		t.events.control(0, control{Event: eventStarted, Settings: t.told})
	}
	a.abandon()
	if err := t.openMixes(); err != nil {
		return nil, err
	}
	if t.mix != nil && len(s.Mix) > 0 {
		if err := t.mix.Restore(s.Mix); err != nil {
			return nil, fmt.Errorf("checkpoint: mix: %w", err)
		}
	}
	for _, ss := range s.Streams {
		st, err := restoreStream(t, ss)
		if err != nil {
			return nil, fmt.Errorf("checkpoint: stream %s: %w", ss.Record.Stream.ID, err)
		}
		t.streams = append(t.streams, st)
		if !st.done {
			t.play(st)
		}
	}
	return t, nil
}

// covers says that the timeline can be rebuilt from a checkpoint, and is its frame
// then, else -1: everything not sealed begins long enough after it. After a
// restart no file is open; then the checkpoint tells what was when it was taken.
func (a *archive) covers(checkpoint []byte) (frame int64) {
	var s struct {
		Frame  int64         `json:"frame"`
		Events int64         `json:"events"`
		Life   int           `json:"life"`
		Open   []openSegment `json:"open"`
	}
	if snapshot, _ := splitCheckpoint(checkpoint); json.Unmarshal(snapshot, &s) != nil {
		return -1
	}
	if s.Frame == 0 {
		return s.Frame
	}
	for _, kept := range a.rewound[min(s.Life, len(a.rewound)):] {
		if s.Events > kept {
			return -1
		}
	}
	if a.begun(s.Frame) {
		return -1
	}
	for _, o := range s.Open {
		if p := a.outputs[o.Output]; p == nil || p.index < o.Index && p.reached() != math.MaxInt64 {
			return -1
		}
	}
	for _, p := range a.outputs {
		from, reached := s.Frame*pcm.FrameSize, p.reached()
		switch {
		case p.output.What != "streams":
			if reached < from+settle {
				return -1
			}
		case p.output.Format != "ogg" && from <= reached && reached < from+settle:
			return -1 // what follows may be rendered again, by a cold decoder
		}
	}
	return s.Frame
}

// begun says that a file is open that cannot be written again from a checkpoint
// at the given frame.
func (a *archive) begun(frame int64) bool {
	for _, f := range a.open {
		if f.start < frame*pcm.FrameSize+settle {
			return true
		}
	}
	return false
}

// standing is a sum over what covers looks at in the archive: while it is the
// same, no other checkpoint covers than before, unless no file is open.
func (a *archive) standing() (sum int64) {
	for o, f := range a.open {
		sum += f.start*31 + int64(o.Index)
	}
	for _, p := range a.outputs {
		sum += p.reached()*37 + int64(p.index)*41
	}
	return sum + int64(len(a.rewound))*43
}

// cut takes what the sealed segments cover out of the journal. To look for it is
// to read every checkpoint of segments that are not sealed; so it does that only
// when something was sealed and a checkpoint lies before all that is open. Those
// of an earlier life are not known: they are looked at until they are gone.
func (c *Capture) cut() error {
	archive := c.timeline.archive
	if c.allKnown && (len(c.stretches) < 2 || archive.begun(c.stretches[1])) {
		return nil
	}
	standing := archive.standing()
	if standing == c.cutAt && len(archive.open) > 0 {
		return nil
	}
	kept := int64(-1)
	err := c.journal.Cut(func(checkpoint []byte) bool {
		kept = archive.covers(checkpoint)
		return kept >= 0
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	c.cutAt = standing
	if kept >= 0 {
		c.stretches = slices.DeleteFunc(c.stretches, func(f int64) bool { return f < kept })
		c.allKnown = len(c.stretches) > 0 && c.stretches[0] == kept
	}
	return nil
}
