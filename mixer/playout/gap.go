package playout

import "mixdown/mixer/pcm"

// gap is what has been done about the audio missing since the last packet.
type gap struct {
	from    int64 // position at which it began
	bridged int   // samples of media time concealed
	faded   int   // samples of media time faded out
	lost    int64 // samples counted as lost, concealed or recovered
	hidden  int64 // samples of the timeline before it that a cause hides
}

// missing is what the gap before p consists of: samples of packets that were
// sent, and something else.
func (d *Deep) missing(e *epoch, p *entry, pos int64) (lost int64, rest Class) {
	if e.line != d.line || d.line == nil {
		return 0, Stalled
	}
	n := max(p.seq-d.seq-1, 0)
	length := max(pos-d.gap.from, 0)
	lost = min(n*d.length, length)
	if length-lost <= dtxMax*(n+1) {
		return lost, DTX
	}
	return lost, Stalled
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
	length, hidden := max(d.length, 1), d.hiddenBefore(pos)-d.gap.hidden
	if hidden > 0 {
		return max(min(n, (pos-d.gap.from-hidden+length/2)/length), 0)
	}
	return min(n, (pos-d.gap.from)/length+1)
}

// hiddenBefore is how much of the timeline before pos causes hide.
func (d *Deep) hiddenBefore(pos int64) int64 {
	return d.book.ledger[Paused] + d.book.ledger[Excluded] + d.book.hides(d.frame*pcm.FrameSize, pos)
}

func (d *Deep) hidden(pos int64) bool { return d.book.hidden(pos, pos+1) }
