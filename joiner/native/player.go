package native

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pion/sdp/v3"
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
	fail   func(error) // ends the connection

	kick  chan struct{} // there is something to do
	slots track.Slots   // by stream ID

	mu     sync.Mutex
	asked  map[string]bool // streams that play, or will when asked for
	asking []string        // streams to ask for
	offers []signal.OfferParams
}

func newPlayer(from track.Source, w *wire, log *slog.Logger, fail func(error)) *player {
	return &player{
		source: from,
		wire:   w,
		log:    log,
		fail:   fail,
		kick:   make(chan struct{}, 1),
		asked:  make(map[string]bool),
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
		p.slots.Set(w.streamID, w.receiver)
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
	p.slots.End(streamID)
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
				m.Receive(p.find, p.fail)
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
	if err := p.slots.Learn(offer, func(mid string, _ *sdp.MediaDescription) string { return o.Streams[mid] }); err != nil {
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

// find finds the slot of a track.
func (p *player) find(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) *track.Slot {
	slot, known := p.slots.Find(t, r)
	if !known {
		p.log.Warn("a track of no stream", "ssrc", uint32(t.SSRC()))
	}
	return slot
}

func (p *player) close(m *track.Connection) {
	p.slots.Clear()
	if m != nil {
		m.Close(p.log)
	}
}
