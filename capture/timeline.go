package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
)

// timeline is the deep path: it applies records and renders what they mean,
// frame by frame, into the outputs. It knows no clock, no network and no
// present: the same records give the same samples, live or from the journal.
//
// It is used by one goroutine. The first error of an output spoils it; the
// capture then makes a new one from the journal.
type timeline struct {
	base    settings // in force before turns
	turns   []turn   // changes around the present frame and after it, by frame
	told    settings // in force when all turns are made
	archive *archive
	events  *eventLog
	mix     *mixer.Mixer // nil without a recorded mix
	mixes   []*mixOutput
	spurts  []mixer.Spurt
	streams []*stream // by number
	stems   map[string]*stems
	waves   []*wave
	users   []storage.User

	frame        int64         // the next to render
	applied      time.Duration // records up to here are applied
	last         time.Duration // of the last record
	newest       time.Duration // of the last packet of any stream
	checkpointed time.Duration
	busy         time.Duration              // when there last was a stream
	heard        bool                       // a packet has arrived
	linked       bool                       // the recorder is in the room
	frozen       func(streamID string) bool // a fault of tests
	news         []news                     // who came and left lately
	newsCount    uint64                     // of all that ever happened
	toldNews     uint64                     // number of the last that was told in this life
	controlled   time.Duration              // when the last change takes effect
	err          error
}

// openMixes opens the mixes that are recorded at the present frame.
func (t *timeline) openMixes() error {
	for _, o := range t.at(t.frame-1).plans("mix", "dual") {
		if err := t.openMix(o); err != nil {
			return err
		}
	}
	return nil
}

// openMix opens one recorded mix; the first brings the mixer.
func (t *timeline) openMix(o plan) error {
	m, err := newMixOutput(t, o)
	if err != nil {
		return err
	}
	if t.mix == nil {
		now := t.at(t.frame - 1)
		t.mix = mixer.New(mixer.Config{Aligned: true, Level: now.Mix.Level, First: t.frame, InputFailed: func(id string, err error) {
			t.fail(fmt.Errorf("render %s: %w", id, err)) // made anew from the journal, which has all of it
		}})
		now.beep(t.mix, nil, t.frame)
	}
	opts := []mixer.Option{mixer.Levelled(), mixer.OnError(t.fail)}
	if len(o.left) > 0 {
		opts = append(opts, mixer.Dual(func(input string) mixer.Side { return t.side(input, o.left) }))
	}
	m.remove = t.mix.AddOutput(m, opts...)
	t.mixes = append(t.mixes, m)
	return nil
}

// side is where a dual recording has an input of the mix whose left names
// streams or users.
func (t *timeline) side(input string, left []string) mixer.Side {
	if input == toneInput {
		return mixer.Both
	}
	for _, s := range t.streams {
		if s.id == input && names(left, s.rec.Stream) {
			return mixer.Left
		}
	}
	return mixer.Right
}

// apply lets a record take effect. Records that make no sense, from a journal
// that was tampered with, are skipped: the hole they leave is in the ledger.
func (t *timeline) apply(r storage.Record) {
	at := time.Duration(r.At)
	t.last = at
	switch r.Kind {
	case kindPacket, kindUndated:
		var p playout.Packet
		if s := t.stream(r.Stream); s != nil && decodePacket(r, &p) == nil {
			t.heard, t.newest = true, at
			s.deep.Push(&p)
		}
	case kindReport:
		if s := t.stream(r.Stream); s != nil {
			if rep, err := decodeReport(r); err == nil {
				s.deep.Report(rep)
			}
		}
	case kindStream:
		t.addStream(r.Stream, at, r.Data)
	case kindStreamEnd:
		t.endStream(r.Stream, at, r.Data)
	case kindUser, kindUserEnd:
		t.user(r.Kind == kindUser, at, r.Data)
	case kindNotice:
		t.notice(at, r.Data)
	case kindLink:
		t.link(linkState(r.Data), at)
	case kindControl:
		t.control(at, r.Data)
	}
}

func (t *timeline) stream(num uint32) *stream {
	if int(num) >= len(t.streams) || t.streams[num] == nil || t.streams[num].done {
		return nil
	}
	return t.streams[num]
}

func (t *timeline) addStream(num uint32, at time.Duration, data []byte) {
	var rec streamRecord
	if json.Unmarshal(data, &rec) != nil || int(num) != len(t.streams) {
		return
	}
	s := newStream(t, num, rec, at)
	t.streams = append(t.streams, s)
	t.play(s)
	t.roster(at, "stream.added", "stream", s.rec.Stream, "")
}

// play puts a stream into the mix.
func (t *timeline) play(s *stream) {
	if t.mix == nil {
		return
	}
	t.at(t.frame-1).fade(t.mix, s.id, s.rec.Stream, s.joinFrame() < t.frame)
	t.mix.AddInput(s.id, s)
}

func (t *timeline) endStream(num uint32, at time.Duration, data []byte) {
	s := t.stream(num)
	if s == nil || s.left >= 0 {
		return
	}
	s.left = at
	s.deep.End(at)
	var reason string
	_ = json.Unmarshal(data, &reason) // an unreadable reason is no reason
	t.roster(at, "stream.removed", "stream", s.rec.Stream, reason)
}

// noticed is how long a dead link may take to be noticed.
const noticed = 15 * time.Second

