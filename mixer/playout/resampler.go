package playout

import (
	"math"
	"sync"
)

const (
	taps   = 32  // length of the filter
	phases = 256 // stored between two samples; between them coefficients are interpolated
	ahead  = taps / 2
	behind = ahead - 1
	// stride is how many outputs share one set of coefficients. Within a stride
	// the phase moves by less than 1/100 of a stored phase per 10 ppm.
	stride = 4
	unit   = 1 << 32
)

// kernel holds the filter for each phase, with one phase more as a guard for
// interpolation. The filter is a sinc under a Kaiser window, flat within
// 0.1 dB up to 18 kHz.
var kernel = sync.OnceValue(func() *[phases + 1][taps]float32 {
	const beta, cutoff = 6.5, 0.97
	k := new([phases + 1][taps]float32)
	for p := range k {
		var row [taps]float64
		sum := 0.0
		for i := range row {
			x := float64(i-behind) - float64(p)/phases
			w := x / ahead
			if w <= -1 || w >= 1 {
				continue
			}
			row[i] = cutoff * sinc(cutoff*x) * bessel(beta*math.Sqrt(1-w*w)) / bessel(beta)
			sum += row[i]
		}
		for i, c := range row {
			k[p][i] = float32(c / sum)
		}
	}
	return k
})

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function of the first kind and order zero.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for n := 1.0; term > sum*1e-12; n++ {
		term *= (x / (2 * n)) * (x / (2 * n))
		sum += term
	}
	return sum
}

// resampler follows the clock of a sender: it stretches or squeezes by a ratio
// close to one that may change at any time. At ratio one and phase zero the
// input passes bit by bit and at once; otherwise the output lags by 16 samples,
// of which flush gives the rest.
type resampler struct {
	buf    [2][]float32 // left, right; taps samples of the past, then what is not yet used
	mono   bool         // the right channel is not computed: it is the left one
	filled int          // samples in buf
	at     int          // index in buf at or before the next output
	frac   uint64       // its fraction, in 1/unit
	step   uint64       // input per output, in 1/unit
	// landing: at the next whole sample the input passes bit by bit again.
	landing bool
	table   *[phases + 1][taps]float32
}

// resamplerRoom holds a packet of 20 ms; longer ones make it grow.
const resamplerRoom = 960 + 3*taps

func newResampler() resampler {
	r := resampler{step: unit, table: kernel()}
	for c := range r.buf {
		r.buf[c] = make([]float32, resamplerRoom)
	}
	r.reset()
	return r
}

// reset begins anew with silence as the past and the phase at zero.
func (r *resampler) reset() {
	for c := range r.buf {
		clear(r.buf[c][:taps])
	}
	r.filled, r.at, r.frac, r.mono = taps, taps, 0, true
	if r.landing {
		r.step, r.landing = unit, false
	}
}

// setRate makes n samples of input (1+rate)*n samples of output from now on.
// Rate 0 begins at the next whole sample that the phase passes.
func (r *resampler) setRate(rate float64) {
	if rate == 0 {
		r.landing = !r.exact()
		return
	}
	r.step, r.landing = uint64(math.Round(unit/(1+rate))), false
}

func (r *resampler) exact() bool { return r.step == unit && r.frac == 0 }

// lag is how much input, in samples, is pushed but not yet played.
func (r *resampler) lag() float64 {
	return float64(r.filled-r.at) - float64(r.frac)/unit
}

// ratio is output per input.
func (r *resampler) ratio() float64 { return unit / float64(r.step) }

// ready is how many outputs the input so far is good for.
func (r *resampler) ready() int {
	limit := r.filled
	if !r.exact() {
		limit -= ahead
	}
	return r.until(limit)
}

// until counts the outputs that lie before index limit of buf.
func (r *resampler) until(limit int) int {
	if limit <= r.at {
		return 0
	}
	room := uint64(limit-r.at)<<32 - r.frac
	return int((room + r.step - 1) / r.step)
}

