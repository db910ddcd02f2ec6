package joinertest

import (
	"encoding/binary"
	"time"

	"mixdown/joiner"
)

// FrameTime is what a packet of a [Voice] lasts, in time and in samples.
const (
	FrameTime    = 20 * time.Millisecond
	FrameSamples = 960
)

// Voice speaks into a publication, in the pace of the clock: packet n is of
// n*20 ms after its beginning, whether those before it were sent or not.
type Voice struct {
	Publication *joiner.Publication
	// Payload makes the packet of frame number n (0 is the first); nil is
	// [Numbered]. Set it before the first Say.
	Payload func(n int64) []byte

	start time.Time
	frame int64
	sent  []int64
}

// NewVoice returns a voice whose frame 0 is now.
func NewVoice(pub *joiner.Publication) *Voice {
	return &Voice{Publication: pub, Payload: Numbered, start: time.Now()}
}

// Say sends a packet every 20 ms for d. Between two calls the speaker is
// silent, as with DTX: the positions go on with the clock.
func (v *Voice) Say(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		now := int64(time.Since(v.start) / FrameTime)
		v.frame = max(v.frame, now)
		before := v.Publication.Stats().Sent
		payload := v.Payload(v.frame)
		// While the link is down the packet is counted as dropped, which is
		// what a test looks at.
		_ = v.Publication.WritePacket(joiner.OutPacket{Pos: v.frame * FrameSamples, Samples: FrameSamples, Level: 30, Payload: payload})
		if v.Publication.Stats().Sent > before {
			v.sent = append(v.sent, v.frame)
		}
		v.frame++
		time.Sleep(time.Until(v.start.Add(time.Duration(v.frame) * FrameTime)))
	}
}

// Frames is the number of the next packet.
func (v *Voice) Frames() int64 { return v.frame }

// Sent lists the numbers of the packets that a connection took.
func (v *Voice) Sent() []int64 { return v.sent }

// Numbered is a payload that is no audio but tells its number: see [Number].
func Numbered(n int64) []byte {
	b := make([]byte, 40)
	b[0] = 0xf8 // a CELT frame of 20 ms, so that parsers of the first byte are content
	binary.BigEndian.PutUint64(b[1:], uint64(n))
	return b
}

// Number reads the number of a payload that [Numbered] made; -1 if it made none.
func Number(payload []byte) int64 {
	if len(payload) < 9 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(payload[1:]))
}
