package playout

import (
	"math"

	"mixdown/mixer/pcm"
)

// gap is what has been done about the audio missing since the last packet.
type gap struct {
	from    int64 // position at which it began
	bridged int   // samples of media time concealed
	faded   int   // samples of media time faded out
	lost    int64 // samples counted as lost, concealed or recovered
	hidden  int64 // samples of it on the tape that a cause hides
}

// missing is what the gap before p consists of: samples of packets that were
// sent, and something else. What a cause hides is neither.
func (d *Deep) missing(e *epoch, p *entry, pos int64) (lost int64, rest Class) {
	if e.line != d.line || d.line == nil {
		return 0, Stalled
	}
	n := d.unheard(max(p.seq-d.seq-1, 0), pos)
	length := max(pos-d.gap.from-d.hiddenIn(pos), 0)
	lost = min(n*d.length, length)
	if length-lost <= dtxMax*(n+1) {
		return lost, DTX
	}
	return lost, Stalled
}

// withheldTime is how long before and after a pause packets may be missing
// because of it: it drops them as they arrive, and what they carry was said
// before; what was overtaken by one that was dropped stays out as well.
const withheldTime = 3 * pcm.FrameSize

// withheld tells, if the next sample of the gap before p is missing for a cause
// that hides, which that is and up to where. It is the same whether p, which
// comes after the cause, is there already or not.
func (d *Deep) withheld(p *entry, pos int64) (why Class, until int64) {
	if p == nil {
		pos = math.MaxInt64
	}
	for i, m := range d.book.causes {
		if from, until := d.hides(i, pos); from <= d.end && d.end < until {
			return m.class, until
		}
	}
	return 0, 0
}

// hides is the part of the gap before pos that is missing for cause i of the
// book. It is empty if that does not hide.
func (d *Deep) hides(i int, pos int64) (from, until int64) {
	m := d.book.causes[i]
	if !hides(m.class) || m.pos > pos {
		return 0, 0
	}
	from, until = max(m.pos, d.gap.from), pos
	if from-d.gap.from <= withheldTime {
		from = d.gap.from
	}
	if i < len(d.book.causes)-1 {
		if end := d.book.causes[i+1].pos; end < d.gap.from || pos-end > withheldTime {
			until = end
		}
	}
	return from, until
}

// resolve names what has been read of a gap before it was known how it ends.
func (d *Deep) resolve(e *epoch, p *entry, pos int64) {
	lost, rest := d.missing(e, p, pos)
	d.gap.lost += d.book.settle(lost-d.gap.lost, rest)
	for i := range d.tape.runs {
		if d.tape.runs[i].class == pending {
			d.tape.runs[i].class = rest
		}
	}
}

// unheard is how many of n missing packets before pos are lost: the others were
// kept out by a cause that hides, or nobody sent them.
func (d *Deep) unheard(n, pos int64) int64 {
	length, hidden := max(d.length, 1), d.hiddenIn(pos)
	if hidden == 0 {
		return min(n, (pos-d.gap.from)/length+1)
	}
	return max(min(n-(hidden+length/2)/length, (pos-d.gap.from-hidden+length/2)/length), 0)
}

// hiddenIn is how much of the gap before pos causes hide.
func (d *Deep) hiddenIn(pos int64) int64 {
	n, at := d.gap.hidden, d.end
	for i := range d.book.causes {
		from, until := d.hides(i, pos)
		n += max(until-max(from, at), 0)
		at = max(at, until)
	}
	return n
}

func (d *Deep) hidden(pos int64) bool { return d.book.hidden(pos, pos+1) }
