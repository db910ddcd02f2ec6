package loudness

import (
	"math"

	"mixdown/mixer/pcm"
)

// Reach is how many samples on either side [Between] looks at.
const Reach = 24

// The filters give the signal half way from one sample to the next, and, as
// sum and difference of even and odd, at 1/4 and 3/4: a sinc under a Kaiser
// window (beta 6), flat to 0.01 dB up to 22 kHz. They are applied to the sums
// and differences of the samples on both sides, the outermost first.
var (
	middle    = interpolation(0.5, +1)
	even, odd = interpolation(0.25, +1), interpolation(0.25, -1)
)

var overshoot = func() float32 {
	var half, quarter float64
	for i := range Reach {
		half += 2 * math.Abs(float64(middle[i]))
		quarter += math.Abs(float64(even[i]+odd[i])) + math.Abs(float64(even[i]-odd[i]))
	}
	return float32(max(1, half, quarter) * 1.0001)
}()

// Overshoot is the most by which [Between] can exceed every sample it looks
// at, as a factor.
func Overshoot() float32 { return overshoot }

// sway and flex are the same as [Bound] has them: what a filter gives is the
// straight line between the two middle samples and what second differences add
// to it, by its taps summed up twice, and the rest of its first moment.
var sway, flex = func() (float32, float32) {
	var most, least float64
	for _, taps := range [][2 * Reach]float64{taps(middle, [Reach]float32{}, 0), taps(even, odd, 1), taps(even, odd, -1)} {
		// The centre of the taps is where they give the signal.
		var at float64
		for i, t := range taps {
			at += t * float64(i-Reach+1)
		}
		at = math.Round(at*4) / 4
		taps[Reach-1] -= 1 - at
		taps[Reach] -= at
		var once, twice, sum float64
		for _, t := range taps[:2*Reach-2] {
			once += t
			twice += once
			sum += math.Abs(twice)
		}
		last := twice + once + taps[2*Reach-2]
		most, least = max(most, sum), max(least, 2*math.Abs(last))
	}
	return float32((1 + least) * 1.0001), float32(most * 1.0001)
}()

// taps is a filter as it is applied to samples, the first one first.
func taps(symmetric, antisymmetric [Reach]float32, sign float64) (all [2 * Reach]float64) {
	for i := range Reach {
		s, a := float64(symmetric[i]), sign*float64(antisymmetric[i])
		all[i], all[2*Reach-1-i] = s+a, s-a
	}
	return all
}

// Bound is a magnitude that [Between] does not exceed for samples of at most
// peak, of which none is further than bend from what the two before it would
// go on with in a straight line. In speech it is little more than peak.
func Bound(peak, bend float32) float32 { return min(peak*overshoot, peak*sway+bend*flex) }

// interpolation is the part of a filter that is symmetric (+1) or
// antisymmetric (-1) around the middle.
func interpolation(phase, symmetry float64) (taps [Reach]float32) {
	var exact [2 * Reach]float64
	var sum float64
	for i := range exact {
		x := float64(i-Reach+1) - phase
		r := x / Reach
		exact[i] = math.Sin(math.Pi*x) / (math.Pi * x) * bessel(6*math.Sqrt(1-r*r))
		sum += exact[i]
	}
	for i := range taps {
		taps[i] = float32((exact[i] + symmetry*exact[2*Reach-1-i]) / (2 * sum))
	}
	return taps
}

// bessel is the modified Bessel function of the first kind, order zero.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-17; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}

// Between is the largest magnitude of the signal between the two middle ones
// of a row of samples, 4 times oversampled (ITU-R BS.1770, annex 2).
//
//go:norace
func Between(x *[2 * Reach]float32) float32 {
	var m, e, o float32
	for i := range Reach {
		a, b := x[i], x[2*Reach-1-i]
		m += (a + b) * middle[i]
		e += (a + b) * even[i]
		o += (a - b) * odd[i]
	}
	return max(abs(m), abs(e+o), abs(e-o))
}

func abs(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}

// look is how many samples are looked over at once: few of them have a sample
// large enough for a new peak between them, and the others cost little.
const look = 32

// TruePeak keeps the largest true peak of two channels. The zero value is
// ready. The last half millisecond counts when more has come behind it; until
// then its samples do.
type TruePeak struct {
	peak  float32
	still bool // the lines hold nothing but silence
	lines [2]line
}

// line is the last samples of one channel, then the frame.
type line [before + pcm.FrameSize]float32

const before = 2*Reach - 1

// Add looks at the next frame. What is no number is looked over.
//
//go:norace
func (t *TruePeak) Add(f *pcm.Frame) {
	if t.rests(f) {
		return
	}
	for i, s := range f {
		t.lines[0][before+i], t.lines[1][before+i] = s[0], s[1]
	}
	t.peak = t.lines[0].scan(t.peak)
	if t.lines[0] != t.lines[1] {
		t.peak = t.lines[1].scan(t.peak)
	}
	t.next(0)
	t.next(1)
}

// addOne does the same for the mean of both channels.
//
//go:norace
func (t *TruePeak) addOne(f *pcm.Frame) {
	if t.rests(f) {
		return
	}
	for i, s := range f {
		t.lines[0][before+i] = (s[0] + s[1]) / 2
	}
	t.peak = t.lines[0].scan(t.peak)
	t.next(0)
}

// rests says that there is silence and nothing left of what was before it.
//
//go:norace
func (t *TruePeak) rests(f *pcm.Frame) bool {
	silent := f.Silent()
	if silent && t.still {
		return true
	}
	t.still = silent
	return false
}

func (t *TruePeak) next(channel int) {
	l := &t.lines[channel]
	copy(l[:before], l[pcm.FrameSize:])
}

// scan raises peak to the largest one of the line.
//
//go:norace
func (l *line) scan(peak float32) float32 {
	for b := 0; b < pcm.FrameSize; b += look {
		part := (*[before + look]float32)(l[b:])
		var top float32
		for _, x := range part {
			if a := abs(x); a > top {
				top = a
			}
		}
		if !(top*overshoot > peak) || math.IsInf(float64(top), 0) {
			continue
		}
		for i := range look {
			if a := abs(part[before+i]); a > peak {
				peak = a
			}
			if a := Between((*[2 * Reach]float32)(part[i:])); a > peak {
				peak = a
			}
		}
	}
	return peak
}

// DB is the peak so far in dBTP, at least pcm.MinDB.
func (t *TruePeak) DB() float64 { return pcm.DB(float64(t.peak)) }
