package playout

// Redundant audio data (RFC 2198): a packet carries its own audio, the primary
// block, and before it copies of packets sent earlier. A copy is taken as the
// packet that it repeats, unless that has come; the packet itself, should it
// come late, takes the place of its copy again.

const (
	redBlocks = 32 // copies in a packet; more is no redundancy
	redHeader = 4  // bytes before each copy's data: F, type, offset, length
)

// block is a copy of an earlier packet.
type block struct {
	offset  uint32 // how much earlier, 48 kHz
	payload []byte
}

// redundancy is a packet of RFC 2198 taken apart.
type redundancy struct {
	pt      uint8 // of the primary block
	primary []byte
	copies  [redBlocks]block // the newest last, as in the packet
	n       int
}

// split takes payload apart without copying. It is false where the headers do
// not describe payload; nothing of it is to be used then.
func (r *redundancy) split(payload []byte) bool {
	r.n = 0
	head, blocks, room := payload, 0, 0
	for len(head) > 0 && head[0]&0x80 != 0 {
		if len(head) < redHeader || blocks == redBlocks {
			return false
		}
		room += redLength(head)
		head = head[redHeader:]
		blocks++
	}
	if len(head) == 0 || room > len(head)-1 {
		return false
	}
	r.pt = head[0] & 0x7f
	data := head[1:]
	for i := range blocks {
		h := payload[i*redHeader:]
		n := redLength(h)
		// Another codec's copy says nothing here, and an empty one nothing at all;
		// both keep their place, for it is by place that a copy has its number.
		b := block{offset: uint32(h[1])<<6 | uint32(h[2])>>2}
		if h[0]&0x7f == r.pt {
			b.payload = data[:n]
		}
		r.copies[r.n] = b
		r.n++
		data = data[n:]
	}
	r.primary = data
	return true
}

func redLength(h []byte) int { return int(h[2]&3)<<8 | int(h[3]) }

// original is what the i-th copy in the packet numbered seq at media repeats:
// the copies go back one number each.
func (r *redundancy) original(i int, seq, media int64) (int64, int64) {
	return seq - int64(r.n-i), media - int64(r.copies[i].offset)
}

// unpack leaves in q the primary block of p, and its copies in r. Without
// redundancy it leaves p.
func (r *redundancy) unpack(p, q *Packet, red uint8) bool {
	*q = *p
	r.n = 0
	if red == 0 || p.PT != red {
		return true
	}
	if !r.split(p.Payload) || r.pt == red {
		return false
	}
	q.PT, q.Payload = r.pt, r.primary
	return true
}

// wants tells whether a copy numbered seq at media is of use: its packet has
// not come, and it fits between those that wait.
func (e *epoch) wants(b *block, seq, media int64) bool {
	if len(b.payload) == 0 || b.offset == 0 || e.seen.has(seq) {
		return false
	}
	for i := len(e.queue) - 1; i >= 0; i-- {
		switch p := e.queue[i]; {
		case p.seq == seq:
			return false
		case p.seq < seq:
			return p.media < media
		case p.media <= media:
			return false
		}
	}
	return true
}
