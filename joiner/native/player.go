package native

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/signal"
)

// playAgain is the pause after a refused startPlaying.
const playAgain = time.Second

// player plays streams over the login's one peer connection: it asks for
// them, answers offers and leads each track to its stream's slot.
type player struct {
	source track.Source
	wire   *wire
	log    *slog.Logger
	fail   context.CancelCauseFunc // ends the connection

	kick   chan struct{} // there is something to do
	tracks sync.WaitGroup

	mu     sync.Mutex
	slots  map[string]*track.Slot // by stream ID
	asked  map[string]bool        // streams that play, or will when asked for
	asking []string               // streams to ask for
	offers []signal.OfferParams
	ssrcs  map[uint32]string // of each offered stream
	mids   map[string]string
	closed bool
}

func newPlayer(from track.Source, w *wire, log *slog.Logger, fail context.CancelCauseFunc) *player {
	return &player{
		source: from,
		wire:   w,
		log:    log,
		fail:   fail,
		kick:   make(chan struct{}, 1),
		slots:  make(map[string]*track.Slot),
		asked:  make(map[string]bool),
		ssrcs:  make(map[uint32]string),
		mids:   make(map[string]string),
	}
}

// wish is a stream to play and where its packets go.
type wish struct {
	streamID string
	receiver joiner.Receiver
}

// play plays streams, which are asked for at once.
func (p *player) play(wishes []wish) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range wishes {
		p.slot(w.streamID).Set(w.receiver)
		if !p.asked[w.streamID] {
			p.asked[w.streamID] = true
			p.asking = append(p.asking, w.streamID)
		}
	}
	p.wake()
}

// end says that a stream is no more; its receiver gets nothing that comes after
// end has returned.
func (p *player) end(streamID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.slots[streamID]; s != nil {
		s.End()
	}
	delete(p.asked, streamID)
	p.asking = slices.DeleteFunc(p.asking, func(id string) bool { return id == streamID })
}

// offer takes the server's offer; it is answered in turn.
func (p *player) offer(o signal.OfferParams) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = append(p.offers, o)
	p.wake()
}

func (p *player) slot(streamID string) *track.Slot {
	s := p.slots[streamID]
	if s == nil {
		s = new(track.Slot)
		p.slots[streamID] = s
	}
	return s
}

func (p *player) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// run serves the player until ctx ends or its media is lost.
func (p *player) run(ctx context.Context) (err error) {
	var m *track.Connection
	var watching sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(err)
		p.close(m)
		watching.Wait()
	}()
	var refused []string
	again := time.NewTimer(0)
	again.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.kick:
		case <-again.C:
			p.ask(refused)
			refused = nil
		}
		asking, offers := p.work()
		for _, o := range offers {
			first := m == nil
			if first {
				if m, err = p.source.Open(); err != nil {
					return err
				}
				m.PC.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.track(m, t, r) })
			}
			if err := p.answer(ctx, m.PC, o); err != nil {
				return err
			}
			if first {
				watching.Go(func() { cancel(m.Watch(ctx, func() {})) })
			}
		}
		if len(asking) == 0 {
			continue
		}
		err := p.wire.call(ctx, signal.StartPlaying, signal.StreamsParams{StreamIDs: asking}, nil)
		if err != nil && ctx.Err() == nil && code(err) != signal.CodeAlreadyPlaying {
			p.log.Warn("play streams", "streams", len(asking), "err", err)
			refused = append(refused, asking...)
			again.Reset(playAgain)
		}
	}
}

func (p *player) work() (asking []string, offers []signal.OfferParams) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asking, offers = p.asking, p.offers
	p.asking, p.offers = nil, nil
	return asking, offers
}

// ask puts streams that could not be asked for back, if they still are there.
func (p *player) ask(streams []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range streams {
		if p.asked[id] && !slices.Contains(p.asking, id) {
			p.asking = append(p.asking, id)
		}
	}
}

func (p *player) answer(ctx context.Context, pc *webrtc.PeerConnection, o signal.OfferParams) error {
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.SDP}
	if err := p.learn(offer, o.Streams); err != nil {
		return fmt.Errorf("room server's offer: %w", err)
	}
	if err := pc.SetRemoteDescription(offer); err != nil {
		return fmt.Errorf("room server's offer: %w", err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("answer room server's offer: %w", err)
	}
	// The receivers must be there before the server knows that it may send.
	if err := pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("answer room server's offer: %w", err)
	}
	if err := p.wire.call(ctx, signal.Answer, signal.SDP{SDP: answer.SDP}, nil); err != nil {
		return fmt.Errorf("answer room server's offer: %w", err)
	}
	return nil
}

// learn notes which stream each SSRC and each media section carries.
func (p *player) learn(offer webrtc.SessionDescription, streams map[string]string) error {
	parsed, err := offer.Unmarshal()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, section := range parsed.MediaDescriptions {
		mid, _ := section.Attribute("mid")
		streamID, ok := streams[mid]
		if !ok {
			continue
		}
		p.mids[mid] = streamID
		for _, a := range section.Attributes {
			if a.Key != "ssrc" {
				continue
			}
			number, _, _ := strings.Cut(a.Value, " ")
			ssrc, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("SSRC %q: %w", number, err)
			}
			p.ssrcs[uint32(ssrc)] = streamID
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
	streamID, ok := p.ssrcs[uint32(t.SSRC())]
	if !ok {
		streamID, ok = p.mids[r.RTPTransceiver().Mid()]
	}
	if !ok {
		p.log.Warn("a track of no stream", "ssrc", uint32(t.SSRC()))
		return nil
	}
	p.tracks.Add(1)
	return p.slot(streamID)
}

// catch turns a receiver's panic into the connection's end.
func (p *player) catch() {
	if v := recover(); v != nil {
		p.fail(fmt.Errorf("%w: receiver panicked: %v\n%s", joiner.ErrPermanent, v, debug.Stack()))
	}
}

func (p *player) close(m *track.Connection) {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.slots {
		s.Set(nil)
	}
	p.mu.Unlock()
	if m != nil {
		m.Close(p.log)
	}
	p.tracks.Wait()
}
