package livekit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	lk "github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
)

const answerTimeout = 5 * time.Second

// publisher publishes over one login. LiveKit has one peer connection for all
// that a participant publishes; it is made with the first publication.
type publisher struct {
	source track.Source
	send   sending
	log    *slog.Logger
	pubs   *joiner.Publications

	messages chan any // of the server's that are for us

	media   *track.Connection
	watched chan error // ends with the media
	up      chan struct{}
	present map[*joiner.Publication]*published
	early   []string // candidates that came before the answer
}

// published is one publication that the server knows of.
type published struct {
	out    *track.Local
	sender *webrtc.RTPSender
	info   string // extra info as told
}

func newPublisher(from track.Source, send sending, log *slog.Logger, pubs *joiner.Publications) *publisher {
	return &publisher{
		source: from, send: send, log: log, pubs: pubs,
		messages: make(chan any, messagesQueued),
		watched:  make(chan error, 1), up: make(chan struct{}),
		present: make(map[*joiner.Publication]*published),
	}
}

// take takes a message of the server's.
func (p *publisher) take(m any) {
	select {
	case p.messages <- m:
	default:
	}
}

// run publishes what there is to publish until ctx ends or the media is lost.
func (p *publisher) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for pub := range p.present {
			pub.Detach(err)
		}
		if p.media != nil {
			p.media.Close(p.log)
			<-p.watched
		}
	}()
	for {
		changed := p.pubs.Changed()
		if err := p.reconcile(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-p.watched:
			p.watched <- err // for the end
			return err
		case m := <-p.messages:
			p.other(m)
		case <-changed:
		}
	}
}

// reconcile brings what is published in line with what is to be. What is over
// goes first: what comes may have its name.
func (p *publisher) reconcile(ctx context.Context) error {
	wanted := p.pubs.List()
	for pub, have := range p.present {
		if slices.Contains(wanted, pub) {
			continue
		}
		pub.Detach(nil)
		delete(p.present, pub)
		if err := p.media.PC.RemoveTrack(have.sender); err != nil {
			return fmt.Errorf("stop publishing %s: %w", pub.StreamID(), err)
		}
		if err := p.negotiate(ctx); err != nil {
			return fmt.Errorf("stop publishing %s: %w", pub.StreamID(), err)
		}
	}
	for _, pub := range wanted {
		have := p.present[pub]
		if have == nil {
			if err := p.add(ctx, pub); err != nil {
				return fmt.Errorf("publish %s: %w", pub.StreamID(), err)
			}
			continue
		}
		if now := pub.ExtraInfo(); now != have.info {
			have.info = now
			if err := p.tell(ctx, pub.StreamID(), now); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell tells a stream's extra info, as an attribute of its user.
func (p *publisher) tell(ctx context.Context, streamID, info string) error {
	return p.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_UpdateMetadata{
		UpdateMetadata: &lk.UpdateParticipantMetadata{Attributes: map[string]string{infoPrefix + streamID: info}},
	}})
}

func (p *publisher) add(ctx context.Context, pub *joiner.Publication) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	info := pub.ExtraInfo()
	if err := p.tell(ctx, pub.StreamID(), info); err != nil {
		return err
	}
	out := track.NewLocal(pub.StreamID())
	features := []lk.AudioTrackFeature{lk.AudioTrackFeature_TF_NO_DTX}
	if pub.Channels() == 2 {
		features = append(features, lk.AudioTrackFeature_TF_STEREO)
	}
	err := p.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_AddTrack{AddTrack: &lk.AddTrackRequest{
		Cid: out.ID(), Name: pub.StreamID(), Type: lk.TrackType_AUDIO, Source: lk.TrackSource_MICROPHONE,
		DisableRed: true, AudioFeatures: features,
	}}})
	if err != nil {
		return err
	}
	if _, err := await[*lk.SignalResponse_TrackPublished](ctx, p); err != nil {
		return fmt.Errorf("LiveKit does not take the track: %w", err)
	}
	transceiver, err := p.media.PC.AddTransceiverFromTrack(out, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("add track: %w", err)
	}
	go track.Retransmit(transceiver.Sender()) // ends with the peer connection, which Close waits for
	p.present[pub] = &published{out: out, sender: transceiver.Sender(), info: info}
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	select {
	case <-p.up:
	case err := <-p.watched:
		p.watched <- err
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	pub.Attach(out)
	return nil
}

// open makes the peer connection if there is none yet.
func (p *publisher) open(ctx context.Context) error {
	if p.media != nil {
		return nil
	}
	m, err := p.source.Open()
	if err != nil {
		return err
	}
	m.PC.OnICECandidate(func(c *webrtc.ICECandidate) { trickle(ctx, p.send, c, lk.SignalTarget_PUBLISHER) })
	p.media = m
	go func() { p.watched <- m.Watch(ctx, func() { close(p.up) }) }()
	return nil
}

func (p *publisher) negotiate(ctx context.Context) error {
	pc := p.media.PC
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		return fmt.Errorf("make offer: %w", err)
	}
	err = p.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_Offer{Offer: &lk.SessionDescription{Type: "offer", Sdp: offer.SDP}}})
	if err != nil {
		return err
	}
	m, err := await[*lk.SignalResponse_Answer](ctx, p)
	if err != nil {
		return fmt.Errorf("LiveKit's answer: %w", err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: m.Answer.Sdp}); err != nil {
		return fmt.Errorf("LiveKit's answer: %w", err)
	}
	for _, c := range p.early {
		addCandidate(pc, c, p.log)
	}
	p.early = nil
	return nil
}

// await waits for a message of a kind; others are taken meanwhile.
func await[M any](ctx context.Context, p *publisher) (M, error) {
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return *new(M), context.Cause(ctx)
		case <-late.C:
			return *new(M), errors.New("none came")
		case m := <-p.messages:
			if wanted, ok := m.(M); ok {
				return wanted, nil
			}
			p.other(m)
		}
	}
}

func (p *publisher) other(m any) {
	switch m := m.(type) {
	case *lk.SignalResponse_Trickle:
		if p.media == nil || p.media.PC.RemoteDescription() == nil {
			p.early = append(p.early, m.Trickle.CandidateInit)
			return
		}
		addCandidate(p.media.PC, m.Trickle.CandidateInit, p.log)
	case *lk.SignalResponse_RequestResponse:
		if r := m.RequestResponse; r.Reason != lk.RequestResponse_OK && r.Reason != lk.RequestResponse_QUEUED {
			p.log.Warn("LiveKit refuses", "reason", r.Reason, "message", r.Message)
		}
	}
}
