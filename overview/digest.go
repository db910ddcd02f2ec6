package overview

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"mixdown/mixer/pcm"
	"mixdown/storage"
	"mixdown/storage/lines"
)

const (
	// figuresEvery is how much time a stream.quality line is about, in ms.
	figuresEvery = 1000
	// rough is a jitter that is worth telling, in ms.
	rough = 20
)

// line is what a digest needs of a line of events.jsonl.
type line struct {
	Sample  int64           `json:"sample"`
	Type    string          `json:"type"`
	Who     json.RawMessage `json:"who"`
	Peaks   []byte          `json:"peaks"`
	Figures struct {
		Sample   int64   `json:"missedSample"`
		MissedMS int64   `json:"missedMs"`
		JitterMS float64 `json:"jitterMs"`
	} `json:"figures"`
	Settings *struct {
		Mix struct {
			Include, Exclude, Mute []string
		}
		Pauses []struct{ Mode, Reason, Output, UserID, StreamID string }
	} `json:"settings"`
}

// stream is a who that is one.
type stream struct {
	StreamID string                            `json:"streamID"`
	User     struct{ UserID, UserName string } `json:"user"`
}

// digest is an overview in the making.
type digest struct {
	o     *Overview
	now   int64 // of the line in hand
	lanes []*track
	waves map[string]*Wave
}

// track is a lane in the making; -1 is no open span.
type track struct {
	Lane
	present, talk, muted, excluded int64
}

