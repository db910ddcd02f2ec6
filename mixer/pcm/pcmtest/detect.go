package pcmtest

import (
	"math"

	"mixdown/mixer/pcm"
)

// Level is how loud a tone is in frames, in dBFS: a sine of amplitude 1 has 0.
// The window (Blackman-Harris) keeps tones that are more than 4 bins away, of
// one over the length of frames each, below -90 dB: 10 frames tell tones 20 Hz
// apart, one frame 200 Hz.
//
//go:norace
func Level(frames []pcm.Frame, hz float64) float64 {
	row := mono(frames)
	window, sum := blackmanHarris(len(row)), 0.0
	for i, w := range window {
		row[i] *= w
		sum += w
	}
	return db(2 * goertzel(row, hz) / sum)
}

// FrameLevel is Level of one frame, without a window: tones that have whole
// periods in a frame (multiples of 50 Hz) do not see each other.
//
//go:norace
func FrameLevel(f *pcm.Frame, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/pcm.Rate)
	var a, b float64
	for _, s := range f {
		a, b = float64(s[0])+c*a-b, a
	}
	return 20 * math.Log10(math.Sqrt(max(0, a*a+b*b-c*a*b))/(pcm.FrameSize/2)+1e-9)
}

// Speaking is those of the tones that are in frames: louder than -50 dBFS.
func Speaking(frames []pcm.Frame, hz ...float64) []float64 {
	var heard []float64
	for _, t := range hz {
		if Level(frames, t) > -50 {
			heard = append(heard, t)
		}
	}
	return heard
}

// goertzel is the magnitude of the Fourier sum of row at one frequency.
//
//go:norace
func goertzel(row []float64, hz float64) float64 {
	w := 2 * math.Pi * hz / pcm.Rate
	c := 2 * math.Cos(w)
	var s1, s2 float64
	for _, x := range row {
		s1, s2 = x+c*s1-s2, s1
	}
	return math.Hypot(s1*math.Cos(w)-s2, s1*math.Sin(w))
}

func blackmanHarris(n int) []float64 {
	window := make([]float64, n)
	for i := range window {
		x := 2 * math.Pi * (float64(i) + 0.5) / float64(n)
		window[i] = 0.35875 - 0.48829*math.Cos(x) + 0.14128*math.Cos(2*x) - 0.01168*math.Cos(3*x)
	}
	return window
}

// Onsets is the samples at which a tone sets in, counted from the first of
// frames: where its level rises through half of the largest level in frames,
// after having been below a quarter. It is exact to half a millisecond for a
// tone that is switched on, by itself or 20 dB above the rest.
func Onsets(frames []pcm.Frame, hz float64) []int64 {
	// Over whole half-waves, here at least 2 ms, the double frequency in the
	// quadrature product averages out.
	half := pcm.Rate / (2 * hz)
	width := int(math.Round(half * math.Ceil(0.002*2*hz)))
	track := magnitudes(mono(frames), hz, width)
	var top float64
	for _, a := range track {
		top = max(top, a)
	}
	if top < 1e-5 {
		return nil
	}
	var onsets []int64
	armed := true
	for i, a := range track {
		switch {
		case armed && a >= top/2:
			onsets, armed = append(onsets, int64(i)), false
		case a < top/4:
			armed = true
		}
	}
	return onsets
}

// magnitudes is the amplitude of a tone around each sample of row: the
// quadrature product averaged over width samples, half before and half behind.
//
//go:norace
func magnitudes(row []float64, hz float64, width int) []float64 {
	re, im := make([]float64, len(row)+1), make([]float64, len(row)+1)
	for i, x := range row {
		_, turns := math.Modf(hz * float64(i) / pcm.Rate)
		s, c := math.Sincos(2 * math.Pi * turns)
		re[i+1], im[i+1] = re[i]+x*c, im[i]-x*s
	}
	track := make([]float64, len(row))
	for i := range track {
		a, b := max(i-width/2, 0), min(i-width/2+width, len(row))
		track[i] = 2 * math.Hypot(re[b]-re[a], im[b]-im[a]) / float64(width)
	}
	return track
}