// link notes whether the recorder is in the room: what it misses while it is
// not is nobody's loss but its own. A dead link is noticed late; if nobody was
// heard for a second it was dead since then.
func (t *timeline) link(state linkState, at time.Duration) {
	if t.linked == (state == linkUp) {
		return
	}
	t.linked = state == linkUp
	name, since := "recorder.disconnected", at
	switch {
	case t.linked:
		name = "recorder.connected"
	case state == linkDead && at-t.newest > time.Second:
		since = max(t.newest, at-noticed)
	}
	t.account(max(since, t.controlled))
	t.events.add(at, name, nil, "")
}

// advance renders every frame before limit.
func (t *timeline) advance(limit int64) {
	var (
		frame *pcm.Frame // for what no mix reads
		b     breather
	)
	for t.frame < limit && t.err == nil {
		b.breathe()
		t.turn()
		if t.mix != nil {
			t.readRows(limit)
			t.mix.Mix()
		} else {
			if frame == nil {
				frame = new(pcm.Frame)
			}
			for _, s := range t.streams {
				s.render(frame)
			}
		}
		t.frame++
		if t.frame%noteEvery == 0 {
			t.note()
		}
	}
	t.sweep() // first: a stream's files end with the stream, not with the batch
	for _, s := range t.stems {
		t.fail(s.advance(t.frame * pcm.FrameSize))
	}
}

const (
	// rowFrames of a stream are read in a row, before they are mixed one by one,
	// where there are no more than rowStreams: to go from one decoder to the next,
	// to the mixer and to the encoder costs each of them its caches. Of many
	// streams the rows themselves would not fit into the caches.
	rowFrames  = 5
	rowStreams = 16
)

// readRows reads a row of each stream at every fifth frame, unless the settings
// change within the row or it would go beyond limit.
func (t *timeline) readRows(limit int64) {
	end := t.frame + rowFrames
	if t.frame%rowFrames != 0 || end > limit {
		return
	}
	for _, c := range t.turns {
		if t.frame <= c.Frame && c.Frame < end {
			return
		}
	}
	count := 0
	for _, s := range t.streams {
		if !s.done && !s.ended {
			count++
		}
	}
	if count > rowStreams {
		return
	}
	for _, s := range t.streams {
		if !s.done && !s.ended {
			s.readRow()
		}
	}
}

// noteEvery is how often, in frames, talk spurts and figures are noted.
const noteEvery = 50

// note writes once a second how the streams stand.
func (t *timeline) note() {
	if t.mix != nil {
		t.talk()
	}
	t.noteWaves(false)
	for _, s := range t.streams {
		if s.done || s.left >= 0 && s.left <= t.time()-noteEvery*pcm.FrameTime {
			continue
		}
		f := s.figures()
		f["stay"] = float64(s.num)
		if from, n := s.deep.Missed(); n > 0 {
			f["missedSample"], f["missedMs"] = float64(from), math.Ceil(pcm.Duration(n).Seconds()*1000)
		}
		f["levelDb"], f["talking"] = s.level(), 0
		if s.talking {
			f["talking"] = 1
		}
		t.events.figures(t.time(), s.rec.Stream.ID, f)
	}
}

// talk notes who began and who ceased to speak. It happens as the mix is
// rendered, so these lines come some seconds after others of their time.
func (t *timeline) talk() {
	t.spurts = t.mix.Spurts(t.spurts[:0])
	for _, s := range t.spurts {
		kind, frame := "talk.started", s.Start
		if s.End >= 0 {
			kind, frame = "talk.ended", s.End
		}
		for _, st := range t.streams {
			if st.id == s.ID {
				st.talking = s.End < 0
				t.events.add(time.Duration(frame)*pcm.FrameTime, kind, st.rec.Stream, "")
			}
		}
	}
}

// sweep closes the files of streams that have played out.
func (t *timeline) sweep() {
	for _, s := range t.streams {
		if !s.done && s.ended {
			s.finish()
		}
	}
}

// active says that a stream is in the room.
func (t *timeline) active() bool {
	for _, s := range t.streams {
		if !s.done && s.left < 0 {
			return true
		}
	}
	return false
}

// flushEvery is how often what is rendered goes into its file. The journal has
// it until then.
const flushEvery = 2 * batch

// flush makes what is rendered readable in its file, once in flushEvery, and
// returns what went wrong since it was last called.
func (t *timeline) flush() error {
	if t.applied%flushEvery != 0 {
		return t.err
	}
	for _, m := range t.mixes {
		t.fail(m.flush())
	}
	for _, s := range t.stems {
		t.fail(s.flush())
	}
	t.fail(t.events.flush())
	return t.err
}

// close ends every output at frame end. One that could not be rendered up to
// there is made anew: to end it here would seal silence.
func (t *timeline) close(end int64) error {
	if t.err != nil {
		return t.err
	}
	if t.mix != nil {
		t.mix.Drain()
	}
	for _, m := range t.mixes {
		t.fail(m.close())
	}
	for _, s := range t.streams {
		s.endRow()
	}
	for _, s := range t.stems {
		t.fail(s.close(end * pcm.FrameSize))
	}
	t.stems = map[string]*stems{}
	t.noteWaves(true)
	t.fail(t.events.flush())
	return t.err
}

// fail keeps the first error.
func (t *timeline) fail(err error) {
	if err != nil && t.err == nil && !errors.Is(err, errSpoiled) {
		t.err = err
	}
}

var errSpoiled = errors.New("an earlier error spoiled the timeline")

// replay applies what the journal kept after the checkpoint, with the same
// batches as when it happened.
func (t *timeline) replay(r storage.Record) {
	for time.Duration(r.At) > t.applied+batch {
		t.applied += batch
		t.advance(frameAt(t.applied - depth))
	}
	t.apply(r)
}
