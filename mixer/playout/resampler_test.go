package playout

import (
	"math"
	"testing"
)

// stretch runs a tone through a resampler in packets and returns the left side.
func stretch(hz, rate float64, n int) []float64 {
	r := newResampler()
	r.setRate(rate)
	var out []float64
	in := make([]float32, 960)
	buf := make([][2]float32, 1100)
	for at := 0; at < n; at += len(in) {
		for i := range in {
			in[i] = float32(0.5 * math.Sin(2*math.Pi*hz*float64(at+i)/48000))
		}
		r.push(in, 1, len(in))
		k := r.ready()
		r.pull(buf[:k], k)
		for _, s := range buf[:k] {
			out = append(out, float64(s[0]))
		}
	}
	return out
}

// A tone keeps its level within 0.1 dB up to 18 kHz, and what is not the tone
// stays far below it.
func TestResamplerIsFlat(t *testing.T) {
	for _, rate := range []float64{0.0001, -0.0001, 0.001, -0.002} {
		for _, hz := range []float64{100, 1000, 5000, 10000, 15000, 18000} {
			out := stretch(hz, rate, 96000)[480:]
			// Least squares against a sine of the stretched frequency.
			w := 2 * math.Pi * hz / 48000 / (1 + rate)
			var cc, ss, cs, xc, xs, xx float64
			for i, x := range out {
				s, c := math.Sincos(w * float64(i))
				cc, ss, cs, xc, xs, xx = cc+c*c, ss+s*s, cs+c*s, xc+x*c, xs+x*s, xx+x*x
			}
			det := cc*ss - cs*cs
			a, b := (xc*ss-xs*cs)/det, (xs*cc-xc*cs)/det
			level := 20 * math.Log10(math.Hypot(a, b)/0.5)
			noise := 10 * math.Log10((xx-a*xc-b*xs)/xx)
			if math.Abs(level) > 0.1 {
				t.Errorf("%v Hz at %v: %+.3f dB", hz, rate, level)
			}
			floor := -45.0
			if math.Abs(rate) <= 0.0001 {
				floor = -65
			}
			if noise > floor {
				t.Errorf("%v Hz at %v: noise at %.1f dB", hz, rate, noise)
			}
		}
	}
}

func TestResamplerPassesBitByBit(t *testing.T) {
	for i, x := range stretch(997, 0, 9600) {
		if want := float32(0.5 * math.Sin(2*math.Pi*997*float64(i)/48000)); float32(x) != want {
			t.Fatalf("sample %d is %v, want %v", i, x, want)
		}
	}
}

// Counting is as good as computing, and what comes out is as long as the ratio says.
func TestResamplerCounts(t *testing.T) {
	a, b := newResampler(), newResampler()
	in := make([]float32, 2*5760)
	out := make([][2]float32, tapeMax)
	total, want := 0, 0.0
	for i := range 600 {
		rate := 0.001 * math.Sin(float64(i)/50)
		if i%300 < 20 {
			rate = 0
		}
		n := 120 * (1 + i%48)
		a.setRate(rate)
		b.setRate(rate)
		a.push(in, 1+i%2, n)
		b.push(nil, 0, n)
		k := a.ready()
		if k != b.ready() {
			t.Fatalf("step %d: %d outputs and %d", i, k, b.ready())
		}
		want += float64(n) * a.ratio()
		before := a.ratio()
		a.pull(out[:k], k)
		b.pull(nil, k)
		total += k
		if a.ratio() != before { // it has landed
			want = float64(total) + a.lag()*a.ratio()
		}
		if got := float64(total) + a.lag()*a.ratio(); math.Abs(got-want) > 0.2 {
			t.Fatalf("step %d: %.2f outputs, want %.2f", i, got, want)
		}
		if i%500 == 499 {
			k, m := a.rest(), b.rest()
			if k != m {
				t.Fatalf("step %d: %d left and %d", i, k, m)
			}
			a.pull(out[:k], k)
			b.pull(nil, m)
			if l := a.lag() - taps; l > 0 || l <= -1.01 {
				t.Fatalf("step %d: %v of the input left", i, l)
			}
			a.reset()
			b.reset()
			total, want = 0, 0
		}
	}
}

func TestSeen(t *testing.T) {
	s := seen{top: -5001}
	for n := int64(-5000); n < 5000; n += 3 {
		if s.add(n) {
			t.Fatalf("%d was there", n)
		}
		if !s.add(n) {
			t.Fatalf("%d was not there", n)
		}
		if n > -4000 && (s.add(n-1000) != (1000%3 == 0)) {
			t.Fatalf("%d before %d", n-1000, n)
		}
		if n > -4000 && !s.add(n-1000) {
			t.Fatalf("%d before %d is forgotten", n-1000, n)
		}
	}
}
