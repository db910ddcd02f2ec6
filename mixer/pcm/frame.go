package pcm

import "math"

// signless clears the sign bit of a float32. What remains orders like the
// magnitude does, with infinity and NaN above every number, so that the
// loops below compare integers, which costs no branch.
const signless = 1<<31 - 1

// Add adds o, times gain, to f.
//
//go:norace
func (f *Frame) Add(o *Frame, gain float32) {
	if gain == 1 {
		for i := range f {
			f[i][0] += o[i][0]
			f[i][1] += o[i][1]
		}
		return
	}
	for i := range f {
		f[i][0] += o[i][0] * gain
		f[i][1] += o[i][1] * gain
	}
}

// Silent says whether every sample of f is zero. It is quick both for
// silence and for the rest.
//
//go:norace
func (f *Frame) Silent() bool {
	const block = 32
	for b := 0; b < FrameSize; b += block {
		s := (*[block][2]float32)(f[b:])
		var l, r uint32
		for i := 0; i < block; i += 2 {
			l |= math.Float32bits(s[i][0]) | math.Float32bits(s[i+1][0])
			r |= math.Float32bits(s[i][1]) | math.Float32bits(s[i+1][1])
		}
		if (l|r)&signless != 0 {
			return false
		}
	}
	return true
}

// Peak is the largest magnitude in f, of both channels; NaN if there is one.
//
//go:norace
func (f *Frame) Peak() float32 { return Peak(f[:]) }

// Peak is [Frame.Peak] of any number of samples.
//
//go:norace
func Peak(samples [][2]float32) float32 {
	// Without their signs, floats lie in the order of their bits.
	var l, r uint32
	for i := range samples {
		l = max(l, math.Float32bits(samples[i][0])&signless)
		r = max(r, math.Float32bits(samples[i][1])&signless)
	}
	return math.Float32frombits(max(l, r))
}

// Level is what a meter shows of f: the largest magnitude and the mean square
// over both channels. A sine of full scale has 1 and 0.5. NaN and infinity in
// f show up in peak.
//
//go:norace
func (f *Frame) Level() (peak float32, meanSquare float64) {
	var l, r uint32
	// Four sums, because one would wait for itself at every sample.
	var s0, s1, s2, s3 float32
	for i := 0; i < FrameSize; i += 2 {
		a, b, c, d := f[i][0], f[i][1], f[i+1][0], f[i+1][1]
		l = max(l, max(math.Float32bits(a)&signless, math.Float32bits(c)&signless))
		r = max(r, max(math.Float32bits(b)&signless, math.Float32bits(d)&signless))
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
	}
	square := float64(s0) + float64(s1) + float64(s2) + float64(s3)
	return math.Float32frombits(max(l, r)), square / (2 * FrameSize)
}

// DB is an amplitude (1 is full scale) in decibels, at least [MinDB].
func DB(amplitude float64) float64 {
	if !(amplitude > 1e-6) {
		return MinDB
	}
	return 20 * math.Log10(amplitude)
}

// MinDB is what [DB] says of silence: finite, because JSON knows no infinity.
const MinDB = -120
