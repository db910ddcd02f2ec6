// Package playtest judges by ear, so to speak, what a jitter buffer made of
// speech.
//
// It stands beside the tests of package playout, which are its callers: they
// decode the same speech once whole and once as it came over a bad network,
// and ask how much of the first is left in the second. It promises nothing
// about how people would judge; its figures are floors against regressions.
package playtest

import (
	"math"
	"math/cmplx"

	"mixdown/mixer/pcm"
)

const (
	thin    = 4               // samples taken together: the bands end at 4.3 kHz
	rate    = pcm.Rate / thin // 12 kHz
	frame   = rate / 40       // 25 ms
	hop     = frame / 2
	size    = 512 // of the transform
	bands   = 15  // third-octaves from 150 Hz on
	segment = 30  // frames, 375 ms
	floor   = 40  // dB below the loudest frame: silence
	clip    = 1 + 5.623413251903491
)

// Intelligibility is how much of the speech in clean is left in damaged, 1 for
// all of it and 0 for nothing, after the measure STOI (Taal, Hendriks,
// Heusdens, Jensen: A Short-Time Objective Intelligibility Measure for
// Time-Frequency Weighted Noisy Speech, 2010): the correlation of the
// envelopes of third-octave bands over 30 frames, where there is speech. Both
// are mono at 48 kHz and begin at the same instant. It is NaN for less than
// 30 frames of speech.
func Intelligibility(clean, damaged []float32) float64 {
	n := min(len(clean), len(damaged))
	clean, damaged = thinned(clean[:n]), thinned(damaged[:n])
	spoken := speaking(clean)
	x, y := envelopes(clean, spoken), envelopes(damaged, spoken)
	sum, count := 0.0, 0
	for at := segment; at <= len(spoken); at++ {
		for b := range bands {
			sum += agreement(x[b][at-segment:at], y[b][at-segment:at])
			count++
		}
	}
	return sum / float64(count)
}

// thinned is s at 12 kHz. What folds down is the same in both that are
// compared.
func thinned(s []float32) []float32 {
	out := make([]float32, len(s)/thin)
	for i := range out {
		for _, x := range s[i*thin : (i+1)*thin] {
			out[i] += x / thin
		}
	}
	return out
}

// speaking is the starts of the frames that are not silent.
func speaking(s []float32) []int {
	var starts []int
	var power []float64
	top := 0.0
	for at := 0; at+frame <= len(s); at += hop {
		p := 1e-12
		for _, v := range s[at : at+frame] {
			p += float64(v) * float64(v)
		}
		starts, power, top = append(starts, at), append(power, p), max(top, p)
	}
	kept := starts[:0]
	for i, p := range power {
		if p > top*math.Pow(10, -floor/10.0) {
			kept = append(kept, starts[i])
		}
	}
	return kept
}

// envelopes is the magnitude of each band in the frames that start at starts.
func envelopes(s []float32, starts []int) (e [bands][]float64) {
	var edges [bands + 1]int
	for b := range edges {
		hz := 150 * math.Pow(2, (float64(b)-0.5)/3)
		edges[b] = int(math.Round(hz * size / rate))
	}
	row := make([]complex128, size)
	for _, at := range starts {
		clear(row)
		for i, v := range s[at : at+frame] {
			w := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/frame)
			row[i] = complex(float64(v)*w, 0)
		}
		transform(row)
		for b := range bands {
			power := 0.0
			for _, c := range row[edges[b]:edges[b+1]] {
				power += real(c)*real(c) + imag(c)*imag(c)
			}
			e[b] = append(e[b], math.Sqrt(power))
		}
	}
	return e
}

// agreement is the correlation of two envelopes; y is scaled to x and clipped
// where it is far louder first.
func agreement(x, y []float64) float64 {
	var xx, yy float64
	for i := range x {
		xx, yy = xx+x[i]*x[i], yy+y[i]*y[i]
	}
	if yy == 0 {
		return 0
	}
	scale := math.Sqrt(xx / yy)
	var scaled [segment]float64
	var mx, my float64
	for i := range x {
		scaled[i] = min(y[i]*scale, x[i]*clip)
		mx, my = mx+x[i]/segment, my+scaled[i]/segment
	}
	var xy, dx, dy float64
	for i := range x {
		a, b := x[i]-mx, scaled[i]-my
		xy, dx, dy = xy+a*b, dx+a*a, dy+b*b
	}
	if dx == 0 || dy == 0 {
		return 0
	}
	return xy / math.Sqrt(dx*dy)
}

// transform is the Fourier transform of row in place; its length is a power of
// two.
func transform(row []complex128) {
	for i, j := 1, 0; i < len(row); i++ {
		bit := len(row) >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		if j |= bit; i < j {
			row[i], row[j] = row[j], row[i]
		}
	}
	for n := 2; n <= len(row); n *= 2 {
		step := cmplx.Rect(1, -2*math.Pi/float64(n))
		for at := 0; at < len(row); at += n {
			w := complex(1, 0)
			for i := at; i < at+n/2; i++ {
				a, b := row[i], row[i+n/2]*w
				row[i], row[i+n/2] = a+b, a-b
				w *= step
			}
		}
	}
}

// Lag is by how many samples damaged lies behind clean, 0 to most, judged by
// where they agree best.
func Lag(clean, damaged []float32, most int) int {
	best, lag := math.Inf(-1), 0
	try := func(l, stride int) {
		sum := 0.0
		for i := 0; i < len(clean) && i+l < len(damaged); i += stride {
			sum += float64(clean[i]) * float64(damaged[i+l])
		}
		if sum > best {
			best, lag = sum, l
		}
	}
	for l := 0; l <= most; l += 4 {
		try(l, 7)
	}
	near := lag
	best = math.Inf(-1)
	for l := max(near-6, 0); l <= min(near+6, most); l++ {
		try(l, 1)
	}
	return lag
}
