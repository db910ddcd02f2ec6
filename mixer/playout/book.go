package playout

import (
	"math"

	"mixdown/mixer/pcm"
)

// book keeps the ledger of a stream and the causes it was told.
type book struct {
	ledger Ledger
	first  int64
	begun  bool
	ended  bool
	until  int64  // position of the end
	causes []mark // by position
	held   []span // read, but nobody knows yet why it is missing
	missed span   // found lost or concealed since somebody asked; from the first of it on, and all of it

	announced bool
	since     int64 // position of the announcement
}

// mark says that a cause holds from a position on.
type mark struct {
	pos   int64
	class Class
}

type span struct{ pos, n int64 }

const (
	heldMax   = 64
	causesMax = 1024
	hideFade  = pcm.FrameSize // before a cause that hides, and after it
)

// hides tells whether a cause keeps what was received out of the recording.
func hides(c Class) bool { return c == Paused || c == Excluded }

// cause notes that c holds from pos on.
func (b *book) cause(pos int64, c Class) {
	if c >= classes {
		return
	}
	i := len(b.causes)
	for i > 0 && b.causes[i-1].pos > pos {
		i--
	}
	if i > 0 && b.causes[i-1].pos == pos {
		b.causes[i-1].class = c
	} else if len(b.causes) < causesMax {
		b.causes = append(b.causes, mark{})
		copy(b.causes[i+1:], b.causes[i:])
		b.causes[i] = mark{pos, c}
	}
	if c == Received {
		return
	}
	until := int64(math.MaxInt64)
	if i < len(b.causes)-1 {
		until = b.causes[i+1].pos
	}
	b.explain(pos, until, c)
}

// explain gives class c to what is held between two positions.
func (b *book) explain(from, until int64, c Class) {
	kept := b.held[:0]
	var tail span
	for _, h := range b.held {
		lo, hi := max(h.pos, from), min(h.pos+h.n, until)
		if lo >= hi {
			kept = append(kept, h)
			continue
		}
		b.ledger[c] += hi - lo
		if h.pos < lo {
			kept = append(kept, span{h.pos, lo - h.pos})
			tail = span{hi, h.pos + h.n - hi}
		} else if hi < h.pos+h.n {
			kept = append(kept, span{hi, h.pos + h.n - hi})
		}
	}
	if b.held = kept; tail.n > 0 {
		b.held = append(b.held, tail)
	}
}

// at is the cause that holds at pos and the position up to which it holds.
func (b *book) at(pos int64) (Class, int64) {
	class, until := Received, int64(math.MaxInt64)
	for _, m := range b.causes {
		if m.pos > pos {
			until = m.pos
			break
		}
		class = m.class
	}
	return class, until
}

// hidden tells whether all from pos to end is hidden by a cause.
func (b *book) hidden(pos, end int64) bool {
	class, until := b.at(pos)
	return hides(class) && until >= end
}

// enter counts samples that are being read, and silences what is hidden; what
// lies beside it fades.
func (b *book) enter(pos int64, class Class, samples [][2]float32) {
	b.fade(pos, samples)
	for len(samples) > 0 {
		cause, until := b.at(pos)
		n := min(int64(len(samples)), until-pos)
		if hides(cause) {
			clear(samples[:n])
		}
		b.count(pos, n, class, cause)
		samples = samples[n:]
		pos += n
	}
	for len(b.causes) > 1 && b.causes[1].pos+withheldTime <= pos {
		b.causes = b.causes[:copy(b.causes, b.causes[1:])]
	}
}

// fade lets sound out in the 20 ms before it is hidden and in again in those
// after it: what is cut off clicks.
func (b *book) fade(pos int64, samples [][2]float32) {
	before := Received
	for _, m := range b.causes {
		out := hides(m.class) && !hides(before)
		if out || hides(before) && !hides(m.class) {
			from := m.pos
			if out {
				from -= hideFade
			}
			for i := max(from-pos, 0); i < min(from+hideFade-pos, int64(len(samples))); i++ {
				gain := float32(pos+i-from) / hideFade
				if out {
					gain = 1 - gain
				}
				samples[i][0] *= gain
				samples[i][1] *= gain
			}
		}
		before = m.class
	}
}

func (b *book) count(pos, n int64, class, cause Class) {
	switch {
	case class == absent:
	case hides(cause) || cause == Muted:
		b.ledger[cause] += n
	case class != pending && class != Lost && class != Stalled && class != DTX:
		b.ledger[class] += n
		if class == Concealed {
			b.miss(pos, n)
		}
	case cause != Received:
		b.ledger[cause] += n
	case class != pending:
		b.ledger[class] += n
		if class == Lost {
			b.miss(pos, n)
		}
	case len(b.held) > 0 && b.held[len(b.held)-1].pos+b.held[len(b.held)-1].n == pos:
		b.held[len(b.held)-1].n += n
	case len(b.held) == heldMax:
		b.ledger[Stalled] += n
	default:
		b.held = append(b.held, span{pos, n})
	}
}

// settle ends the gap that is held: up to lost samples of it were lost, the
// rest is of class rest. It returns how many were lost.
func (b *book) settle(lost int64, rest Class) int64 {
	var n int64
	for _, h := range b.held {
		n += h.n
	}
	lost = max(min(lost, n), 0)
	if lost > 0 {
		b.miss(b.held[0].pos, lost)
	}
	b.held = b.held[:0]
	b.ledger[Lost] += lost
	b.ledger[rest] += n - lost
	return lost
}

// miss notes that n samples from pos on are lost or made up.
func (b *book) miss(pos, n int64) {
	if b.missed.n == 0 || pos < b.missed.pos {
		b.missed.pos = pos
	}
	b.missed.n += n
}

// total is the ledger, with what is held as stalled.
func (b *book) total() Ledger {
	l := b.ledger
	for _, h := range b.held {
		l[Stalled] += h.n
	}
	return l
}
