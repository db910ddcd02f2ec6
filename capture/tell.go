package capture

import (
	"maps"
	"slices"
	"time"

	"mixdown/events"
	"mixdown/joiner"
	"mixdown/storage"
)

// The series of a capture's events (see events.Event).
const (
	seriesState    = "state"    // changes of the state
	seriesRoom     = "room"     // users and streams that come and go
	seriesSegments = "segments" // sealed segments, in the order of the chain
	seriesSeal     = "seal"     // of the recording
)

// maxChanges is how many changes a capture keeps in case nobody heard of them:
// far more than can happen before the log of events has written one.
const maxChanges = 32

// change is one change of the state. It is kept with the capture, so that it
// can be told after a crash.
type change struct {
	Number uint64    `json:"number"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`

	Details map[string]any `json:"details,omitempty"` // of a pause
}

// setState is the one place where the state changes. A change is on disk
// before it is told; the participant, which makes the changes inside the room,
// must not wait for that, so those are told by the next round of the loop.
func (c *Capture) setState(s State, reason string) { c.change(s, reason, States()...) }

// change sets a state if the present one is among from. An ended capture stays
// so.
func (c *Capture) change(to State, reason string, from ...State) { c.move(to, reason, nil, from...) }

func (c *Capture) move(to State, reason string, details map[string]any, from ...State) bool {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	if c.mu.state.Ended() || (c.mu.state == to && c.mu.reason == reason) || !slices.Contains(from, c.mu.state) {
		c.mu.Unlock()
		return false
	}
	c.noteLocked(to, reason, details)
	c.mu.Unlock()
	c.log.Info("capture "+string(to), "reason", reason)
	c.live.pubs.SetIndicator(indicators[to])
	if to.inRoom() {
		return true
	}
	if err := c.saveAndTell(); err != nil {
		c.setTrouble(err)
	}
	return true
}

// indicators are what the room is told in each state.
var indicators = map[State]joiner.Indicator{
	Waiting: joiner.RecordingOff, Recording: joiner.RecordingOn, Paused: joiner.RecordingPaused, Reconnecting: joiner.RecordingOff,
	Finalizing: joiner.RecordingOff, Complete: joiner.RecordingOff, Interrupted: joiner.RecordingOff, Failed: joiner.RecordingOff,
}

func (c *Capture) noteLocked(s State, reason string, details map[string]any) {
	at := time.Now().UTC()
	number := uint64(1)
	if n := len(c.mu.changes); n > 0 {
		number = c.mu.changes[n-1].Number + 1
	}
	c.mu.state, c.mu.reason, c.mu.since = s, reason, at
	c.mu.changes = append(c.mu.changes, change{number, s, reason, at, details})
	c.mu.changes = c.mu.changes[max(0, len(c.mu.changes)-maxChanges):]
}

// saveAndTell makes the changes of the state durable and tells those that were
// not told. What cannot be written is told when it can be: after a crash
// nobody must know more than the capture itself.
func (c *Capture) saveAndTell() error {
	if err := c.save(); err != nil {
		return err
	}
	c.tellSaved()
	return nil
}

// tellSaved tells the changes that were not told.
func (c *Capture) tellSaved() {
	c.mu.Lock()
	var due []change
	for _, ch := range c.mu.changes {
		if ch.Number > c.mu.told {
			due = append(due, ch)
			c.mu.told = ch.Number
		}
	}
	c.mu.Unlock()
	for _, ch := range due {
		s := c.Status()
		s.State, s.Reason, s.Since = ch.State, ch.Reason, storage.At(ch.At)
		c.publish(events.Event{Type: "capture." + string(ch.State), Series: seriesState, Number: ch.Number, At: ch.At}, s, ch.Details)
	}
}

// tellChanges saves and tells what was not when it happened.
func (c *Capture) tellChanges() error {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	n := len(c.mu.changes)
	all := n == 0 || c.mu.changes[n-1].Number == c.mu.told
	c.mu.Unlock()
	if all {
		return nil
	}
	return c.saveAndTell()
}

