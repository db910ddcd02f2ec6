package pcmtest

import (
	"math"

	"mixdown/mixer/pcm"
)

// TruePeak is the largest magnitude of the signal of either channel, between
// the samples too, in dBTP (ITU-R BS.1770, annex 2): 4 times oversampled by a
// filter of 64 samples, sharper than the one of the mixer's limiter. Where
// the filter would reach beyond the ends of frames, only samples count: what
// comes there is not known.
//
//go:norace
func TruePeak(frames []pcm.Frame) float64 {
	const reach = 32
	var phases [3][2 * reach]float64
	for p := range phases {
		phase := float64(p+1) / 4
		for i := range phases[p] {
			x := float64(i-reach+1) - phase
			// A sinc under a Hann window.
			phases[p][i] = math.Sin(math.Pi*x) / (math.Pi * x) * (0.5 + 0.5*math.Cos(math.Pi*x/reach))
		}
	}
	var peak float64
	channels := 1
	for i := range frames {
		for _, s := range frames[i] {
			if s[0] != s[1] {
				channels = 2
			}
		}
	}
	for channel := range channels {
		row := make([]float64, 0, len(frames)*pcm.FrameSize)
		for i := range frames {
			for _, s := range frames[i] {
				row = append(row, float64(s[channel]))
				peak = max(peak, math.Abs(float64(s[channel])))
			}
		}
		for at := 0; at+2*reach <= len(row); at++ {
			for p := range phases {
				var x float64
				for i, tap := range phases[p] {
					x += tap * row[at+i]
				}
				peak = max(peak, math.Abs(x))
			}
		}
	}
	return db(peak)
}
