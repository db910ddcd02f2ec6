package whep

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/track"
)

var _ joiner.Pusher = (*System)(nil)

// Push implements joiner.Pusher: it publishes pub by WHIP (RFC 9725).
//
// Whatever a server answers, it is asked again, later and later up to every
// 15 s: a token that is refused now may be a server that is set up wrong now.
func (s *System) Push(ctx context.Context, to joiner.Endpoint, pub *joiner.Publication) {
	log := s.log.With("stream", to.StreamID)
	var former *resource // the server may believe that it is still served
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := s.publish(ctx, to, pub, &former)
		if ctx.Err() != nil {
			pub.Detach(nil)
			return
		}
		pub.Detach(err)
		if time.Since(began) >= lasting {
			attempt = 0
		}
		wait := pause(attempt, pushAgainMax, err)
		log.Warn("WHIP publication lost", "err", err, "attempt", attempt, "wait", wait)
		select {
		case <-ctx.Done():
			pub.Detach(nil)
			return
		case <-time.After(wait):
		}
	}
}

const (
	lasting      = 10 * time.Second // how long a session must have been up for the next attempt to be a first one
	again        = 500 * time.Millisecond
	pollMax      = 5 * time.Second
	pushAgainMax = 15 * time.Second
)

// pause is 500 ms doubling up to longest, minus up to half of it by chance, or
// what the server has asked for.
func pause(attempt int, longest time.Duration, err error) time.Duration {
	d := longest
	if attempt < 10 {
		d = min(d, again<<max(attempt, 0))
	}
	return max(d-rand.N(d/2), retryAfter(err))
}

// retryAfter is when a server wants to be asked again, if it says so.
func retryAfter(err error) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.after
	}
	return 0
}

// publish serves one session and returns why it ended. A former one that the
// server was not told the end of is ended first: it would be in the way.
func (s *System) publish(ctx context.Context, to joiner.Endpoint, pub *joiner.Publication, former **resource) error {
	e, err := s.open()
	if err != nil {
		return err
	}
	defer func() {
		if !e.close() {
			*former = e.at
		}
	}()
	defer pub.Detach(nil)
	if (*former).delete() {
		*former = nil
	}
	out := track.NewLocal(pub.StreamID())
	transceiver, err := e.conn.PC.AddTransceiverFromTrack(out, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("add track: %w", err)
	}
	e.tasks.Go(func() { track.Retransmit(transceiver.Sender()) })
	answer, err := e.offer(ctx, to, func(sdp string) string { return track.Stereo(sdp, pub.Channels()) })
	if err != nil {
		return err
	}
	if err := e.accept(answer); err != nil {
		return err
	}
	return e.watch(ctx, func() { pub.Attach(out) }, nil)
}
