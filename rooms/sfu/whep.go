package sfu

import (
	"context"
	"fmt"
	"io"

	"github.com/pion/webrtc/v4"
)

// Whep plays up by WHEP: the client offers (audio, recvonly) and gets the
// complete answer. session.Close ends it and returns at once; closed, if not nil, is called once at
// the end, with nil after a Close. The error wraps [ErrBadSDP] when the offer
// is refused. ctx limits the call only.
func (s *Server) Whep(ctx context.Context, offer string, up *Upstream, closed func(err error)) (answer string, session io.Closer, err error) {
	if err := checkOffer(offer, "recvonly", "sendrecv"); err != nil {
		return "", nil, fmt.Errorf("play: %w", err)
	}
	l, err := s.newLife()
	if err != nil {
		return "", nil, fmt.Errorf("play: %w", err)
	}
	f := &forward{id: "audio", writeRTCP: l.pc.WriteRTCP}
	transceiver, err := l.pc.AddTransceiverFromTrack(f,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err == nil {
		answer, err = l.answer(ctx, offer)
	}
	if err == nil {
		started := false
		err = l.start(func() {
			if started || l.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
				return
			}
			started = true
			l.media(func() error { return f.serve(transceiver.Sender()) })
			f.play(up, false)
		}, func(err error) {
			f.stop()
			if closed != nil {
				closed(err)
			}
		})
	}
	if err != nil {
		l.abandon()
		return "", nil, fmt.Errorf("play: %w", err)
	}
	l.expect()
	return answer, whepSession{l}, nil
}

type whepSession struct{ *life }

func (w whepSession) Close() error {
	w.end(nil)
	return nil
}
