package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/signal"
)

const (
	publishAgain    = time.Second
	publishAgainMax = 8 * time.Second
)

// publisher publishes one publication during a connection, again and again if
// its media is lost.
type publisher struct {
	source track.Source
	wire   *wire
	log    *slog.Logger
	pub    *joiner.Publication
	cancel context.CancelCauseFunc // ends run: the publication was removed (nil), or errGivenUp

	updated chan struct{} // the extra info may have changed
	ended   chan error    // the server lost the media
}

// errGivenUp ends a publisher: the server does not want the stream.
var errGivenUp = errors.New("room server ended the publication")

func newPublisher(from track.Source, w *wire, log *slog.Logger, pub *joiner.Publication, cancel context.CancelCauseFunc) *publisher {
	return &publisher{
		source:  from,
		wire:    w,
		log:     log.With("stream", pub.StreamID()),
		pub:     pub,
		cancel:  cancel,
		updated: make(chan struct{}, 1),
		ended:   make(chan error, 1),
	}
}

// update looks at the publication's extra info anew.
func (p *publisher) update() {
	select {
	case p.updated <- struct{}{}:
	default:
	}
}

// state takes the server's publisherStateUpdate. With a code it asks to publish
// again, unless somebody removed the stream.
func (p *publisher) state(s signal.StreamStateParams) {
	if s.ErrorCode == 0 || s.State == signal.Publishing {
		return
	}
	if s.State == signal.NoPublish && s.ErrorCode == signal.CodePublishForbidden {
		p.cancel(fmt.Errorf("%w (code %d)", errGivenUp, s.ErrorCode))
		return
	}
	select {
	case p.ended <- fmt.Errorf("room server lost the media (code %d)", s.ErrorCode):
	default:
	}
}

// run publishes until ctx ends. work is the connection's: while it lasts, the
// server is told of the end.
func (p *publisher) run(ctx, work context.Context) {
	wait := publishAgain
	for {
		err := p.publish(ctx, func() { wait = publishAgain })
		p.pub.Detach(err)
		if ctx.Err() != nil {
			break
		}
		if code(err) == 0 {
			wait = publishAgain // no refusal: the link may be back at any moment
		}
		p.log.Warn("publication lost", "err", err, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, publishAgainMax)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := context.Cause(ctx); errors.Is(err, errGivenUp) {
		p.log.Warn("publication ended", "err", err)
		p.pub.Detach(err)
	} else {
		p.pub.Detach(nil)
	}
	if work.Err() == nil {
		p.stop(work)
	}
}

func (p *publisher) stop(work context.Context) {
	err := p.wire.call(work, signal.StopPublishing, signal.StreamParams{StreamID: p.pub.StreamID()}, nil)
	if err != nil && work.Err() == nil && code(err) != signal.CodeNotPublishing {
		p.log.Warn("stop publishing", "err", err)
	}
}

// publish serves one peer connection and returns why it ended. up is called
// when media flows.
func (p *publisher) publish(ctx context.Context, up func()) error {
	m, err := p.source.Open()
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(nil)
		p.pub.Detach(nil)
		m.Close(p.log)
		tasks.Wait()
	}()
	out := track.NewLocal(p.pub.StreamID())
	transceiver, err := m.PC.AddTransceiverFromTrack(out, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("add track: %w", err)
	}
	tasks.Go(func() { track.Retransmit(transceiver.Sender()) })
	extraInfo := p.pub.ExtraInfo()
	if err := p.negotiate(ctx, m.PC, extraInfo); err != nil {
		return err
	}
	select {
	case <-p.ended: // it tells of the peer connection before this one
	default:
	}
	tasks.Go(func() { p.follow(ctx, extraInfo, cancel) })
	return m.Watch(ctx, func() {
		up()
		p.pub.Attach(out)
	})
}

func (p *publisher) negotiate(ctx context.Context, pc *webrtc.PeerConnection, extraInfo string) error {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("make offer: %w", err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("make offer: %w", err)
	}
	params := signal.PublishParams{StreamID: p.pub.StreamID(), ExtraInfo: extraInfo, SDP: track.Stereo(offer.SDP, p.pub.Channels())}
	var answer signal.SDP
	err = p.wire.call(ctx, signal.StartPublishing, params, &answer)
	if code(err) == signal.CodeAlreadyPublishing {
		// The server has not noticed yet that the media was lost.
		p.stop(ctx)
		err = p.wire.call(ctx, signal.StartPublishing, params, &answer)
	}
	if err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.SDP}); err != nil {
		return fmt.Errorf("room server's answer: %w", err)
	}
	return nil
}

// follow tells new extra info and ends the peer connection when the server
// says so.
func (p *publisher) follow(ctx context.Context, told string, end context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-p.ended:
			end(err)
			return
		case <-p.updated:
		}
		now := p.pub.ExtraInfo()
		if now == told {
			continue
		}
		err := p.wire.call(ctx, signal.SetStreamExtraInfo, signal.StreamParams{StreamID: p.pub.StreamID(), ExtraInfo: now}, nil)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("set stream extra info", "err", err)
		}
		told = now
	}
}
