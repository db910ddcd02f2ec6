package capture

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
)

// Verdict is what a capture makes of what it hears, and of what it does not.
type Verdict string

// The verdicts. The last two are a capture that is dead although it runs.
const (
	Empty       Verdict = "empty"   // no stream is in the room
	Hearing     Verdict = "hearing" // somebody speaks, and it is heard
	Quiet       Verdict = "quiet"   // nobody says anything, and nothing says otherwise
	DeadMedia   Verdict = "media"   // the room hears somebody from whom no packets come
	DeadDecoder Verdict = "decoder" // packets that say they are loud are decoded to silence
)

// ListeningStatus is what a capture makes of what it hears.
type ListeningStatus struct {
	Verdict Verdict      `json:"verdict" enum:"empty,hearing,quiet,media,decoder" doc:"media and decoder: it is degraded, and tries to heal itself."`
	Since   storage.Time `json:"since"`
	Streams []string     `json:"streams,omitempty" doc:"The streams that are not heard although they should be."`
}

const (
	loud       = 50 // -dBov (RFC 6464): what is louder is somebody who speaks
	disagree   = 2 * time.Second
	deafFrames = int(1500 * time.Millisecond / pcm.FrameTime)
	settling   = 3 * time.Second // after the recorder came in

	healEvery  = 10 * time.Second
	healTries  = 3           // in that pace; then
	healRarely = time.Minute // one login in; decoders are not the fault, then

	// A publisher may say that it is loud when it is not. After so many
	// verdicts against its decoder it is not believed any more.
	mostBlame = 3
)

// ear is what arrives of one stream, by capture time. The connection's
// goroutines write it, the watchdog reads it.
type ear struct {
	packet    atomic.Int64 // the last packet
	loud      atomic.Int64 // the last one that said it was loud, or did not say
	room      atomic.Int64 // when the room last heard the stream
	roomSince atomic.Int64 // and since when it has
}

func (e *ear) hear(at time.Duration, level uint8) {
	e.packet.Store(int64(at))
	if level == playout.NoLevel || level&127 <= loud {
		e.loud.Store(int64(at))
	}
}

// levels notes what the room service hears; the calls come one at a time.
func (r *room) levels(levels map[string]int, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, rec := range r.active {
		if level, ok := levels[id]; !ok || level < -loud {
			continue
		}
		if at-time.Duration(rec.ear.room.Load()) > disagree {
			rec.ear.roomSince.Store(int64(at))
		}
		rec.ear.room.Store(int64(at))
	}
}

// recent says that something happened at last, not longer than disagree ago.
func recent(last *atomic.Int64, now time.Duration) bool {
	at := time.Duration(last.Load())
	return at > 0 && now-at < disagree
}

// missed says that the room hears a stream of which nothing arrives.
func (e *ear) missed(now time.Duration) bool {
	return recent(&e.room, now) && now-time.Duration(e.roomSince.Load()) >= disagree &&
		now-time.Duration(e.packet.Load()) >= disagree
}

// listen compares a decoded frame with what its packets said.
func (s *stream) listen(f *pcm.Frame) {
	if s.t.frame*pcm.FrameSize >= s.loudUntil {
		return
	}
	const floor = 1e-4
	for _, v := range f { // of what sounds, the first samples tell
		if max(v[0], v[1]) > floor || min(v[0], v[1]) < -floor {
			s.deaf, s.sounds = 0, true
			return
		}
	}
	if s.deaf++; s.deaf >= deafFrames {
		s.sounds = false
	}
}

// watchdog tells quiet people from a dead capture. Only Run uses it.
type watchdog struct {
	status ListeningStatus
	upAt   time.Duration // when the recorder came in; 0 while it is not
	healAt time.Duration
	tries  int
	blamed map[string]int // how often a stream's decoder was
}

// notice is the data of a kindNotice record.
type notice struct {
	Type    string   `json:"type"`
	Verdict Verdict  `json:"verdict"`
	Streams []string `json:"streams,omitempty"`
	Seconds float64  `json:"seconds,omitempty"` // how long it lasted
}

// watch judges and heals. What it finds goes through the journal like all that
// happens: into the recording's timeline, and from there to the world.
func (c *Capture) watch() {
	w, now := &c.watchdog, c.clock.now()
	if state, _ := c.State(); !c.timeline.linked || state == Paused {
		w.upAt = 0
		return
	}
	if w.upAt == 0 {
		w.upAt = now
	}
	verdict, streams := c.judge(now)
	dead, was := verdict.dead(), w.status.Verdict.dead()
	switch {
	case dead && now-w.upAt < settling && !was:
		return // it has only just come in
	case was && !dead && !c.recovered(now):
		verdict, streams, dead = w.status.Verdict, w.status.Streams, true
	}
	if verdict != w.status.Verdict || !slices.Equal(streams, w.status.Streams) {
		c.changeVerdict(verdict, streams, now)
	}
	if dead && now >= w.healAt {
		c.heal(verdict, streams, now)
	}
}

