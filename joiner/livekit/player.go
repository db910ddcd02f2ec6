package livekit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	lk "github.com/livekit/protocol/livekit"
	"github.com/pion/sdp/v3"
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

	kick  chan struct{} // there is something to do
	slots track.Slots   // by SID of the track

	mu         sync.Mutex
	red        map[string]bool // tracks to be received as redundant audio
	offers     []*lk.SessionDescription
	candidates []string
	media      *track.Connection
}

func newPlayer(from track.Source, send sending, log *slog.Logger, fail context.CancelCauseFunc) *player {
	return &player{
		source: from,
		send:   send,
		log:    log,
		fail:   fail,
		kick:   make(chan struct{}, 1),
		red:    make(map[string]bool),
	}
}

// play says where the packets of a track go.
func (p *player) play(sid string, red bool, r joiner.Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.red[sid] = red
	p.slots.Set(sid, r)
}

// end says that a track is no more; its receiver gets nothing that comes after
// end has returned.
func (p *player) end(sid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots.End(sid)
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
	m.Receive(p.find, func(err error) { p.fail(err) })
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
	if err := p.slots.Learn(offer, func(mid string, m *sdp.MediaDescription) string { return trackOf(mid, m, o.MidToTrackId) }); err != nil {
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

// trackOf is the SID of the track in a media section.
func trackOf(mid string, m *sdp.MediaDescription, mids map[string]string) string {
	if m.MediaName.Media != "audio" {
		return ""
	}
	if sid := mids[mid]; sid != "" {
		return sid
	}
	msid, _ := m.Attribute("msid")
	_, sid, _ := strings.Cut(msid, " ")
	return sid
}

// prefer says for each track in which form it is to come: as its publisher
// sends it. Redundant audio of the server's own making cannot be sent again,
// when it is lost.
func (p *player) prefer(pc *webrtc.PeerConnection) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range pc.GetTransceivers() {
		if t.Kind() != webrtc.RTPCodecTypeAudio || p.red[p.slots.Name(t.Mid())] {
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

// find finds the slot of a track.
func (p *player) find(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) *track.Slot {
	slot, known := p.slots.Find(t, r)
	if !known {
		p.log.Warn("a track that nobody told of", "ssrc", uint32(t.SSRC()))
	}
	return slot
}

func (p *player) close() {
	p.slots.Clear()
	p.mu.Lock()
	m := p.media
	p.mu.Unlock()
	if m != nil {
		m.Close(p.log)
	}
}
