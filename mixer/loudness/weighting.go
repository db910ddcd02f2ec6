package loudness

import (
	"encoding/json"
	"math"

	"mixdown/mixer/pcm"
)

// The K-weighting of ITU-R BS.1770-4, annex 1, tables 1 and 2, for 48 kHz: a
// shelf for the head, then a high-pass.
const (
	shelfB0, shelfB1, shelfB2 = 1.53512485958697, -2.69169618940638, 1.19839281085285
	shelfA1, shelfA2          = -1.69065929318241, 0.73248077421585
	passA1, passA2            = -1.99004745483398, 0.99007225036621
)

// Weighting is the K-weighting filter of two channels. The zero value is
// ready; a copy goes on from where the original was.
type Weighting struct{ left, right kernel }

// kernel is the memory of the two filters of one channel.
type kernel struct{ S1, S2, P1, P2 float64 }

// MarshalJSON lets a checkpoint keep the filter exactly as it is.
func (w Weighting) MarshalJSON() ([]byte, error) { return json.Marshal([2]kernel{w.left, w.right}) }

// UnmarshalJSON brings a filter back from a checkpoint.
func (w *Weighting) UnmarshalJSON(b []byte) error {
	var k [2]kernel
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	w.left, w.right = k[0], k[1]
	w.left.settle()
	w.right.settle()
	return nil
}

// Energy filters the next frame and returns its mean square, left and right
// added: what [LUFS] takes. A voice that is the same on both sides counts
// twice, as it does where both sides are heard. Digital silence costs nothing
// once the filter has rung out.
func (w *Weighting) Energy(f *pcm.Frame) float64 {
	if w.left == w.right && mono(f) {
		if w.left == (kernel{}) && f.Silent() {
			return 0
		}
		square := w.left.one(f)
		w.left.settle()
		w.right = w.left
		return 2 * square / pcm.FrameSize
	}
	square := w.left.pair(&w.right, f)
	w.left.settle()
	w.right.settle()
	return square / pcm.FrameSize
}

// energyOfOne is the same for the two channels mixed down to one.
func (w *Weighting) energyOfOne(f *pcm.Frame) float64 {
	if mono(f) {
		return w.Energy(f) / 2
	}
	var down pcm.Frame
	for i, s := range f {
		x := (s[0] + s[1]) / 2
		down[i] = [2]float32{x, x}
	}
	return w.Energy(&down) / 2
}

//go:norace
func mono(f *pcm.Frame) bool {
	var differ uint32
	for i := range f {
		differ |= math.Float32bits(f[i][0]) ^ math.Float32bits(f[i][1])
	}
	return differ == 0
}

// one filters the left side and returns the sum of squares.
//
//go:norace
func (k *kernel) one(f *pcm.Frame) (square float64) {
	s1, s2, p1, p2 := k.S1, k.S2, k.P1, k.P2
	for i := range f {
		x := float64(f[i][0])
		y := shelfB0*x + s1
		s1 = shelfB1*x - shelfA1*y + s2
		s2 = shelfB2*x - shelfA2*y
		z := y + p1
		p1 = p2 - 2*y - passA1*z
		p2 = y - passA2*z
		square += z * z
	}
	*k = kernel{s1, s2, p1, p2}
	return square
}

// pair filters both sides at once: each step waits for the one before, so two
// channels take hardly longer than one.
//
//go:norace
func (k *kernel) pair(o *kernel, f *pcm.Frame) (square float64) {
	s1, s2, p1, p2 := k.S1, k.S2, k.P1, k.P2
	u1, u2, q1, q2 := o.S1, o.S2, o.P1, o.P2
	for i := range f {
		x, v := float64(f[i][0]), float64(f[i][1])
		y, w := shelfB0*x+s1, shelfB0*v+u1
		s1, u1 = shelfB1*x-shelfA1*y+s2, shelfB1*v-shelfA1*w+u2
		s2, u2 = shelfB2*x-shelfA2*y, shelfB2*v-shelfA2*w
		z, r := y+p1, w+q1
		p1, q1 = p2-2*y-passA1*z, q2-2*w-passA1*r
		p2, q2 = y-passA2*z, w-passA2*r
		square += z*z + r*r
	}
	*k, *o = kernel{s1, s2, p1, p2}, kernel{u1, u2, q1, q2}
	return square
}

// settle ends the ringing after silence, before it reaches numbers so small
// that computing with them is slow, and forgets what is no number.
func (k *kernel) settle() {
	size := math.Abs(k.S1) + math.Abs(k.S2) + math.Abs(k.P1) + math.Abs(k.P2)
	if !(size > 1e-15 && size < 1e15) {
		*k = kernel{}
	}
}

// LUFS is the loudness of a mean square of K-weighted channels, in LUFS; for
// silence it is pcm.MinDB.
func LUFS(energy float64) float64 {
	if !(energy > 1e-12) {
		return pcm.MinDB
	}
	return 10*math.Log10(energy) - 0.691
}

// Energy is the mean square that has a loudness.
func Energy(lufs float64) float64 { return math.Pow(10, (lufs+0.691)/10) }
