package livekit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	lk "github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/peer"
)

// sending sends over the present WebSocket.
type sending func(ctx context.Context, m *lk.SignalRequest) error

// player is the login's peer connection for everything that it plays: the
// server offers, it answers and leads each track to its stream's slot.
type player struct {
	source track.Source
	send   sending
	log    *slog.Logger
	fail   context.CancelCauseFunc // ends the connection

	kick   chan struct{} // there is something to do
	tracks sync.WaitGroup

	mu         sync.Mutex
	slots      map[string]*track.Slot // by SID of the track
	red        map[string]bool        // tracks to be received as redundant audio
	offers     []*lk.SessionDescription
	candidates []string
	ssrcs      map[uint32]string // SID of each offered track
	mids       map[string]string
	media      *track.Connection
	closed     bool
}

func newPlayer(from track.Source, send sending, log *slog.Logger, fail context.CancelCauseFunc) *player {
	return &player{
		source: from,
		send:   send,
		log:    log,
		fail:   fail,
		kick:   make(chan struct{}, 1),
		slots:  make(map[string]*track.Slot),
		red:    make(map[string]bool),
		ssrcs:  make(map[uint32]string),
		mids:   make(map[string]string),
	}
}

// play says where the packets of a track go.
func (p *player) play(sid string, red bool, r joiner.Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.red[sid] = red
	p.slot(sid).Set(r)
}

// end says that a track is no more; its receiver gets nothing when end has
// returned.
func (p *player) end(sid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.slots[sid]; s != nil {
		s.Set(nil)
	}
	delete(p.slots, sid)
	delete(p.red, sid)
}

// offer takes the server's offer; it is answered in turn.
func (p *player) offer(o *lk.SessionDescription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = append(p.offers, o)
	p.wake()
}

// candidate takes an address of the server's.
func (p *player) candidate(init string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.candidates = append(p.candidates, init)
	p.wake()
}

func (p *player) slot(sid string) *track.Slot {
	s := p.slots[sid]
	if s == nil {
		s = new(track.Slot)
		p.slots[sid] = s
	}
	return s
}

func (p *player) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// alive says that media may still flow.
func (p *player) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.media != nil && p.media.PC.ConnectionState() == webrtc.PeerConnectionStateConnected
}

// sync tells the server, after the WebSocket was resumed, what we know.
func (p *player) sync(subscribed []string) *lk.SignalRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &lk.SyncState{Subscription: &lk.UpdateSubscription{TrackSids: subscribed, Subscribe: true}}
	if p.media != nil {
		s.Offer, s.Answer = description(p.media.PC.RemoteDescription()), description(p.media.PC.LocalDescription())
	}
	return &lk.SignalRequest{Message: &lk.SignalRequest_SyncState{SyncState: s}}
}

func description(d *webrtc.SessionDescription) *lk.SessionDescription {
	if d == nil {
		return nil
	}
	return &lk.SessionDescription{Type: d.Type.String(), Sdp: d.SDP}
}

// run serves the player until ctx ends or its media is lost.
func (p *player) run(ctx context.Context) (err error) {
	var watching sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(err)
		p.close()
		watching.Wait()
	}()
	var m *track.Connection
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.kick:
		}
		offers, candidates := p.work()
		for _, o := range offers {
			if m == nil {
				if m, err = p.open(ctx); err != nil {
					return err
				}
				watching.Go(func() { cancel(m.Watch(ctx, func() {})) })
			}
			if err := p.answer(ctx, m.PC, o); err != nil {
				return err
			}
		}
		for _, c := range candidates {
			addCandidate(m.PC, c, p.log)
		}
	}
}

// work returns what is to be done: candidates wait for the first offer.
func (p *player) work() (offers []*lk.SessionDescription, candidates []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offers, p.offers = p.offers, nil
	if p.media != nil || len(offers) > 0 {
		candidates, p.candidates = p.candidates, nil
	}
	return offers, candidates
}

func (p *player) open(ctx context.Context) (*track.Connection, error) {
	m, err := p.source.Open()
	if err != nil {
		return nil, err
	}
	m.PC.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.track(m, t, r) })
	m.PC.OnICECandidate(func(c *webrtc.ICECandidate) { trickle(ctx, p.send, c, lk.SignalTarget_SUBSCRIBER) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.media = m
	return m, nil
}

// trickle tells the server an address of ours.
func trickle(ctx context.Context, send sending, c *webrtc.ICECandidate, target lk.SignalTarget) {
	if c == nil {
		return
	}
	init, err := json.Marshal(c.ToJSON())
	if err != nil {
		return // plain values
	}
	// One that is lost with the WebSocket is told again when ICE restarts.
	_ = send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_Trickle{
		Trickle: &lk.TrickleRequest{CandidateInit: string(init), Target: target},
	}})
}

