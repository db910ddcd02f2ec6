package sfu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

const (
	// youth is how old a stream may be when a player asks for its backlog.
	youth = 5 * time.Second
	// childhood is how long a stream keeps all it sent: a player that asked in
	// time may still have to connect.
	childhood        = 2 * youth
	childhoodPackets = 4096 // 2.5 ms frames
)

// UpstreamEvents tells what becomes of a published stream. The calls come from
// media goroutines and must return fast; Closed is the last one and comes
// once, with nil after [Upstream.Close] or [Server.Close].
type UpstreamEvents struct {
	Connected func()
	Closed    func(err error)
}

// Upstream is a published stream.
type Upstream struct {
	*life
	events    UpstreamEvents
	connected bool // run's own
	taken     atomic.Bool

	mu       sync.Mutex
	history  history
	young    []packet // all packets, while the first is younger than childhood
	first    time.Time
	forwards []*forward // copied on write
	report   *rtcp.SenderReport
	meter    meter
}

// Publish takes a publisher's offer (audio, sendonly) and answers it, all
// candidates included; the publisher need not trickle. The error wraps
// [ErrBadSDP] when the offer is refused. ctx limits the call only: the stream
// lives until Close, or until the publisher is gone.
//
// RTCP NACK is answered only if the offer has it: an answer must not add
// feedback (RFC 4585, section 4.2). Browsers offer none for audio, so a client
// that wants its losses repaired adds "a=rtcp-fb:111 nack" to its offer.
func (s *Server) Publish(ctx context.Context, offer string, ev UpstreamEvents) (string, *Upstream, error) {
	if err := checkOffer(offer, "sendonly", "sendrecv"); err != nil {
		return "", nil, fmt.Errorf("publish: %w", err)
	}
	l, err := s.newLife()
	if err != nil {
		return "", nil, fmt.Errorf("publish: %w", err)
	}
	u := &Upstream{life: l, events: ev}
	l.pc.OnTrack(u.track)
	answer, err := l.answer(ctx, offer)
	if err == nil {
		err = l.start(u.step, u.ended)
	}
	if err != nil {
		l.abandon()
		return "", nil, fmt.Errorf("publish: %w", err)
	}
	l.expect()
	return allowStereo(answer), u, nil
}

// Close ends the stream; its players hear nothing more. It returns at once and
// may be called from anywhere; Closed follows, and [Server.Close] waits for it.
func (u *Upstream) Close() error {
	u.end(nil)
	return nil
}

// Level is the loudness in dBov, -127 to 0, over the last half second, by the
// publisher's own audio levels (RFC 6464); -127 when there are none.
func (u *Upstream) Level() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.meter.level(time.Now())
}

func (u *Upstream) step() {
	if !u.connected && u.pc.ConnectionState() == webrtc.PeerConnectionStateConnected {
		u.connected = true
		if u.events.Connected != nil {
			u.events.Connected()
		}
	}
}

func (u *Upstream) ended(err error) {
	u.mu.Lock()
	u.forwards, u.young = nil, nil
	u.mu.Unlock()
	if u.events.Closed != nil {
		u.events.Closed(err)
	}
}

// track takes the publisher's one track; a second one is not forwarded.
func (u *Upstream) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	if !u.taken.CompareAndSwap(false, true) {
		return
	}
	var level uint8
	negotiated := receiver.GetParameters()
	for _, x := range negotiated.HeaderExtensions {
		if x.URI == peer.LevelURI {
			level = uint8(x.ID)
		}
	}
	u.media(func() error { return u.receive(track, level, formatsOf(negotiated.Codecs)) })
	u.media(func() error { return u.receiveReports(receiver, uint32(track.SSRC())) })
}

// receive forwards the track's packets until the connection ends. levelID is
// the negotiated id of the audio level, 0 for none.
func (u *Upstream) receive(track *webrtc.TrackRemote, levelID uint8, types formats) error {
	buf := make([]byte, 1500)
	var in rtp.Packet
	for {
		n, _, err := track.Read(buf)
		switch {
		case err != nil && n > 0:
			continue // a payload type that was not negotiated
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe):
			return nil // the connection ends, and says why itself
		case err != nil:
			return fmt.Errorf("receive RTP: %w", err)
		}
		if p, ok := parse(&in, buf[:n], levelID, types); ok {
			u.push(&p)
		}
	}
}

// push hands a packet to every player. It is called by one goroutine.
func (u *Upstream) push(p *packet) {
	u.mu.Lock()
	u.history.add(p)
	if p.hasLevel {
		u.meter.add(p.at, -int(p.level&0x7f))
	}
	if u.first.IsZero() {
		u.first = p.at
	}
	if p.at.Sub(u.first) < childhood && len(u.young) < childhoodPackets {
		u.young = append(u.young, p.clone())
	} else {
		u.young = nil
	}
	forwards := u.forwards
	u.mu.Unlock()
	for _, f := range forwards {
		f.push(u, p)
	}
}

// isYoung says whether a player that asks now gets all packets.
func (u *Upstream) isYoung() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.first.IsZero() || time.Since(u.first) < youth
}

// attach makes f a player of u. With backlog it first gets what a young
// stream has sent so far; no packet is lost or doubled between that and the
// live ones. It returns when the backlog is sent.
func (u *Upstream) attach(f *forward, backlog bool) {
	u.mu.Lock()
	var queue []packet
	if backlog {
		queue = append(queue, u.young...)
	}
	f.begin(u, queue, backlog && (len(queue) > 0 || u.first.IsZero()))
	u.forwards = append(u.forwards[:len(u.forwards):len(u.forwards)], f)
	report := u.report
	u.mu.Unlock()
	f.drain()
	if report != nil {
		f.report(u, report)
	}
}

func (u *Upstream) detach(f *forward) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := make([]*forward, 0, len(u.forwards))
	for _, g := range u.forwards {
		if g != f {
			kept = append(kept, g)
		}
	}
	u.forwards = kept
}

// find copies the packet with this sequence number into p, whose payload is
// reused.
func (u *Upstream) find(seq uint16, p *packet) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.history.find(seq, p)
}

// receiveReports hands the publisher's sender reports on.
func (u *Upstream) receiveReports(receiver *webrtc.RTPReceiver, ssrc uint32) error {
	buf := make([]byte, 1500)
	for {
		n, _, err := receiver.Read(buf)
		if err != nil {
			return nil // the connection ends, and says why itself
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		for _, p := range packets {
			report, ok := p.(*rtcp.SenderReport)
			if !ok || report.SSRC != ssrc {
				continue
			}
			u.mu.Lock()
			u.report = report
			forwards := u.forwards
			u.mu.Unlock()
			for _, f := range forwards {
				f.report(u, report)
			}
		}
	}
}