// Digest makes the overview of a recording from its event log. A log that was
// cut, or of which nobody knows the last lines, gives what it tells: the error is
// that of reading it.
func Digest(m *storage.Manifest, events io.Reader) (*Overview, error) {
	d := &digest{o: empty(m), waves: map[string]*Wave{}}
	for i := range d.o.Waves {
		d.waves[d.o.Waves[i].Output] = &d.o.Waves[i]
	}
	for _, s := range m.Streams {
		d.lane(s.StreamID, s.UserID)
	}
	if _, _, err := lines.New(events, 0).Each(func(line []byte) error {
		d.line(line)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the event log: %w", err)
	}
	d.close()
	return d.o, nil
}

// empty is an overview of which only the manifest is known.
func empty(m *storage.Manifest) *Overview {
	o := &Overview{Format: Format, Waves: []Wave{}, Lanes: []Lane{}, Pauses: []Hole{}, Gaps: []Hole{}, Away: []Span{}}
	for _, s := range m.Segments {
		o.Length = max(o.Length, milliseconds(s.StartSample+s.Samples))
	}
	o.To = o.Length
	for _, out := range m.Outputs {
		o.Waves = append(o.Waves, Wave{Output: out.ID, What: out.What, StreamID: out.StreamID, UserID: out.UserID})
	}
	for _, g := range m.Gaps {
		o.Gaps = append(o.Gaps, Hole{From: milliseconds(g.StartSample), To: milliseconds(g.StartSample + g.Samples), Reason: g.Reason, Output: g.Output})
	}
	return o
}

// rows are most of an event log, and nothing to look at.
var rows = []byte(`"type":"stream.packets"`)

func (d *digest) line(raw []byte) {
	if len(raw) < 2 || bytes.Contains(raw[:min(len(raw), 160)], rows) {
		return
	}
	var l line
	if json.Unmarshal(raw, &l) != nil {
		return // torn, or another program's
	}
	d.now = milliseconds(max(0, l.Sample))
	if l.Settings != nil {
		d.settings(&l)
	}
	switch l.Type {
	case "wave":
		var who struct{ Output string }
		if json.Unmarshal(l.Who, &who) == nil {
			d.waves[who.Output].lay(l.Sample/Step, l.Peaks, steps(d.o.Length))
		}
	case "stream.quality":
		var id string
		if json.Unmarshal(l.Who, &id) == nil {
			d.quality(id, &l)
		}
	case "recorder.disconnected":
		d.o.Away = append(d.o.Away, Span{d.now, -1})
	case "recorder.connected":
		if n := len(d.o.Away); n > 0 && d.o.Away[n-1][1] < 0 {
			d.o.Away[n-1][1] = max(d.now, d.o.Away[n-1][0])
		}
	case "stream.added", "stream.removed", "talk.started", "talk.ended":
		var who stream
		if json.Unmarshal(l.Who, &who) == nil && who.StreamID != "" {
			d.spoke(l.Type, d.lane(who.StreamID, who.User.UserID))
		}
	}
}

func (d *digest) spoke(kind string, t *track) {
	switch kind {
	case "stream.added":
		begin(&t.present, d.now)
	case "stream.removed":
		t.Present = end(&t.present, d.now, t.Present)
	case "talk.started":
		begin(&t.talk, d.now)
	case "talk.ended":
		t.Talk = end(&t.talk, d.now, t.Talk)
	}
}

// lay puts peaks on a wave of so many steps, from one on.
func (w *Wave) lay(step int64, peaks []byte, length int64) {
	if w == nil || step < 0 || step >= length {
		return
	}
	peaks = peaks[:min(int64(len(peaks)), length-step)]
	if n := step + int64(len(peaks)); int64(len(w.Peaks)) < n {
		w.Peaks = append(w.Peaks, make([]byte, n-int64(len(w.Peaks)))...)
	}
	for i, b := range peaks {
		w.Peaks[step+int64(i)] = max(w.Peaks[step+int64(i)], b)
	}
}

// quality notes what went wrong in the second before now. It comes some seconds
// after the stay may have ended.
func (d *digest) quality(streamID string, l *line) {
	var t *track
	for _, other := range d.lanes {
		if other.StreamID == streamID && (t == nil || t.present < 0) {
			t = other
		}
	}
	if t == nil {
		return
	}
	if n := l.Figures.MissedMS; n > 0 {
		from := milliseconds(max(0, l.Figures.Sample))
		t.Lost = append(t.Lost, Count{from, from + n, n})
	}
	if l.Figures.JitterMS >= rough {
		t.Jitter = append(t.Jitter, Count{max(0, d.now-figuresEvery), d.now, int64(l.Figures.JitterMS)})
	}
}

// lane finds a stream's lane, or begins it.
func (d *digest) lane(streamID, userID string) *track {
	for _, t := range d.lanes {
		if t.StreamID == streamID && t.UserID == userID {
			return t
		}
	}
	t := &track{Lane: Lane{StreamID: streamID, UserID: userID, Present: []Span{}, Talk: []Span{}}, present: -1, talk: -1, muted: -1, excluded: -1}
	d.lanes = append(d.lanes, t)
	return t
}

// settings notes what began or ended to be paused, muted and left out.
func (d *digest) settings(l *line) {
	s := l.Settings
	for _, t := range d.lanes {
		named := func(list []string) bool { return slices.Contains(list, t.StreamID) || slices.Contains(list, t.UserID) }
		t.Muted = toggle(named(s.Mix.Mute), &t.muted, d.now, t.Muted)
		t.Excluded = toggle(named(s.Mix.Exclude) || len(s.Mix.Include) > 0 && !named(s.Mix.Include), &t.excluded, d.now, t.Excluded)
	}
	still := map[Hole]bool{}
	for _, p := range s.Pauses {
		still[Hole{Mode: p.Mode, Reason: p.Reason, Output: p.Output, UserID: p.UserID, StreamID: p.StreamID}] = true
	}
	for i := range d.o.Pauses {
		h := &d.o.Pauses[i]
		same := *h
		same.From, same.To = 0, 0
		switch {
		case h.To >= 0:
		case still[same]:
			delete(still, same)
		default:
			h.To = d.now
		}
	}
	for _, p := range s.Pauses { // in their order
		h := Hole{Mode: p.Mode, Reason: p.Reason, Output: p.Output, UserID: p.UserID, StreamID: p.StreamID}
		if still[h] {
			delete(still, h)
			h.From, h.To = d.now, -1
			d.o.Pauses = append(d.o.Pauses, h)
		}
	}
}

func toggle(on bool, open *int64, now int64, spans []Span) []Span {
	if on {
		begin(open, now)
		return spans
	}
	return end(open, now, spans)
}

func begin(open *int64, now int64) {
	if *open < 0 {
		*open = now
	}
}

func end(open *int64, now int64, spans []Span) []Span {
	if *open >= 0 && now > *open {
		spans = append(spans, Span{*open, now})
	}
	*open = -1
	return spans
}

// close ends what is open with the recording.
func (d *digest) close() {
	last := d.o.Length
	for _, t := range d.lanes {
		t.Present, t.Talk = end(&t.present, last, t.Present), end(&t.talk, last, t.Talk)
		t.Muted, t.Excluded = end(&t.muted, last, t.Muted), end(&t.excluded, last, t.Excluded)
	}
	for i := range d.o.Away {
		if d.o.Away[i][1] < 0 {
			d.o.Away[i][1] = max(last, d.o.Away[i][0])
		}
	}
	for i := range d.o.Pauses {
		if d.o.Pauses[i].To < 0 {
			d.o.Pauses[i].To = max(last, d.o.Pauses[i].From)
		}
	}
	for _, t := range d.lanes {
		d.o.Lanes = append(d.o.Lanes, t.Lane)
	}
}

// steps is how many steps a time needs, in ms.
func steps(ms int64) int64 { return (ms*(pcm.Rate/1000) + Step - 1) / Step }
