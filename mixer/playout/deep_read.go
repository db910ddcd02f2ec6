package playout

import (
	"io"

	"mixdown/mixer/pcm"
)

// ReadFrame renders the next frame of the timeline.
func (d *Deep) ReadFrame(f *pcm.Frame) error { return d.read(f) }

// Skip does all that ReadFrame does except decoding. A payload that only the
// decoder would find broken counts as received.
func (d *Deep) Skip() error { return d.read(nil) }

// Prepare does the work of the next ReadFrame, which then copies what there is
// and tells Placed of the packets. So a Deep can be prepared beside others by
// whatever goroutine has time. It implements mixer.Preparer: ReadFrame comes
// right after it, and nothing in between.
func (d *Deep) Prepare() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ahead = true // first: tell looks at it
	d.ahead = d.fill(true)
}

// tell tells Placed of a packet, or has it told by the read that was prepared.
func (d *Deep) tell(p Placed) {
	if d.ahead {
		d.untold = append(d.untold, p)
		return
	}
	d.placed(p)
}

func (d *Deep) read(f *pcm.Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	prepared := d.ahead
	d.ahead = false
	for _, p := range d.untold {
		d.placed(p)
	}
	d.untold = d.untold[:0]
	if !prepared && !d.fill(f != nil) {
		d.book.settle(0, Stalled)
		if f != nil {
			*f = pcm.Frame{}
		}
		return io.EOF
	}
	start := d.frame * pcm.FrameSize
	for off := 0; off < pcm.FrameSize; {
		s, class := d.tape.take(pcm.FrameSize - off)
		if f != nil {
			copy(f[off:], s)
			d.book.enter(start+int64(off), class, f[off:off+len(s)])
		} else {
			d.book.enter(start+int64(off), class, s)
		}
		off += len(s)
	}
	d.frame++
	return nil
}

// fill puts the next frame on the tape, or says that there is none.
func (d *Deep) fill(render bool) bool {
	start := d.frame * pcm.FrameSize
	if d.book.ended && start >= max(d.book.until, d.gap.from) {
		return false
	}
	for _, e := range d.epochs {
		if e.line != nil {
			e.line.clock.settle(start + horizon)
		}
	}
	for tries := 0; d.tape.n < pcm.FrameSize; tries++ {
		if tries == triesMax {
			d.giveUp()
		}
		d.advance(pcm.FrameSize-d.tape.n, render)
	}
	return true
}

// triesMax is more steps than a frame can take: each puts a sample on the tape,
// takes a packet, or begins or ends running audio.
const triesMax = 3 * (entriesMax + pcm.FrameSize)

// giveUp fills the frame with silence: where a step came to nothing, the same
// step would again, and the recording would stand still.
func (d *Deep) giveUp() {
	n := pcm.FrameSize - d.tape.n
	clear(d.tape.extend(n, Stalled))
	d.end += int64(n)
	d.spurt = false
}
