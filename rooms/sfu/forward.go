package sfu

import (
	"errors"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

const (
	// drainBatch is how many packets of a backlog are written before the
	// stream's live packets may queue up behind it.
	drainBatch = 16
	// resendRate and resendBurst limit the packets per second that a player
	// can make us send again: one small NACK asks for thousands.
	resendRate  = 1000
	resendBurst = 1000
)

// forward is one stream on its way to one player: a track of the player's
// connection (webrtc.TrackLocal) that an Upstream writes to.
//
// The SSRC stays for as long as the track does. When another Upstream takes
// the first one's place, its sequence numbers and time stamps are shifted, by
// constants, to go on where the first ended: SRTP and every receiver take a
// jump under the same SSRC for loss or attack. Before that they are untouched.
type forward struct {
	id        string
	writeRTCP func([]rtcp.Packet) error

	mu       sync.Mutex
	writer   webrtc.TrackLocalWriter // nil while the connection does not want packets
	ssrc     uint32
	header   rtp.Header // the player's; what is the publisher's is filled in
	types    formats    // what the player takes
	leveled  bool       // the header carries an audio level
	level    [1]byte
	source   *Upstream
	queue    []packet // to be sent before anything else, while draining
	draining bool

	// Where the present source stands in the outgoing numbers. position counts
	// packets since the source's first one.
	fresh     bool // nothing of the source was sent yet
	whole     bool // the source is sent from its first packet on
	seqShift  uint16
	timeShift uint32
	sent      bool // something was sent under this SSRC
	newest    uint16
	position  int64
	newestTS  uint32
	newestAt  time.Time

	packets, octets uint32             // for sender reports
	owed            *rtcp.SenderReport // came before the source's first packet

	tokens   float64 // resends allowed now
	tokensAt time.Time
}

// ID, RID, StreamID and Kind name the track in the session description.
func (f *forward) ID() string                { return f.id }
func (f *forward) RID() string               { return "" }
func (f *forward) StreamID() string          { return f.id }
func (f *forward) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

var errNoOpus = errors.New("the player takes no Opus")

// Bind takes what was negotiated: it is called when the answer is applied.
func (f *forward) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	types := formatsOf(c.CodecParameters())
	if types.opus != peer.PayloadType {
		types.red = 0 // the blocks inside have our type for Opus
	}
	for _, codec := range c.CodecParameters() {
		if codec.MimeType != webrtc.MimeTypeOpus || codec.ClockRate != 48000 {
			continue
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.writer, f.ssrc = c.WriteStream(), uint32(c.SSRC())
		f.types, f.header = types, rtp.Header{Version: 2, SSRC: f.ssrc}
		f.leveled = false
		for _, x := range c.HeaderExtensions() {
			if x.URI == peer.LevelURI && x.ID > 0 && x.ID < 15 { // one-byte headers, RFC 8285
				f.leveled = f.header.SetExtension(uint8(x.ID), f.level[:]) == nil
			}
		}
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, errNoOpus
}

// Unbind is called when the track leaves the connection.
func (f *forward) Unbind(webrtc.TrackLocalContext) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writer = nil
	return nil
}

// play forwards u from now on, or with its backlog first, in place of what was
// forwarded before. It is called once the connection stands.
func (f *forward) play(u *Upstream, backlog bool) {
	f.stop()
	u.attach(f, backlog)
}

// stop ends forwarding.
func (f *forward) stop() {
	f.mu.Lock()
	old := f.source
	f.source, f.queue, f.draining, f.owed = nil, nil, false, nil
	f.mu.Unlock()
	if old != nil {
		old.detach(f)
	}
}

// begin makes u the source; queue is sent first, by drain. whole says that it
// is all that u has sent, so that what is older than its first packet is only
// late. The caller holds u's lock.
func (f *forward) begin(u *Upstream, queue []packet, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source, f.queue, f.draining = u, queue, len(queue) > 0
	f.fresh, f.whole, f.position, f.owed = true, whole && !f.sent, 0, nil
	if len(queue) > 0 {
		// The stream begins with its lowest number, not with the packet that
		// happened to arrive first.
		first := &queue[0]
		for i := range queue {
			if int16(queue[i].seq-first.seq) < 0 {
				first = &queue[i]
			}
		}
		f.anchor(first)
	}
}

// anchor fits the source's first packet to what was sent before.
func (f *forward) anchor(p *packet) {
	f.fresh = false
	f.seqShift, f.timeShift = 0, 0
	if f.sent {
		elapsed := max(p.at.Sub(f.newestAt), 20*time.Millisecond)
		f.seqShift = f.newest + 1 - p.seq
		f.timeShift = f.newestTS + uint32(elapsed.Microseconds()*48/1000) - p.ts
	}
	f.newest, f.position = p.seq+f.seqShift, 0
	f.newestTS, f.newestAt = p.ts+f.timeShift, p.at
}

// drain sends the queue and lets the live packets follow.
func (f *forward) drain() {
	for {
		f.mu.Lock()
		n := min(drainBatch, len(f.queue))
		for i := range f.queue[:n] {
			f.send(&f.queue[i])
		}
		f.queue = f.queue[n:]
		if len(f.queue) == 0 {
			f.queue, f.draining = nil, false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// push forwards a live packet of u.
func (f *forward) push(u *Upstream, p *packet) {
	f.mu.Lock()
	var owed *rtcp.SenderReport
	switch {
	case f.source != u:
	case f.draining:
		f.queue = append(f.queue, p.clone())
	default:
		f.send(p)
		owed, f.owed = f.owed, nil
	}
	f.mu.Unlock()
	if owed != nil {
		f.report(u, owed)
	}
}

// send writes a packet for the first time. The caller holds the lock.
func (f *forward) send(p *packet) {
	if f.fresh {
		f.anchor(p)
	}
	ahead := int16(p.seq + f.seqShift - f.newest)
	if f.position+int64(ahead) < 0 && !f.whole {
		return // before this player's time; its number may belong to another
	}
	if ahead > 0 {
		f.newest += uint16(ahead)
		f.position += int64(ahead)
		f.newestTS, f.newestAt = p.ts+f.timeShift, p.at
	}
	f.sent = true
	f.write(p)
}

// write rewrites the header and writes. The caller holds the lock. A write
// that fails is a lost packet: the player asks again or its connection ends.
func (f *forward) write(p *packet) {
	if f.writer == nil {
		return
	}
	h, payload := &f.header, p.payload
	h.PayloadType = f.types.opus
	switch {
	case p.red && f.types.red != 0:
		h.PayloadType = f.types.red
	case p.red:
		payload = primary(p.payload)
	}
	h.Marker = p.marker
	h.SequenceNumber = p.seq + f.seqShift
	h.Timestamp = p.ts + f.timeShift
	f.level[0] = p.level
	h.Extension = f.leveled && p.hasLevel
	if _, err := f.writer.WriteRTP(h, payload); err != nil {
		return
	}
	f.packets++
	f.octets += uint32(len(payload))
}

// report forwards a sender report of u: the publisher's clock, our SSRC and
// counts.
func (f *forward) report(u *Upstream, r *rtcp.SenderReport) {
	f.mu.Lock()
	if f.source != u || f.writer == nil || f.fresh {
		if f.source == u {
			f.owed = r
		}
		f.mu.Unlock()
		return
	}
	forwarded := &rtcp.SenderReport{
		SSRC:        f.ssrc,
		NTPTime:     r.NTPTime,
		RTPTime:     r.RTPTime + f.timeShift,
		PacketCount: f.packets,
		OctetCount:  f.octets,
	}
	f.mu.Unlock()
	_ = f.writeRTCP([]rtcp.Packet{forwarded}) // lost like any other; the next one comes
}

// serve answers the player's NACKs until its sender is stopped.
func (f *forward) serve(sender *webrtc.RTPSender) error {
	buf := make([]byte, 1500)
	var again packet
	for {
		n, _, err := sender.Read(buf)
		if err != nil {
			return nil // the track or the connection ends, and says why itself
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		for _, p := range packets {
			if nack, ok := p.(*rtcp.TransportLayerNack); ok {
				f.resend(nack, &again)
			}
		}
	}
}

// resend sends again what the player misses; again is scratch space.
func (f *forward) resend(nack *rtcp.TransportLayerNack, again *packet) {
	for i := range nack.Nacks {
		nack.Nacks[i].Range(func(seq uint16) bool {
			u, original, ok := f.missing(nack.MediaSSRC, seq)
			if !ok || !u.find(original, again) {
				return true
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.source == u {
				f.write(again)
			}
			return true
		})
	}
}

// missing says which packet of which source the player means by seq, if it was
// sent and may be sent again.
func (f *forward) missing(ssrc uint32, seq uint16) (*Upstream, uint16, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := f.newest - seq
	if f.source == nil || ssrc != f.ssrc || !f.sent || f.fresh || behind >= historySize {
		return nil, 0, false
	}
	if f.position-int64(behind) < 0 && !f.whole {
		return nil, 0, false
	}
	now := time.Now()
	f.tokens = min(resendBurst, f.tokens+now.Sub(f.tokensAt).Seconds()*resendRate)
	f.tokensAt = now
	if f.tokens < 1 {
		return nil, 0, false
	}
	f.tokens--
	return f.source, seq - f.seqShift, true
}
