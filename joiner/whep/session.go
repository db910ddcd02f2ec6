package whep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
)

const (
	gatherTimeout = 2 * time.Second
	tendInterval  = time.Second
	// ICE says "disconnected" when nothing has come for 5 s. A server that was
	// restarted does not come back by itself; a line that was cut may, but a new
	// session is as quick.
	downTicks = 2
	// A silent publisher and a session that was forgotten look the same.
	quietTime   = 5 * time.Second
	probePeriod = 10 * time.Second
)

var errPathLost = errors.New("the server's media address does not answer any more")

// session is one peer connection with a server and the resource that it made
// for it.
type session struct {
	s      *System
	conn   *track.Connection
	opened time.Time
	sdp    string    // what it offers, once that is gathered
	at     *resource // once the server has made one

	tasks sync.WaitGroup
}

// open makes a session's peer connection.
func (s *System) open() (*session, error) {
	conn, err := s.source.Open()
	if err != nil {
		return nil, err
	}
	return &session{s: s, conn: conn, opened: time.Now()}, nil
}

// offer posts what the peer connection offers. The answer is for accept. While
// the server answers with an error the same can be offered again.
func (e *session) offer(ctx context.Context, to joiner.Endpoint, edit func(sdp string) string) (answer string, err error) {
	if e.sdp == "" {
		sdp, err := e.gather(ctx)
		if err != nil {
			return "", err
		}
		e.sdp = edit(sdp)
	}
	answer, e.at, err = e.s.client.post(ctx, to, e.sdp)
	return answer, err
}

// gather makes an offer with the addresses of this machine in it.
func (e *session) gather(ctx context.Context) (sdp string, err error) {
	offer, err := e.conn.PC.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("make offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(e.conn.PC)
	if err := e.conn.PC.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("make offer: %w", err)
	}
	late := time.NewTimer(gatherTimeout)
	defer late.Stop()
	select {
	case <-gathered:
	case <-late.C: // what is there is enough: the server learns more from our packets
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	return e.conn.PC.LocalDescription().SDP, nil
}

// accept takes the server's answer; from then on media may flow.
func (e *session) accept(answer string) error {
	answer, err := admit(answer, e.s.client.guard)
	if err != nil {
		return err
	}
	if err := e.conn.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	return nil
}

// watch calls up when media flows and returns why it does not any more. heard
// tells when the last packet came; nil: nothing is expected.
func (e *session) watch(ctx context.Context, up func(), heard *atomic.Int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var tending sync.WaitGroup
	defer tending.Wait()
	defer cancel(nil)
	return e.conn.Watch(ctx, func() {
		up()
		tending.Go(func() { cancel(e.tend(ctx, heard)) })
	})
}

// tend looks after a session that stands, and returns why it is lost.
func (e *session) tend(ctx context.Context, heard *atomic.Int64) error {
	alive := 0
	var probed time.Time
	if heard != nil {
		alive, probed = e.at.status(ctx), time.Now()
	}
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for down := 0; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if e.conn.PC.ICEConnectionState() == webrtc.ICEConnectionStateDisconnected {
			if down++; down == downTicks {
				return errPathLost
			}
			continue
		}
		down = 0
		if alive == 0 || gone(alive) || time.Since(time.Unix(0, heard.Load())) < quietTime || time.Since(probed) < probePeriod {
			continue
		}
		probed = time.Now()
		if gone(e.at.status(ctx)) {
			return errors.New("the server has forgotten the session")
		}
	}
}

// close takes the session down on both sides, in two seconds at most. It says
// whether the server knows that it is over.
func (e *session) close() (told bool) {
	told = e.at.delete()
	e.conn.Close(e.s.log)
	e.tasks.Wait()
	return told
}

// play leads what arrives to a slot. A receiver's panic is given to fail.
func (e *session) play(to *track.Slot, fail func(error)) error {
	e.conn.Receive(func(*webrtc.TrackRemote, *webrtc.RTPReceiver) *track.Slot { return to }, fail)
	_, err := e.conn.PC.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		return fmt.Errorf("offer to play: %w", err)
	}
	return nil
}
