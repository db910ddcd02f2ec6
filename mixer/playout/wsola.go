package playout

import (
	"math"

	"mixdown/mixer/pcm"
)

// Waveform-similarity overlap-add: sound is made shorter or longer by a
// stretch after which it resembles itself, a period of the voice or some, so
// that neither pitch nor vowels change. It is for the live mix when the buffer
// is far from its target; what is near is left to the resampler.
const (
	spliceLeast = pcm.Rate / 400     // 2.5 ms
	spliceMost  = pcm.Rate * 3 / 200 // 15 ms
	spliceFade  = pcm.Rate / 200     // 5 ms of cross-fade, over which the two must resemble
	spliceRoom  = spliceMost + spliceFade
	coarse      = 4      // the search goes over every fourth sample first
	faint       = 3.2e-5 // mean square, -45 dBFS: resemblance does not matter
)

// shorten takes a stretch out of the first 20 ms of n samples, interleaved in
// s, where the sound resembles itself by at least alike, 1 being sameness: at
// most most samples. It returns the samples that are left, n if nothing was
// taken out.
func shorten(s []float32, channels, n, most int, alike float32) int {
	if n < spliceRoom || most < spliceLeast {
		return n
	}
	lag := similar(s, channels, 0, 1, most, alike)
	if lag == 0 {
		return n
	}
	blend(s, s[lag*channels:], channels)
	copy(s[spliceFade*channels:], s[(spliceFade+lag)*channels:n*channels])
	return n - lag
}

// lengthen repeats a stretch of the first 20 ms of n samples, interleaved in
// s, which has room for spliceMost more, as shorten takes one out.
func lengthen(s []float32, channels, n int, alike float32) int {
	if n < spliceRoom {
		return n
	}
	lag := similar(s, channels, spliceMost, -1, spliceMost, alike)
	if lag == 0 {
		return n
	}
	// What follows sample spliceMost is to be what came lag samples earlier.
	var head [2 * spliceFade]float32
	at := spliceMost * channels
	fade := head[:spliceFade*channels]
	copy(fade, s[at:])
	copy(s[at+lag*channels:], s[at:n*channels])
	copy(s[at:at+lag*channels], s[at-lag*channels:at])
	blend(fade, s[at:], channels)
	copy(s[at:], fade)
	return n + lag
}

// blend goes over from a to b within the fade, in a.
//
//go:norace
func blend(a, b []float32, channels int) {
	for i := range spliceFade {
		w := float32(0.5 - 0.5*math.Cos(math.Pi*(float64(i)+0.5)/spliceFade))
		for c := range channels {
			k := i*channels + c
			a[k] += w * (b[k] - a[k])
		}
	}
}

// similar is the distance, in direction sign, at which the sound from sample
// at on resembles itself most over the length of the fade, or 0 if that is
// less than alike. Of two that are nearly as good the greater counts.
//
//go:norace
func similar(s []float32, channels, at, sign, most int, alike float32) int {
	most = min(most, spliceMost)
	var m [spliceRoom]float32
	for i := range m {
		m[i] = s[i*channels] + s[(i+1)*channels-1]
	}
	best, lag := float32(-1), 0
	for l := spliceLeast; l <= most; l += coarse {
		if r := resemblance(&m, at, at+sign*l, coarse) + float32(l)*(0.08/spliceMost); r > best {
			best, lag = r, l
		}
	}
	near := lag
	best = -1
	for l := max(near-coarse+1, spliceLeast); l <= min(near+coarse-1, most); l++ {
		if r := resemblance(&m, at, at+sign*l, 1); r > best {
			best, lag = r, l
		}
	}
	if best < alike && !quietAt(&m, at) {
		return 0
	}
	return lag
}

// resemblance is the normalized correlation of two stretches of m.
//
//go:norace
func resemblance(m *[spliceRoom]float32, a, b, stride int) float32 {
	var xy, xx, yy float32
	x, y := m[a:a+spliceFade], m[b:b+spliceFade]
	for i := 0; i < spliceFade; i += stride {
		xy, xx, yy = xy+x[i]*y[i], xx+x[i]*x[i], yy+y[i]*y[i]
	}
	if xx*yy == 0 {
		return 0
	}
	return xy / float32(math.Sqrt(float64(xx)*float64(yy)))
}

//go:norace
func quietAt(m *[spliceRoom]float32, at int) bool {
	var sum float32
	for _, x := range m[at : at+spliceFade] {
		sum += x * x
	}
	return sum < 4*faint*spliceFade
}
