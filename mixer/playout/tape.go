package playout

import (
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// Marks of samples on the tape that are no class of the ledger.
const (
	pending Class = 0xfe // a gap whose cause is not yet known
	absent  Class = 0xff // before the first packet
)

// run is n samples of one class.
type run struct {
	class Class
	n     int
}

// tape is the rendered audio that has not been read, with its classes.
type tape struct {
	samples [][2]float32
	head    int // first unread sample
	n       int // unread samples
	runs    []run
}

// A tape holds a frame less one sample and a packet of 20 ms; a longer packet
// makes it grow, at most to tapeMax.
const (
	tapeRoom = 2*pcm.FrameSize + 4*taps
	tapeMax  = pcm.FrameSize + opus.MaxSamples + opus.MaxSamples/500 + 4*taps
)

func newTape() tape {
	return tape{samples: make([][2]float32, tapeRoom), runs: make([]run, 0, 64)}
}

// extend notes n more samples of class and gives their place to fill.
func (t *tape) extend(n int, class Class) [][2]float32 {
	if t.head+t.n+n > len(t.samples) {
		copy(t.samples, t.samples[t.head:t.head+t.n])
		t.head = 0
	}
	if short := t.n + n - len(t.samples); short > 0 {
		t.samples = append(t.samples, make([][2]float32, short)...)
	}
	at := t.head + t.n
	t.n += n
	t.mark(n, class)
	return t.samples[at : at+n]
}

func (t *tape) mark(n int, class Class) {
	if k := len(t.runs); k > 0 && t.runs[k-1].class == class {
		t.runs[k-1].n += n
	} else if n > 0 {
		t.runs = append(t.runs, run{class, n})
	}
}

// take hands over the oldest of the samples, at most n of one class.
func (t *tape) take(n int) ([][2]float32, Class) {
	r := &t.runs[0]
	n = min(n, r.n)
	class := r.class
	if r.n -= n; r.n == 0 {
		t.runs = t.runs[:copy(t.runs, t.runs[1:])]
	}
	out := t.samples[t.head : t.head+n]
	t.head += n
	t.n -= n
	return out, class
}