// eventData is the data of every event about a capture.
type eventData struct {
	Capture Status         `json:"capture"`
	Details map[string]any `json:"details,omitempty"`
}

// tell publishes an event about this capture; it carries the whole of it.
func (c *Capture) tell(kind string, details map[string]any) {
	c.publish(events.Event{Type: kind}, c.Status(), details)
}

func (c *Capture) publish(e events.Event, s Status, details map[string]any) {
	e.Capture, e.Room, e.Data = c.id, c.spec.Room.RoomID, eventData{s, details}
	c.env.Events.Publish(e)
}

// news is what a capture has to tell besides its state: who came and left, which
// segments are sealed. It comes to it again after a crash, with the same
// numbers.
type news struct {
	Series  string         `json:"series"`
	Number  uint64         `json:"number"`
	Kind    string         `json:"kind"`
	At      time.Duration  `json:"at"`
	Details map[string]any `json:"details"`
}

const (
	// maxRoster is how many users and streams are told with news. Larger
	// captures are told without either list: there are as many news as users,
	// and each would be as large.
	maxRoster = 50

	// keepNews is how long news are kept in checkpoints after they happened,
	// and how many: the log of events has them on disk long before.
	keepNews    = 10 * time.Second
	maxKeptNews = 1000
)

// tellNews tells who came and who left since the last time.
func (c *Capture) tellNews() {
	t := c.timeline
	for _, n := range t.news {
		if n.Number > t.toldNews {
			c.tellOne(n)
			t.toldNews = n.Number
		}
	}
	t.forgetNews()
}

func (c *Capture) tellOne(n news) {
	s, details := c.Status(), maps.Clone(n.Details)
	if len(s.Users)+len(s.Streams) > maxRoster {
		s.Users, s.Streams = []storage.User{}, []StreamStatus{}
		details["omitted"] = "users and streams: there are too many"
	}
	c.publish(events.Event{Type: n.Kind, Series: n.Series, Number: n.Number, At: c.clock.utcAt(n.At).Time}, s, details)
	c.recentNews = append(c.recentNews[max(0, len(c.recentNews)-2*maxChanges):], n)
}

// forgetNews lets go of what the log of events has for certain.
func (t *timeline) forgetNews() {
	old := 0
	for old < len(t.news) && (t.news[old].At < t.applied-keepNews || len(t.news)-old > maxKeptNews) {
		old++
	}
	t.news = slices.Delete(t.news, 0, old)
}

// tellAgain tells the last of what an ended capture had to tell; the log of
// events has nearly always heard it.
func (c *Capture) tellAgain(last []news) {
	for _, n := range last {
		c.tellOne(n)
	}
	c.tellSaved()
}

// tellSegment tells that segment n is sealed, with the head of the chain by
// then: whoever keeps it finds out if the recording's end is cut off later.
func (c *Capture) tellSegment(n int, s storage.Segment) {
	c.tellOne(news{seriesSegments, uint64(n), "segment.sealed", c.clock.now(), map[string]any{
		"path": s.Path, "output": s.Output, "index": s.Index, "start": s.Start, "startSample": s.StartSample,
		"samples": s.Samples, "bytes": s.Bytes, "sha256": s.SHA256, "head": s.Chain,
		"seal": storage.SealMark{At: storage.At(time.Now()), Head: s.Chain},
	}})
}

// tellSegmentsAgain tells the last segments of an earlier life.
func (c *Capture) tellSegmentsAgain() {
	all := c.timeline.archive.sealed.Segments
	for i := max(0, len(all)-2*maxChanges); i < len(all); i++ {
		c.tellSegment(i+1, all[i])
	}
}

// tellSealed tells that the recording is sealed.
func (c *Capture) tellSealed() {
	if seal := c.Status().Sealed; seal != nil { // nil: nothing was recorded
		c.tellOne(news{seriesSeal, 1, "recording.sealed", c.clock.now(), map[string]any{"base": c.Base(), "head": seal.Head, "seal": seal}})
	}
}
