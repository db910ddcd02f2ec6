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

// The two loops that run over every frame of every input are written twice:
// here, and for amd64 in vectors, which is four to eight times as fast and gives
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
