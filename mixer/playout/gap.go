package playout

import (
	"math"

	"mixdown/encoder/opus"
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
	each := d.length
	if k, err := opus.Duration(p.payload); err == nil && !d.quiet && !p.quiet() {
		each = max(each, int64(k)) // senders on a bad path turn to longer packets
	}
	lost = min(n*each, length)
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

// spare is how many samples before p its FEC restores, 0 if there is none or
// nothing to restore.
func (d *Deep) spare(e *epoch, p *entry, pos int64) int {
	if e.line == nil || e.line != d.line || p.seq-d.seq < 2 || d.quiet || !opus.HasFEC(p.payload) {
		return 0
	}
	if lost, _ := d.missing(e, p, pos); lost <= d.gap.lost || lost < pos-d.gap.from-slack {
		return 0
	}
	return frameSamples(p.payload[0])
}

// frameSamples is the length of one frame by its TOC byte (RFC 6716, section 3.1).
func frameSamples(toc byte) int {
	config := int(toc >> 3)
	switch {
	case config >= 16:
		return 120 << (config & 3)
	case config >= 12:
		return 480 << (config & 1)
	case config&3 == 3:
		return 2880
	default:
		return 480 << (config & 3)
	}
}

// bridge continues running audio where packets are missing; the next one is
// room samples of media time away.
func (d *Deep) bridge(e *epoch, p *entry, pos int64, room, need int, render bool) {
	class, lossy := pending, false
	if why, until := d.withheld(p, pos); until > 0 {
		class = why
		defer func(from int64) { d.gap.hidden += d.end - from }(d.end)
	} else if p != nil {
		lost, rest := d.missing(e, p, pos)
		class = rest
		if lost > d.gap.lost {
			class = Lost
			// Silence that the sender meant is not concealed.
			lossy = !d.quiet && d.gap.faded == 0 && lost >= pos-d.gap.from-slack
		}
	}
	n := min(room, (need+ahead+opus.Grain-1)/opus.Grain*opus.Grain, opus.MaxSamples)
	spare := 0
	if class == Lost {
		spare = d.spare(e, p, pos)
	}
	restored, whole := spare > 0 && room == spare, room
	if room > spare {
		room -= spare
	}
	n = min(n, room)
	switch {
	case restored:
		d.restore(p, room, render)
	case lossy && d.gap.bridged < concealMax:
		// The codec guesses whole packets better than parts of them.
		n = min(room, max(n, int(d.length)), concealMax-d.gap.bridged)
		d.conceal(n, whole, render)
	case d.gap.bridged == 0 && d.gap.faded < fadeTime:
		n = min(n, fadeTime-d.gap.faded)
		if render {
			d.voice.conceal(n)
			d.voice.fade(n, 1-float32(d.gap.faded)/fadeTime, 1-float32(d.gap.faded+n)/fadeTime)
		}
		d.gap.faded += n
		k := d.feed(n, class, render)
		if class == Lost {
			d.gap.lost += int64(k)
		}
	default:
		d.stop(class, render)
	}
}

// restore renders the n samples before p from its FEC.
func (d *Deep) restore(p *entry, n int, render bool) {
	d.warm(d.end, n)
	if render && !d.voice.fec(p.payload, n) {
		d.voice.conceal(n)
	}
	d.gap.lost += int64(d.feed(n, Recovered, render))
}

// conceal bridges n samples of a loss that ends in room samples.
func (d *Deep) conceal(n, room int, render bool) {
	if render {
		d.voice.conceal(n)
		const foot = concealMax - fadeTime
		if from := d.gap.bridged - foot; from+n > 0 && room > concealMax-d.gap.bridged {
			gain := func(at int) float32 { return 1 - float32(min(max(at, 0), fadeTime))/fadeTime }
			d.voice.fade(n, gain(from), gain(from+n))
		}
	}
	d.gap.bridged += n
	d.gap.lost += int64(d.feed(n, Concealed, render))
}
