package playout

import (
	"io"
	"slices"

	"mixdown/mixer/pcm"
)

// ReadFrame renders the next frame of the timeline.
func (d *Deep) ReadFrame(f *pcm.Frame) error { return d.hand(f) }

// Skip does all that ReadFrame does except decoding. A payload that only the
// decoder would find broken counts as received.
func (d *Deep) Skip() error { return d.hand(nil) }

// Prepare reads the next frame, so that ReadFrame has little left to do. So a
// Deep can be read beside others by whatever goroutine has time. It implements
// mixer.Preparer and is a row of one frame, see ReadRow.
func (d *Deep) Prepare() { d.ReadRow(1) }

// row is frames that were read one after the other, to be handed out later.
type row struct {
	frames []rowFrame
	given  int // of frames
	told   int // of the packets that wait to be told
}

type rowFrame struct {
	frame pcm.Frame
	err   error
	told  int // so many packets are told when it is handed out
}

// ReadRow reads n frames, which ReadFrame and Skip then hand out one by one, as
// they would have read them, telling Placed of each frame's packets: a decoder
// that goes on at once finds its state in the nearest cache. Nothing but
// ReadFrame and Skip may come before the last of them is handed out, and what
// the Deep tells of itself until then is of the end of the row.
func (d *Deep) ReadRow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.row.frames) > 0 {
		return // the last row is not used up
	}
	d.reading = true
	defer func() { d.reading = false }()
	d.row.frames = slices.Grow(d.row.frames, n)
	for i := range n {
		d.row.frames = d.row.frames[:i+1]
		r := &d.row.frames[i] // what it was last time is overwritten
		r.err = d.read(&r.frame)
		r.told = len(d.untold)
		if r.err != nil {
			return
		}
	}
}

// give hands out the next frame of the row.
func (d *Deep) give(f *pcm.Frame) error {
	r := &d.row.frames[d.row.given]
	for _, p := range d.untold[d.row.told:r.told] {
		d.placed(p)
	}
	if f != nil {
		*f = r.frame
	}
	d.row.told = r.told
	if d.row.given++; d.row.given == len(d.row.frames) {
		d.row = row{frames: d.row.frames[:0]}
		d.untold = d.untold[:0]
	}
	return r.err
}

// tell tells Placed of a packet, or has it told when its frame is handed out.
func (d *Deep) tell(p Placed) {
	if d.reading {
		d.untold = append(d.untold, p)
		return
	}
	d.placed(p)
}

// hand hands out a frame that was read, or reads it.
func (d *Deep) hand(f *pcm.Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.row.frames) > 0 {
		return d.give(f)
	}
	return d.read(f)
}

func (d *Deep) read(f *pcm.Frame) error {
	if !d.fill(f != nil) {
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