// addCandidate takes an address of the server's. One that ICE cannot use, as
// TCP, is no loss while there are others.
func addCandidate(pc *webrtc.PeerConnection, init string, log *slog.Logger) {
	var c webrtc.ICECandidateInit
	err := json.Unmarshal([]byte(init), &c)
	if err == nil {
		err = pc.AddICECandidate(c)
	}
	if err != nil {
		log.Debug("LiveKit's candidate", "err", err)
	}
}

func (p *player) answer(ctx context.Context, pc *webrtc.PeerConnection, o *lk.SessionDescription) error {
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.Sdp}
	if err := p.learn(offer, o.MidToTrackId); err != nil {
		return fmt.Errorf("LiveKit's offer: %w", err)
	}
	if err := pc.SetRemoteDescription(offer); err != nil {
		return fmt.Errorf("LiveKit's offer: %w", err)
	}
	if err := p.prefer(pc); err != nil {
		return fmt.Errorf("answer LiveKit's offer: %w", err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("answer LiveKit's offer: %w", err)
	}
	// The receivers must be there before the server knows that it may send.
	if err := pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("answer LiveKit's offer: %w", err)
	}
	// An answer that is lost with the WebSocket is asked for again.
	_ = p.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_Answer{
		Answer: &lk.SessionDescription{Type: "answer", Sdp: answer.SDP, Id: o.Id},
	}})
	return nil
}

// learn notes which track each SSRC and each media section carries.
func (p *player) learn(offer webrtc.SessionDescription, mids map[string]string) error {
	parsed, err := offer.Unmarshal()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, section := range parsed.MediaDescriptions {
		mid, _ := section.Attribute("mid")
		sid := mids[mid]
		if msid, ok := section.Attribute("msid"); ok && sid == "" {
			_, sid, _ = strings.Cut(msid, " ")
		}
		if sid == "" || section.MediaName.Media != "audio" {
			continue
		}
		p.mids[mid] = sid
		for _, a := range section.Attributes {
			if a.Key != "ssrc" {
				continue
			}
			number, _, _ := strings.Cut(a.Value, " ")
			ssrc, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("SSRC %q: %w", number, err)
			}
			p.ssrcs[uint32(ssrc)] = sid
		}
	}
	return nil
}

// prefer says for each track in which form it is to come: as its publisher
// sends it. Redundant audio of the server's own making cannot be sent again,
// when it is lost.
func (p *player) prefer(pc *webrtc.PeerConnection) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range pc.GetTransceivers() {
		if t.Kind() != webrtc.RTPCodecTypeAudio || p.red[p.mids[t.Mid()]] {
			continue
		}
		var plain []webrtc.RTPCodecParameters
		for _, c := range t.Receiver().GetParameters().Codecs {
			if !strings.EqualFold(c.MimeType, peer.RedType) {
				plain = append(plain, c)
			}
		}
		if err := t.SetCodecPreferences(plain); err != nil {
			return err
		}
	}
	return nil
}

// track receives a track to its end. pion calls it on a goroutine of its own,
// with the first packet waiting in t.
func (p *player) track(m *track.Connection, t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	s := p.enter(t, r)
	if s == nil {
		return
	}
	defer p.tracks.Done()
	p.tracks.Go(func() {
		defer p.catch()
		track.Reports(r, s)
	})
	defer p.catch()
	m.Packets(t, r, s)
}

// enter finds a track's slot and counts the track, or returns nil.
func (p *player) enter(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) *track.Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	sid, ok := p.ssrcs[uint32(t.SSRC())]
	if !ok {
		sid, ok = p.mids[r.RTPTransceiver().Mid()]
	}
	if !ok {
		p.log.Warn("a track that nobody told of", "ssrc", uint32(t.SSRC()))
		return nil
	}
	s := p.slots[sid]
	if s == nil {
		return nil // it ended meanwhile
	}
	p.tracks.Add(1)
	return s
}

// catch turns a receiver's panic into the connection's end.
func (p *player) catch() {
	if v := recover(); v != nil {
		p.fail(fmt.Errorf("%w: receiver panicked: %v\n%s", joiner.ErrPermanent, v, debug.Stack()))
	}
}

func (p *player) close() {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.slots {
		s.Set(nil)
	}
	m := p.media
	p.mu.Unlock()
	if m != nil {
		m.Close(p.log)
	}
	p.tracks.Wait()
}
