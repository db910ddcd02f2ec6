package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/rooms/peer"
	"mixdown/rooms/signal"
)

const (
	publishAgain    = time.Second
	publishAgainMax = 8 * time.Second
)

// publisher publishes one publication during a connection, again and again if
// its media is lost.
type publisher struct {
	source source
	wire   *wire
	log    *slog.Logger
	pub    *joiner.Publication
	cancel context.CancelFunc // ends run, when the publication was removed

	updated chan struct{} // the extra info may have changed
	ended   chan error    // the server ended the publication
}

// errGivenUp ends a publisher: the server does not want the stream.
var errGivenUp = errors.New("room server ended the publication")

func newPublisher(from source, w *wire, log *slog.Logger, pub *joiner.Publication, cancel context.CancelFunc) *publisher {
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
	err := fmt.Errorf("room server lost the media (code %d)", s.ErrorCode)
	if s.State == signal.NoPublish && s.ErrorCode == signal.CodePublishForbidden {
		err = fmt.Errorf("%w (code %d)", errGivenUp, s.ErrorCode)
	}
	select {
	case p.ended <- err:
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
		if errors.Is(err, errGivenUp) {
			p.log.Warn("publication ended", "err", err)
			return
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
	p.pub.Detach(nil)
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
	m, err := p.source.open()
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(nil)
		p.pub.Detach(nil)
		m.close(p.log)
		tasks.Wait()
	}()
	track := &localTrack{id: p.pub.StreamID()}
	transceiver, err := m.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("add track: %w", err)
	}
	// Reading RTCP is what lets the interceptors see it and retransmit.
	tasks.Go(func() {
		buffer := make([]byte, maxPacket)
		for {
			if _, _, err := transceiver.Sender().Read(buffer); err != nil {
				return
			}
		}
	})
	extraInfo := p.pub.ExtraInfo()
	select {
	case err := <-p.ended:
		if errors.Is(err, errGivenUp) {
			return err
		} // else it tells of the peer connection before this one
	default:
	}
	if err := p.negotiate(ctx, m.pc, extraInfo); err != nil {
		return err
	}
	tasks.Go(func() { p.follow(ctx, extraInfo, cancel) })
	return m.watch(ctx, func() {
		up()
		p.pub.Attach(track)
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
	sdp := offer.SDP
	if p.pub.Channels() == 2 {
		// RFC 7587, section 7.1: what is sent is worth decoding in stereo.
		sdp = strings.ReplaceAll(sdp, "useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1")
	}
	params := signal.PublishParams{StreamID: p.pub.StreamID(), ExtraInfo: extraInfo, SDP: sdp}
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

// localTrack is the sending end of a peer connection: a webrtc.TrackLocal that
// leaves number, time and marker of a packet alone.
type localTrack struct {
	id string

	mu          sync.Mutex
	out         webrtc.TrackLocalWriter
	ssrc        uint32
	payloadType uint8
	level       uint8   // ID of the audio level extension, 0: not negotiated
	extension   [1]byte // its content
}

var (
	_ webrtc.TrackLocal   = (*localTrack)(nil)
	_ joiner.PacketWriter = (*localTrack)(nil)
)

// Bind implements webrtc.TrackLocal.
func (t *localTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		if !strings.EqualFold(codec.MimeType, webrtc.MimeTypeOpus) {
			continue
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.out, t.ssrc, t.payloadType = c.WriteStream(), uint32(c.SSRC()), uint8(codec.PayloadType)
		for _, e := range c.HeaderExtensions() {
			if e.URI == peer.LevelURI {
				t.level = uint8(e.ID)
			}
		}
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind implements webrtc.TrackLocal.
func (t *localTrack) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *localTrack) ID() string { return t.id }

// RID implements webrtc.TrackLocal.
func (t *localTrack) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *localTrack) StreamID() string { return t.id }

// Kind implements webrtc.TrackLocal.
func (t *localTrack) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// WriteRTP implements joiner.PacketWriter.
func (t *localTrack) WriteRTP(p *rtp.Packet, level uint8) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return errors.New("no media connection")
	}
	p.SSRC, p.PayloadType = t.ssrc, t.payloadType
	if t.level != 0 {
		// RFC 6464, section 3: the level, and voice activity in the top bit.
		t.extension[0] = min(level, 127)
		if level < 127 {
			t.extension[0] |= 0x80
		}
		if err := p.SetExtension(t.level, t.extension[:]); err != nil {
			return fmt.Errorf("audio level: %w", err)
		}
	}
	_, err := t.out.WriteRTP(&p.Header, p.Payload)
	return err
}
