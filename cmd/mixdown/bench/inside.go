package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
)

// inside is a room system without a network: a room is in this process, and
// its streams hand on their packets themselves. So a machine has room for
// streams whose senders would not fit beside them.
type inside struct{ streams int }

// Connect implements [joiner.System]: everybody speaks until ctx ends.
func (s inside) Connect(ctx context.Context, _ joiner.Login, room joiner.Room, _ *joiner.Publications) error {
	speakers, err := newSpeakers(s.streams)
	if err != nil {
		return err
	}
	room.Event(joiner.Present{})
	room.Event(joiner.UserAdded{User: joiner.User{ID: "speaker"}})
	receivers := make([]joiner.Receiver, s.streams)
	for i := range receivers {
		receivers[i] = room.Stream(joiner.Stream{ID: fmt.Sprintf("stream-%d", i), User: joiner.User{ID: "speaker"}})
	}
	room.Event(joiner.StateChanged{State: joiner.Connected})
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111}}
	pace(ctx, s.streams, func(i, n int, at time.Time) {
		if receivers[i] != nil {
			p.SSRC, p.SequenceNumber, p.Timestamp = uint32(i)+1, uint16(n), uint32(n*960)
			p.Payload = speakers[i].packet()
			receivers[i].Packet(&p, 30, at)
		}
	}, func() bool { return true })
	return context.Cause(ctx)
}
