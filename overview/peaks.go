package overview

import (
	"math"

	"mixdown/mixer/pcm"
)

// Peaks collects how loud one output is, while it is rendered. It is used by
// one goroutine; of a nil *Peaks nothing comes.
type Peaks struct {
	first int64     // number of the first step held
	held  []float32 // the loudest of each step, from first on
}

// keep is how many steps are collected before they are worth a line: 10 s.
const keep = 10 * pcm.Rate / Step

// farthest bounds what a false position can make of the steps held: an hour.
const farthest = 3600 * pcm.Rate / Step

// Frame takes the frame that begins at sample pos. It looks at every fourth
// sample: of a voice the loudest of those 1200 a step is within a decibel of the
// loudest of all, and all would cost four times as much.
func (p *Peaks) Frame(pos int64, f *pcm.Frame) {
	if p == nil {
		return
	}
	var left, right uint32 // bits of positive floats order as the floats do
	for i := 0; i < len(f); i += 4 {
		left = max(left, math.Float32bits(f[i][0])&^(1<<31))
		right = max(right, math.Float32bits(f[i][1])&^(1<<31))
	}
	p.put(pos/Step, math.Float32frombits(max(left, right)))
}

// Level takes what a packet says of itself (RFC 6464, in -dBov), where nobody
// decodes it.
func (p *Peaks) Level(pos int64, samples int, level uint8) {
	if p == nil || level >= 127 {
		return
	}
	amplitude := float32(math.Pow(10, -float64(level)/20))
	for step := pos / Step; step*Step < pos+int64(samples); step++ {
		p.put(step, amplitude)
	}
}

func (p *Peaks) put(step int64, amplitude float32) {
	if amplitude == 0 {
		return
	}
	if len(p.held) == 0 {
		p.first = step
	}
	i := step - p.first
	if i < 0 || i >= farthest {
		return // behind what was taken already, or no position at all
	}
	for int64(len(p.held)) <= i {
		p.held = append(p.held, 0)
	}
	p.held[i] = max(p.held[i], amplitude)
}

// Due says that what is held before sample pos is worth a line.
func (p *Peaks) Due(pos int64) bool { return len(p.held) > 0 && pos/Step-p.first >= keep }

// Take is what was collected since the last time, without silence in front and
// behind: the sample at which it begins, and one byte for each step. Steps that
// were taken before may come again; the louder one counts.
func (p *Peaks) Take() (pos int64, peaks []byte) {
	for _, a := range p.held {
		peaks = append(peaks, code(a))
	}
	for len(peaks) > 0 && peaks[len(peaks)-1] == 0 {
		peaks = peaks[:len(peaks)-1]
	}
	p.held = p.held[:0]
	for len(peaks) > 0 && peaks[0] == 0 {
		peaks, p.first = peaks[1:], p.first+1
	}
	return p.first * Step, peaks
}

// code is an amplitude as a byte: quarters of a decibel below full scale, 0 for
// silence.
func code(amplitude float32) byte {
	if !(amplitude > 0) {
		return 0
	}
	b := math.Round(255 + 80*math.Log10(float64(amplitude)))
	return byte(min(max(b, 0), 255))
}

// Amplitude is what a byte of a wave stands for, of full scale.
func Amplitude(b byte) float64 {
	if b == 0 {
		return 0
	}
	return math.Pow(10, (float64(b)-255)/80)
}
