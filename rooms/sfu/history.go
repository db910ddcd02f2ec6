package sfu

import (
	"math"
	"time"

	"github.com/pion/rtp"
)

// packet is one packet of a publisher: what players get of it, and when it
// came.
type packet struct {
	seq      uint16
	ts       uint32
	marker   bool
	hasLevel bool
	level    byte // as RFC 6464 has it: voice bit and -dBov
	red      bool // the payload is redundant audio
	payload  []byte
	at       time.Time
}

// parse reads an RTP packet; in is scratch space. Padding is dropped: a packet
// of nothing else becomes an empty one, so that its number is not missed.
func parse(in *rtp.Packet, b []byte, levelID uint8, types formats) (packet, bool) {
	if in.Unmarshal(b) != nil {
		return packet{}, false
	}
	p := packet{seq: in.SequenceNumber, ts: in.Timestamp, marker: in.Marker, payload: in.Payload, at: time.Now()}
	if types.red != 0 && in.PayloadType == types.red {
		p.red = true
		rename(p.payload, types.opus)
	}
	if levelID != 0 {
		if x := in.GetExtension(levelID); len(x) > 0 {
			p.level, p.hasLevel = x[0], true
		}
	}
	return p, true
}

func (p *packet) clone() packet {
	c := *p
	c.payload = append([]byte(nil), p.payload...)
	return c
}

// copyTo copies p into q and keeps q's buffer.
func (p *packet) copyTo(q *packet) {
	payload := append(q.payload[:0], p.payload...)
	*q = *p
	q.payload = payload
}

// historySize is how many packets can be asked for again: 20 s of audio.
const historySize = 1024

// history keeps the newest packets of a stream by sequence number, for all
// its players at once.
type history struct {
	slots []packet
	taken [historySize]bool
}

func (h *history) add(p *packet) {
	if h.slots == nil {
		h.slots = make([]packet, historySize)
	}
	i := p.seq % historySize
	if h.taken[i] && int16(p.seq-h.slots[i].seq) < 0 {
		return // so late that its place is taken
	}
	p.copyTo(&h.slots[i])
	h.taken[i] = true
}

func (h *history) find(seq uint16, p *packet) bool {
	i := seq % historySize
	if !h.taken[i] || h.slots[i].seq != seq {
		return false
	}
	h.slots[i].copyTo(p)
	return true
}

// meter keeps the power of the last half second in tenths of a second.
type meter struct {
	buckets [meterBuckets]struct {
		tick  int64
		power float64
		count int
	}
}

const (
	meterBuckets = 5
	meterTick    = 100 * time.Millisecond
	silence      = -127 // dBov, RFC 6464
)

func (m *meter) add(at time.Time, dBov int) {
	tick := at.UnixNano() / int64(meterTick)
	b := &m.buckets[tick%meterBuckets]
	if b.tick != tick {
		b.tick, b.power, b.count = tick, 0, 0
	}
	b.count++
	if dBov > silence {
		b.power += math.Pow(10, float64(dBov)/10)
	}
}

func (m *meter) level(now time.Time) int {
	tick := now.UnixNano() / int64(meterTick)
	var power float64
	var count int
	for _, b := range m.buckets {
		if b.tick > tick-meterBuckets && b.tick <= tick {
			power += b.power
			count += b.count
		}
	}
	if count == 0 || power == 0 {
		return silence
	}
	return max(silence, min(0, int(math.Round(10*math.Log10(power/float64(count))))))
}
