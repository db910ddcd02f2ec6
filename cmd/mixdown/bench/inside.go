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
	tick := time.NewTicker(20 * time.Millisecond / phases)
	defer tick.Stop()
	start, p := time.Now(), rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111}}
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		for due := int(time.Since(start) * phases / (20 * time.Millisecond)); n < due; n++ {
			at := start.Add(time.Duration(n) * 20 * time.Millisecond / phases)
			for i := n % phases; i < len(speakers); i += phases {
				if receivers[i] != nil {
					speakers[i].hand(&p, receivers[i], uint32(i), n/phases, at)
				}
			}
		}
	}
}

// hand hands on the packet of number n.
func (s *speaker) hand(p *rtp.Packet, to joiner.Receiver, ssrc uint32, n int, at time.Time) {
	p.SSRC, p.SequenceNumber, p.Timestamp = ssrc+1, uint16(n), uint32(n*960)
	p.Payload = s.packets[s.next]
	s.next = (s.next + 1) % len(s.packets)
	to.Packet(p, 30, at)
}
