package capture

import (
	"testing"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/playout"
)

// TestGate: after a pause, packets stay out that come from within it, however
// late, and those that carry a copy of what was said in it.
func TestGate(t *testing.T) {
	celt, silk := []byte{0xf8, 1, 2, 3}, []byte{0x48, 0x40, 2, 3} // silk: one frame of 20 ms with LBRR
	red := func(offset int, copy, packet []byte) []byte {
		b := []byte{0x80 | 111, byte(offset >> 6), byte(offset<<2) | byte(len(copy)>>8), byte(len(copy)), 111}
		return append(append(b, copy...), packet...)
	}
	const pause, resume = time.Second, 2 * time.Second
	for _, test := range []struct {
		what string
		at   time.Duration
		ts   uint32
		pt   uint8
		data []byte
		ssrc uint32
		want bool
	}{
		{"the first after it", resume + 5*time.Millisecond, 96960, 111, celt, 1, true},
		{"delivered after it, but arrived in it", resume - 5*time.Millisecond, 96960, 111, celt, 1, false},
		{"from within it, late", resume + 3*time.Second, 60000, 111, celt, 1, false},
		{"the newest of it again", resume + time.Second, 96000, 111, celt, 1, false},
		{"with FEC of the newest of it", resume + 5*time.Millisecond, 96960, 111, silk, 1, false},
		{"with FEC of what came after it", resume + 25*time.Millisecond, 97920, 111, silk, 1, true},
		{"with a copy of the newest of it", resume + 5*time.Millisecond, 97920, joiner.Red, red(1920, celt, celt), 1, false},
		{"with a copy of what came after it", resume + 25*time.Millisecond, 97920, joiner.Red, red(960, celt, celt), 1, true},
		{"with a copy that has FEC of it", resume + 25*time.Millisecond, 97920, joiner.Red, red(960, silk, celt), 1, false},
		{"malformed redundancy", resume + 25*time.Millisecond, 97920, joiner.Red, []byte{0x80 | 111, 0}, 1, false},
		{"of another sender", resume + 5*time.Millisecond, 5, 111, celt, 2, true},
		{"hours later, as the time wraps", resume + 13*time.Hour, 96000 + 1<<31 + 5, 111, celt, 1, true},
	} {
		var g gate
		g.move(true, pause)
		for at := pause; at < resume; at += 20 * time.Millisecond {
			p := playout.Packet{At: at, SSRC: 1, PT: 111, Timestamp: uint32(48*at/time.Millisecond) + 960, Payload: celt}
			if g.pass(&p) {
				t.Fatal("a packet passes in the pause")
			}
		}
		early := playout.Packet{At: pause - time.Millisecond, SSRC: 1, PT: 111, Timestamp: 47000, Payload: celt}
		if !g.pass(&early) {
			t.Error("a packet that arrived before the pause does not pass")
		}
		g.move(false, resume)
		p := playout.Packet{At: test.at, SSRC: test.ssrc, PT: test.pt, Timestamp: test.ts, Payload: test.data}
		if got := g.pass(&p); got != test.want {
			t.Errorf("%s: passes %v", test.what, got)
		}
	}
}

// TestGateJumps: a sender that begins its RTP times anew, in the pause or after
// it, is heard at once.
func TestGateJumps(t *testing.T) {
	const pause, resume = time.Second, 20 * time.Second
	for _, jump := range []time.Duration{3 * time.Second, resume, resume + time.Second} {
		for _, to := range []uint32{2_000_000_000, 3_500_000_000, 5_000} {
			var g gate
			g.move(true, pause)
			ts := uint32(3_000_000_000)
			for at := pause; at < resume+40*time.Second; at += 20 * time.Millisecond {
				if at == resume {
					g.move(false, resume)
				}
				if at == jump {
					ts = to
				}
				p := playout.Packet{At: at, SSRC: 1, PT: 111, Timestamp: ts, Payload: []byte{0xf8, 1, 2, 3}}
				if got := g.pass(&p); got != (at >= resume) {
					t.Fatalf("jump to %d after %v: at %v a packet passes: %v", to, jump, at, got)
				}
				ts += 960
			}
		}
	}
}
