package capture

import (
	"time"

	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// gate lets the packets of a stream through, or turns them away: into the
// journal, or into the live mix. The inbox guards it, so that it moves between
// two packets and not beside one.
//
// What counts is when a packet arrived, to the instant. After a pause packets
// that were sent before the newest of those turned away stay out, however late
// they come, and so does one that carries a copy of the sound before it.
type gate struct {
	shut  bool
	since time.Duration // when it was moved last

	turned bool // a packet was turned away, and may have been overtaken
	ssrc   uint32
	newest uint32 // its RTP time
}

// stragglers is how long after a pause packets from within it may come.
const stragglers = 30 * time.Second

// jump is how far behind, in samples, no straggler is: its sender began its
// times anew.
const jump = -int32((stragglers + 10*time.Second) / time.Second * pcm.Rate)

// move shuts or opens the gate at capture time at.
func (g *gate) move(shut bool, at time.Duration) {
	if g.shut != shut {
		g.shut, g.since = shut, at
	}
}

// pass says whether p may go on.
func (g *gate) pass(p *playout.Packet) bool {
	before := p.At < g.since // delivered after the gate moved, but arrived before
	if g.shut != before {
		if ahead := int32(p.Timestamp - g.newest); !g.turned || p.SSRC != g.ssrc || ahead > 0 || ahead < jump {
			g.turned, g.ssrc, g.newest = true, p.SSRC, p.Timestamp
		}
		return false
	}
	if !g.turned || g.shut {
		return true
	}
	if p.At > g.since+stragglers {
		g.turned = false
		return true
	}
	return p.SSRC != g.ssrc || !g.reveals(p)
}

// reveals says that p holds sound of what was turned away: itself, in a copy
// that it carries (RFC 2198), or as FEC (RFC 6716, section 2.1.7).
func (g *gate) reveals(p *playout.Packet) bool {
	ahead := int32(p.Timestamp - g.newest)
	if ahead < jump {
		return false
	}
	if p.PT != joiner.Red {
		return shows(ahead, p.Payload)
	}
	// Headers of four bytes for the copies, oldest first, one byte for the
	// packet itself, then the payloads.
	headers := p.Payload
	n := 0
	for n < len(headers) && headers[n]&0x80 != 0 {
		n += 4
	}
	if n >= len(headers) {
		return true // malformed: it is of no use anyway
	}
	blocks := headers[n+1:]
	for h := headers[:n]; len(h) > 0; h = h[4:] {
		offset, length := int32(h[1])<<6|int32(h[2])>>2, int(h[2]&3)<<8|int(h[3])
		if length > len(blocks) {
			return true
		}
		if length > 0 && shows(ahead-offset, blocks[:length]) {
			return true
		}
		blocks = blocks[length:]
	}
	return shows(ahead, blocks)
}

// shows says that an Opus packet so much media time ahead of the newest packet
// that was turned away holds sound of it.
func shows(ahead int32, packet []byte) bool {
	if ahead <= 0 {
		return true
	}
	length, err := opus.Duration(packet)
	return err == nil && int(ahead) < 2*length && opus.HasFEC(packet)
}
