package playout

import (
	"math"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

const (
	concealMax = pcm.Rate / 10 // 100 ms
	fadeTime   = pcm.Rate / 50 // 20 ms
	dtxMax     = 2 * pcm.Rate
	slack      = opus.Grain // a packet this little behind its time is still used, whatever it is
	// coldAfter is how long a decoder may have heard nothing and still know
	// something of what comes next. After that it begins anew, so that what is
	// heard does not depend on what was long ago. Senders of DTX send a packet
	// every 400 ms.
	coldAfter = pcm.Rate / 2
)

// advance puts at least one sample on the tape or takes one packet from the
// queue. Gaps are filled for the next need samples only, so that a packet may
// come as late as its own audio.
func (d *Deep) advance(need int, render bool) {
	e, p, pos := d.next(need)
	if p != nil && e.line == nil {
		e, p = nil, nil // not due, and what it means for the gap is open
	}
	if p != nil && len(d.book.held) > 0 {
		d.resolve(e, p, pos)
	}
	if d.spurt {
		d.goOn(e, p, pos, need, render)
		return
	}
	if p == nil {
		d.silence(need, nil, nil, 0)
		return
	}
	wait := pos - d.end
	if wait <= 0 {
		d.play(e, p, pos, render)
		return
	}
	if n := int64(d.spare(e, p, pos)); n > 0 && wait >= n {
		if wait -= n; wait == 0 {
			d.begin(p.media - n)
			d.restore(p, int(n), render)
			return
		}
	}
	d.silence(int(min(int64(need), wait)), e, p, pos)
}

// goOn continues running audio: by the next packet if it is contiguous, else by
// whatever bridges the gap.
func (d *Deep) goOn(e *epoch, p *entry, pos int64, need int, render bool) {
	room := int64(math.MaxInt32)
	switch {
	case p == nil:
	case e.line == d.line:
		room = p.media - d.media
	default:
		room = pos - d.position(d.media)
	}
	switch {
	case room > 0:
		d.bridge(e, p, pos, int(min(room, math.MaxInt32)), need, render)
	case e.line == d.line:
		d.play(e, p, pos, render)
	default:
		d.stop(Stalled, render)
	}
}

// next is the packet to be played next and its position as far as it is
// known. Packets whose time is over are thrown away.
func (d *Deep) next(need int) (*epoch, *entry, int64) {
	for {
		var e *epoch
		var pos int64
		for _, c := range d.epochs {
			if len(c.queue) == 0 {
				continue
			}
			if at := d.expect(c); e == nil || at < pos {
				e, pos = c, at
			}
		}
		if e == nil {
			return nil, nil, 0
		}
		if e.line == nil && pos < d.end+int64(need) {
			e.fix(d.epochs)
			continue
		}
		p := e.queue[0]
		at, end := pos, d.end
		if d.spurt && e.line == d.line {
			at, end = p.media, d.media
		}
		late := at < end-slack && at+p.reach() < end // few packets come to the second question
		switch {
		case pos < 0: // what was said before the timeline began is history, also if it was still being said then
		case late:
			if !p.copied {
				d.quality.Late++
			}
		case d.book.ended && pos >= d.book.until:
		case e.line != nil && e.resumed(p, pos) && d.resume(e):
			continue
		default:
			return e, p, pos
		}
		d.release(e.remove())
	}
}

// expect is the position of the first packet that waits in e.
func (d *Deep) expect(e *epoch) int64 {
	media := e.queue[0].media
	switch {
	case e.line == nil:
		if line := e.parent(d.epochs); line != nil {
			return media + int64(math.Floor(line.offset))
		}
		return media + e.least
	case d.spurt && e.line == d.line:
		return d.position(media)
	default:
		return e.line.place(media, d.end)
	}
}

// position maps media time while audio is running.
func (d *Deep) position(media int64) int64 {
	return d.end + int64(math.Round((d.res.lag()+float64(media-d.media))*d.res.ratio()))
}

// silence fills n samples of a gap before p, which is nil if it has not come.
func (d *Deep) silence(n int, e *epoch, p *entry, pos int64) {
	class := pending
	if b := &d.book; !b.begun && b.announced && d.end+int64(n) > b.since {
		if wait := int(b.since - d.end); wait > 0 {
			clear(d.tape.extend(wait, absent))
			d.end += int64(wait)
			n -= wait
		}
		b.begun, b.first = true, d.end
	}
	why, until := d.withheld(p, pos)
	switch {
	case !d.book.begun:
		class = absent
	case until > 0:
		class = why
		n = int(min(int64(n), until-d.end))
		d.gap.hidden += int64(n)
	case p != nil:
		lost, rest := d.missing(e, p, pos)
		if l := int(min(int64(n), lost-d.gap.lost)); l > 0 {
			clear(d.tape.extend(l, Lost))
			d.gap.lost += int64(l)
			d.end += int64(l)
			n -= l
		}
		class = rest
	}
	clear(d.tape.extend(n, class))
	d.end += int64(n)
}

// warm prepares the decoder for n samples of sound from pos on.
func (d *Deep) warm(pos int64, n int) {
	if pos-d.voiced >= coldAfter {
		d.voice.reset()
	}
	d.voiced = pos + int64(n)
}

// begin starts running audio at media time media, which is position end.
func (d *Deep) begin(media int64) {
	d.res.reset()
	d.media = media
	d.spurt = true
}

// feed puts n samples that the voice holds through the resampler on the tape
// and returns how many they became.
func (d *Deep) feed(n int, class Class, render bool) int {
	if render {
		d.res.push(d.voice.pcm, d.voice.channels, n)
	} else {
		d.res.push(nil, 0, n)
	}
	d.media += int64(n)
	k := d.res.ready()
	d.pull(k, class, render)
	d.line.offset = float64(d.end-d.media) + d.res.lag()*d.res.ratio()
	return k
}

func (d *Deep) pull(n int, class Class, render bool) {
	out := d.tape.extend(n, class)
	if render {
		d.res.pull(out, n)
	} else {
		clear(out)
		d.res.pull(nil, n)
	}
	d.end += int64(n)
}

// stop ends running audio; what the resampler still holds is of class.
func (d *Deep) stop(class Class, render bool) {
	d.pull(d.res.rest(), class, render)
	d.spurt = false
}

// play takes p from its queue and renders it at the end of the tape.
func (d *Deep) play(e *epoch, p *entry, pos int64, render bool) {
	e.remove()
	defer d.release(p)
	if d.line != e.line {
		if d.line != nil {
			d.voice.reset()
			d.fresh = true
		}
		d.line, d.seq = e.line, p.seq-1
	}
	if !d.book.begun {
		d.book.begun, d.book.first = true, d.end
	}
	if n := p.seq - d.seq - 1; n > 0 {
		d.quality.Lost += d.unheard(n, pos)
	}
	d.seq = p.seq
	length, err := opus.Duration(p.payload)
	if err == nil && !d.hidden(pos) && d.placed != nil {
		if at, ok := d.files.put(d.line, p, pos, length); ok {
			d.tell(Placed{Pos: at, Samples: length, Seq: uint16(p.seq), Payload: p.payload, Level: p.level, Fresh: d.fresh})
			d.fresh = false
		}
	}
	if p.quiet() {
		if !d.spurt {
			d.media = p.media
		}
		faded := 0
		if d.quiet {
			faded = d.gap.faded // one fade, however often the sender says that it is silent
		}
		d.gap = gap{from: pos, faded: faded}
		d.quiet = true
		return
	}
	d.sound(p, pos, length, err != nil, render)
}

// sound renders a packet that carries audio.
func (d *Deep) sound(p *entry, pos int64, length int, broken, render bool) {
	var skip int
	if d.spurt {
		skip = int(max(d.media-p.media, 0))
	} else {
		skip = int(d.end - pos)
		d.begin(p.media + int64(skip))
	}
	d.res.setRate(d.line.steer(pos))
	class := Received
	if p.resent {
		class = Recovered
	}
	if broken {
		length = int(d.length)
	}
	hidden := d.book.hidden(pos, pos+int64(length))
	render = render && !hidden
	if !broken && !hidden {
		d.warm(pos, length)
	}
	if render && !broken {
		n, ok := d.voice.decode(p.payload)
		if broken = !ok; ok {
			length = n
		}
	}
	if broken {
		d.quality.Broken++
		class = Concealed
		if render {
			d.voice.conceal(length)
		}
	}
	if skip = min(skip, length); skip > 0 && render {
		c := d.voice.channels
		copy(d.voice.pcm, d.voice.pcm[skip*c:length*c])
	}
	d.feed(length-skip, class, render)
	d.length, d.quiet = int64(length), false
	d.gap = gap{from: d.position(d.media)}
}