func (v Verdict) dead() bool { return v == DeadMedia || v == DeadDecoder }

// judge is the verdict of this moment, and the streams that are not heard.
func (c *Capture) judge(now time.Duration) (Verdict, []string) {
	receivers := c.room.receivers()
	var missed, deaf []string
	verdict := Quiet
	if len(receivers) == 0 {
		verdict = Empty
	}
	for _, r := range receivers {
		if r.ear.missed(now) {
			missed = append(missed, r.stream.ID)
		}
		if recent(&r.ear.loud, now) {
			verdict = Hearing
		}
	}
	for _, s := range c.timeline.streams {
		if !s.done && s.left < 0 && s.deaf >= deafFrames && c.watchdog.believes(s.rec.Stream.ID) {
			deaf = append(deaf, s.rec.Stream.ID)
		}
	}
	switch {
	case len(missed) > 0:
		slices.Sort(missed)
		return DeadMedia, missed
	case len(deaf) > 0:
		slices.Sort(deaf)
		return DeadDecoder, deaf
	}
	return verdict, nil
}

// believes says that what a stream's packets say of their loudness counts.
func (w *watchdog) believes(streamID string) bool {
	return w.blamed[streamID] < mostBlame || w.status.Verdict == DeadDecoder && slices.Contains(w.status.Streams, streamID)
}

// recovered says that the streams that were not heard are, or are gone: that
// nothing speaks against it any more is not enough.
func (c *Capture) recovered(now time.Duration) bool {
	w := &c.watchdog
	for _, r := range c.room.receivers() {
		if w.status.Verdict == DeadMedia && slices.Contains(w.status.Streams, r.stream.ID) &&
			!recent(&r.ear.packet, now) && now-time.Duration(r.ear.room.Load()) < 5*time.Second {
			return false
		}
	}
	for _, s := range c.timeline.streams {
		if w.status.Verdict == DeadDecoder && slices.Contains(w.status.Streams, s.rec.Stream.ID) && !s.done && s.left < 0 && !s.sounds {
			return false
		}
	}
	return true
}

// changeVerdict notes a verdict and tells when it becomes bad or good.
func (c *Capture) changeVerdict(v Verdict, streams []string, now time.Duration) {
	w := &c.watchdog
	was := w.status
	c.mu.Lock()
	w.status = ListeningStatus{v, storage.At(time.Now()), streams}
	c.mu.Unlock()
	switch {
	case v.dead():
		if !was.Verdict.dead() {
			w.healAt, w.tries = now, 0
		}
		for _, id := range streams {
			if v == DeadDecoder && !(was.Verdict == v && slices.Contains(was.Streams, id)) {
				w.blamed[id]++
			}
		}
		c.log.Warn("capture degraded", "cause", v, "streams", streams)
		c.inbox.event(kindNotice, 0, now, notice{"capture.degraded", v, streams, 0})
	case was.Verdict.dead():
		lasted := time.Since(was.Since.Time)
		c.log.Info("capture healed", "cause", was.Verdict, "streams", was.Streams, "after", lasted.Round(time.Millisecond), "tries", w.tries)
		c.inbox.event(kindNotice, 0, now, notice{"capture.healed", was.Verdict, was.Streams, lasted.Seconds()})
	}
}

// heal does what helps if anything here does: another login brings media that
// stopped, and a decoder that stopped is made anew, with everything since the
// last checkpoint.
func (c *Capture) heal(v Verdict, streams []string, now time.Duration) {
	w := &c.watchdog
	w.tries++
	w.healAt = now + healEvery
	if w.tries >= healTries {
		w.healAt = now + healRarely
	}
	switch v {
	case DeadMedia:
		c.participant.Rejoin(fmt.Errorf("no packets of %v, of whom the room hears something", streams))
	case DeadDecoder:
		if w.tries > healTries {
			return
		}
		c.timeline.fail(fmt.Errorf("what %v say is decoded to silence", streams))
	}
}

// notice applies a kindNotice record.
func (t *timeline) notice(at time.Duration, data []byte) {
	var n notice
	if json.Unmarshal(data, &n) != nil {
		return
	}
	t.events.add(at, n.Type, n.Streams, string(n.Verdict))
	t.newsCount++
	details := map[string]any{"cause": n.Verdict, "streams": n.Streams}
	if n.Seconds > 0 {
		details["seconds"] = n.Seconds
	}
	t.news = append(t.news, news{seriesRoom, t.newsCount, n.Type, at, details})
}

// receivers are those of the streams that are in the room.
func (r *room) receivers() (all []*receiver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.active {
		all = append(all, rec)
	}
	return all
}
