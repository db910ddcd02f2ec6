package joiner

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/pion/rtp"
)

// Publications is what a participant wants, whichever connection exists at the
// moment: the streams that it publishes, the recording indicator, and to be
// offered again what it did not play. The capture fills it, the [System]
// follows it. The zero value is ready; all methods may be
// called from any goroutine.
type Publications struct {
	mu        sync.Mutex
	list      []*Publication
	indicator Indicator
	offers    int
	changed   chan struct{}
}

// Indicator is what a hidden login tells the room about the recording.
type Indicator string

// The values of an Indicator. RecordingUnknown, the zero value, tells nothing.
const (
	RecordingUnknown Indicator = ""
	RecordingOff     Indicator = "false"
	RecordingOn      Indicator = "true"
	RecordingPaused  Indicator = "paused"
)

// Add publishes a stream with the given number of channels (1 or 2) and
// returns the place where its packets go. Adding a stream that is there
// returns it, with the new extraInfo.
func (p *Publications) Add(streamID, extraInfo string, channels int) *Publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.list {
		if q.streamID == streamID {
			if q.setExtraInfo(extraInfo) {
				p.notify()
			}
			return q
		}
	}
	q := NewPublication(streamID, channels)
	q.extraInfo = extraInfo
	p.list = append(p.list, q)
	p.notify()
	return q
}

// Remove ends a stream. Packets written to it afterwards are dropped.
func (p *Publications) Remove(streamID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.list)
	p.list = slices.DeleteFunc(p.list, func(q *Publication) bool { return q.streamID == streamID })
	if len(p.list) != n {
		p.notify()
	}
}

// List returns the streams in the order in which they were added.
func (p *Publications) List() []*Publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// SetIndicator tells the room what the recording does. It is sent after each
// login and at each change, by hidden logins only.
func (p *Publications) SetIndicator(i Indicator) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.indicator != i {
		p.indicator = i
		p.notify()
	}
}

// Indicator returns what SetIndicator set last.
func (p *Publications) Indicator() Indicator {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.indicator
}

// OfferAgain asks the System to offer the streams that are there and not
// played once more: the room's mind has changed.
func (p *Publications) OfferAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers++
	p.notify()
}

// Offers is how often OfferAgain was called.
func (p *Publications) Offers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offers
}

// Changed returns a channel that is closed at the next change of the list, of
// a stream's extra info, of the indicator or of Offers. Take it before reading
// them.
func (p *Publications) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *Publications) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// OutPacket is one Opus packet to publish.
type OutPacket struct {
	Pos     int64 // first sample, 48 kHz, of the mix's clock
	Samples int   // duration at 48 kHz
	Level   uint8 // RFC 6464: -dBov, 0 loudest, 127 silence
	Payload []byte
}

// PacketWriter is a connection's end of a publication. WriteRTP is called by
// one goroutine at a time; it must not block and must not keep p. It may set
// the header's payload type, SSRC and extensions. level is the audio level of
// [OutPacket].
type PacketWriter interface {
	WriteRTP(p *rtp.Packet, level uint8) error
}

// Publication is one stream that a participant publishes.
//
// The RTP time of a packet is a random base plus its position, so it follows
// the mix's clock through silence, pauses of sending (DTX) and reconnects and
// never goes back. Sequence numbers have no holes, whatever was dropped.
type Publication struct {
	streamID string
	channels int
	base     uint32

	mu        sync.Mutex
	extraInfo string
	out       PacketWriter
	pause     bool // the next packet does not follow on the one sent before
	next      int64
	sequence  uint16
	packet    rtp.Packet
	stats     PublicationStats
}

// PublicationStats tells how a publication fares.
type PublicationStats struct {
	Published bool   // media flows to the room system
	Err       error  // why not, if it does not
	Sent      uint64 // packets
	Dropped   uint64 // packets, for want of a connection or because they came out of order
}

// NewPublication returns a publication that is no part of a room: a [Pusher]
// takes it. Channels is 1 or 2.
func NewPublication(streamID string, channels int) *Publication {
	p := &Publication{streamID: streamID, channels: channels, base: rand.Uint32(), sequence: uint16(rand.Uint32())}
	p.packet.Version = 2
	return p
}

// StreamID returns the stream's ID.
func (p *Publication) StreamID() string { return p.streamID }

// Channels returns the number of channels, 1 or 2.
func (p *Publication) Channels() int { return p.channels }

// ExtraInfo returns the stream's extra info.
func (p *Publication) ExtraInfo() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.extraInfo
}

func (p *Publication) setExtraInfo(s string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.extraInfo != s
	p.extraInfo = s
	return changed
}

// Stats returns the present figures.
func (p *Publication) Stats() PublicationStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// WritePacket sends one packet; positions must rise. It never blocks: while
// there is no connection the packet is dropped and counted, which is no error.
// It does not keep the payload.
func (p *Publication) WritePacket(o OutPacket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Pos < p.next {
		p.stats.Dropped++
		return fmt.Errorf("publish %s: packet at sample %d comes after sample %d", p.streamID, o.Pos, p.next)
	}
	pause := p.pause || o.Pos != p.next
	p.next = o.Pos + int64(o.Samples)
	p.pause = pause
	if p.out == nil {
		p.stats.Dropped++
		return nil
	}
	p.packet.Header = rtp.Header{
		Version:        2,
		Marker:         pause,
		SequenceNumber: p.sequence,
		Timestamp:      p.base + uint32(o.Pos),
		Extensions:     p.packet.Extensions[:0],
	}
	p.packet.Payload = o.Payload
	err := p.out.WriteRTP(&p.packet, o.Level)
	p.packet.Payload = nil
	if err != nil {
		p.stats.Dropped++
		return fmt.Errorf("publish %s: %w", p.streamID, err)
	}
	p.pause = false
	p.sequence++
	p.stats.Sent++
	return nil
}

// Attach is called by a [System] when a connection can take packets; the next
// packet carries the marker.
func (p *Publication) Attach(w PacketWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out, p.pause = w, true
	p.stats.Published, p.stats.Err = true, nil
}

// Detach is called by a [System] when the connection ends or could not be
// made; err says why and may be nil. w's methods are not called after it
// returns.
func (p *Publication) Detach(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out, p.pause = nil, true
	p.stats.Published, p.stats.Err = false, err
}
