package main

import (
	"math"

	"mixdown/mixer/pcm"
)

// toneLevel is the level of a tone in one frame, in dBFS. All tones of the
// tests have whole periods in a frame, so they do not see each other.
func toneLevel(f *pcm.Frame, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/pcm.Rate)
	var a, b float64
	for _, s := range f {
		a, b = float64(s[0])+c*a-b, a
	}
	return 20 * math.Log10(math.Sqrt(max(0, a*a+b*b-c*a*b))/(pcm.FrameSize/2)+1e-9)
}
