package mixer

import (
	"math"

	"mixdown/mixer/pcm"
)

// look is what one pass over a frame finds out.
type look struct {
	top    uint32     // the largest magnitude on the left, as bits; anything if the left has a NaN
	differ uint32     // the bits in which left and right differ, somewhere
	square [8]float32 // sums of the squares on the left, one for every eighth sample; NaN if it has a NaN
}

// bent is how loud samples are and how sharply they bend: the bits of the largest
// magnitude, and of the largest second difference. Bits of what is no number are
// larger than those of any number.
type bent struct{ top, bend uint32 }

// The loops that run over every frame of every input and mix are written twice:
// here, and for amd64 in vectors, which is four to ten times as fast and gives
// the same bits. A test holds them against each other.

// surveyPlain looks a frame over.
//
//go:norace
func surveyPlain(f *pcm.Frame, l *look) {
	*l = look{}
	for i := 0; i < pcm.FrameSize; i += 8 {
		part := (*[8][2]float32)(f[i:])
		for k, s := range part {
			bits := math.Float32bits(s[0])
			l.differ |= bits ^ math.Float32bits(s[1])
			// Without their signs, the bits order like the magnitudes do.
			l.top = max(l.top, bits&^(1<<31))
			l.square[k] += s[0] * s[0]
		}
	}
}

// addPlain adds the left side of a frame, times gain, to a row.
//
//go:norace
func addPlain(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64) {
	for i := range f {
		row[i] += float64(f[i][0]) * gain
	}
}

// bendPlain looks at an even number of samples, at least four.
//
//go:norace
func bendPlain(samples [][2]float32) (s bent) {
	bits := func(x float32) uint32 { return math.Float32bits(x) &^ (1 << 31) }
	a, b := samples[0], samples[1]
	s.top = max(bits(a[0]), bits(a[1]), bits(b[0]), bits(b[1]))
	for _, c := range samples[2:] {
		s.top = max(s.top, bits(c[0]), bits(c[1]))
		s.bend = max(s.bend, bits(c[0]-b[0]-(b[0]-a[0])), bits(c[1]-b[1]-(b[1]-a[1])))
		a, b = b, c
	}
	return s
}

// roundPlain brings a row into float32, on both sides.
//
//go:norace
func roundPlain(f *pcm.Frame, mono *[pcm.FrameSize]float64) {
	for i := range f {
		x := float32(mono[i])
		f[i] = [2]float32{x, x}
	}
}