// push takes n samples, interleaved if channels is 2; nil is silence.
//
//go:norace
func (r *resampler) push(in []float32, channels, n int) {
	for c := range r.buf {
		if short := r.filled + n - len(r.buf[c]); short > 0 {
			r.buf[c] = append(r.buf[c], make([]float32, short)...)
		}
	}
	left := r.buf[0][r.filled : r.filled+n]
	right := r.buf[1][r.filled : r.filled+n]
	switch {
	case in == nil:
		clear(left)
		clear(right)
	case channels == 1:
		copy(left, in[:n])
		if !r.mono {
			copy(right, left)
		}
	default:
		if r.mono {
			r.mono = false
			copy(r.buf[1][:r.filled], r.buf[0][:r.filled])
		}
		for i := range left {
			left[i], right[i] = in[2*i], in[2*i+1]
		}
	}
	r.filled += n
}

// pull computes the next n outputs, at most ready of them. With nil for out
// they are counted only.
//
//go:norace
func (r *resampler) pull(out [][2]float32, n int) {
	for n > 0 {
		part := n
		switch {
		case r.exact():
			if out != nil {
				r.copy(out[:n])
			}
			r.at += n
		case out == nil && !r.landing:
			r.advance(n)
		default:
			part = r.steady(min(n, stride))
			if out != nil {
				r.filter(out[:part])
			}
			r.advance(part)
			r.land()
		}
		if n -= part; out != nil {
			out = out[part:]
		}
	}
	r.compact()
}

// copy gives the input as it is.
//
//go:norace
func (r *resampler) copy(out [][2]float32) {
	left := r.buf[0][r.at:]
	right := r.buf[1][r.at:]
	if r.mono {
		right = left
	}
	left, right = left[:len(out)], right[:len(out)]
	for i := range out {
		out[i] = [2]float32{left[i], right[i]}
	}
}

// land goes over to bit by bit when the phase passes a whole sample, at which
// it is at most one step off.
func (r *resampler) land() {
	if !r.landing {
		return
	}
	drift := int64(r.step) - unit
	switch frac := int64(r.frac); {
	case drift > 0 && frac < drift:
	case drift < 0 && frac >= unit+drift:
		r.at++
	case drift == 0 && frac == 0:
	default:
		return
	}
	r.frac, r.step, r.landing = 0, unit, false
}

// advance moves by n outputs.
func (r *resampler) advance(n int) {
	x := r.frac + uint64(n)*r.step
	r.at += int(x >> 32)
	r.frac = x & (unit - 1)
}

// steady is how many of the next n outputs lie at the same whole distance, so
// that their phases are neighbours.
func (r *resampler) steady(n int) int {
	frac, drift := int64(r.frac), int64(r.step)-unit
	for k := 1; k < n; k++ {
		if frac += drift; frac < 0 || frac >= unit {
			return k
		}
	}
	return n
}

// filter computes a stride of outputs with the coefficients for its middle.
//
//go:norace
func (r *resampler) filter(out [][2]float32) {
	middle := int64(r.frac) + int64(len(out)/2)*(int64(r.step)-unit)
	p := middle >> 24
	w := float32(middle&(1<<24-1)) / (1 << 24)
	var c [taps]float32
	between(&c, &r.table[p], &r.table[p+1], w)
	from, to := r.at-behind, r.at-behind+len(out)-1+taps
	var left, right [stride]float32
	convolve(&left, &c, &r.buf[0][from:to][0], len(out))
	if right = left; !r.mono {
		convolve(&right, &c, &r.buf[1][from:to][0], len(out))
	}
	for i := range out {
		out[i] = [2]float32{left[i], right[i]}
	}
}

// compact throws away all but taps samples of the past.
//
//go:norace
func (r *resampler) compact() {
	cut := r.at - taps
	if cut <= 0 {
		return
	}
	for c := range r.buf {
		copy(r.buf[c], r.buf[c][cut:r.filled])
	}
	r.filled -= cut
	r.at -= cut
}

// rest is how many outputs remain until the end of the input, and makes them
// ready by silence behind it.
func (r *resampler) rest() int {
	n := r.until(r.filled)
	r.push(nil, 0, taps)
	return n
}
