package joinertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
)

// Ear is a joiner.Room that plays every stream and keeps what it is told and
// what it hears.
type Ear struct {
	Refuse bool // play nothing

	mu      sync.Mutex
	lines   []string
	streams map[string]*Heard
	err     error // of the last state
	state   joiner.State
}

// Heard is what came of one stream, over all connections.
type Heard struct {
	mu      sync.Mutex
	stream  joiner.Stream
	packets []Packet
	reports []Report
	ended   time.Time
	late    int // packets that came after the end
}

// Packet is one packet that was heard.
type Packet struct {
	Number    int64 // of its payload
	Sequence  uint16
	Timestamp uint32
	SSRC      uint32
	Marker    bool
	Level     uint8
	At        time.Time
}

// Report is one sender report.
type Report struct {
	joiner.SenderReport
	At time.Time
}

// NewEar returns an Ear that has heard nothing.
func NewEar() *Ear { return &Ear{streams: make(map[string]*Heard)} }

// Event implements joiner.Room.
func (e *Ear) Event(event joiner.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch event := event.(type) {
	case joiner.StateChanged:
		e.state, e.err = event.State, event.Err
		e.lines = append(e.lines, string(event.State))
	case joiner.UserAdded:
		e.lines = append(e.lines, "+ "+event.User.ID)
	case joiner.UserRemoved:
		e.lines = append(e.lines, "- "+event.User.ID)
	case joiner.StreamRemoved:
		e.lines = append(e.lines, fmt.Sprintf("end %s: %s", event.StreamID, event.Reason))
		if h := e.streams[event.StreamID]; h != nil {
			h.mu.Lock()
			h.ended = time.Now()
			h.mu.Unlock()
		}
	case joiner.StreamChanged:
		e.lines = append(e.lines, fmt.Sprintf("info %s: %s", event.Stream.ID, event.Stream.ExtraInfo))
	}
}

// Stream implements joiner.Room.
func (e *Ear) Stream(s joiner.Stream) joiner.Receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, "stream "+s.ID)
	if e.Refuse {
		return nil
	}
	h := e.streams[s.ID]
	if h == nil {
		h = &Heard{}
		e.streams[s.ID] = h
	}
	h.mu.Lock()
	h.stream, h.ended = s, time.Time{}
	h.mu.Unlock()
	return h
}

// Packet implements joiner.Receiver.
func (h *Heard) Packet(p *rtp.Packet, level uint8, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended.IsZero() && !at.Before(h.ended) {
		h.late++
	}
	h.packets = append(h.packets, Packet{Number(p.Payload), p.SequenceNumber, p.Timestamp, p.SSRC, p.Marker, level, at})
}

// Report implements joiner.Receiver.
func (h *Heard) Report(r joiner.SenderReport, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, Report{r, at})
}

// Take returns what was told since the last Take, a line each: "+ ann",
// "stream ann-voice", "info ann-voice: x", "end ann-voice: why", "- ann", and
// the states by name.
func (e *Ear) Take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := e.lines
	e.lines = nil
	return lines
}

// Told says whether a line was told since the last Take.
func (e *Ear) Told(line string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.lines, line)
}

// Of is what was heard of a stream.
func (e *Ear) Of(streamID string) *Heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.streams[streamID]; h != nil {
		return h
	}
	return &Heard{}
}

// State is the login's last state, and why.
func (e *Ear) State() (joiner.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state, e.err
}

// Stream is the stream as it was told last.
func (h *Heard) Stream() joiner.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stream
}

// Received returns copies of what arrived.
func (h *Heard) Received() ([]Packet, []Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.packets), slices.Clone(h.reports)
}

// Stray is how many packets were given out that came after the end was told.
func (h *Heard) Stray() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

// Numbers lists the packets' numbers in the order in which they came.
func (h *Heard) Numbers() []int64 {
	packets, _ := h.Received()
	var list []int64
	for _, p := range packets {
		list = append(list, p.Number)
	}
	return list
}

// Missing lists the numbers of [from, to) that did not arrive.
func (h *Heard) Missing(from, to int64) []int64 {
	numbers := h.Numbers()
	slices.Sort(numbers)
	var list []int64
	for n := from; n < to; n++ {
		if _, ok := slices.BinarySearch(numbers, n); !ok {
			list = append(list, n)
		}
	}
	return list
}
