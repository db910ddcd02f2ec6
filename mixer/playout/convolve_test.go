package playout

import (
	"math/rand/v2"
	"testing"
)

// TestConvolve: the sums are dot's, bit for bit, and nothing else is written.
func TestConvolve(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(x []float32) {
		for i := range x {
			x[i] = random.Float32()*2 - 1
		}
	}
	for round := range 1000 {
		var a, b, c [taps]float32
		noise(a[:])
		noise(b[:])
		w := random.Float32()
		between(&c, &a, &b, w)
		for i := range c {
			if want := a[i] + float32(w*(b[i]-a[i])); c[i] != want {
				t.Fatalf("coefficient %d between %v and %v by %v is %v, want %v", i, a[i], b[i], w, c[i], want)
			}
		}
		x := make([]float32, taps+stride-1+round%7)
		noise(x)
		x = x[round%7:]
		for n := range stride + 1 {
			y := [stride]float32{9, 9, 9, 9}
			convolve(&y, &c, &x[0], n)
			for i, got := range y {
				want := float32(9)
				if i < n {
					want = dot(&c, (*[taps]float32)(x[i:]))
				}
				if got != want {
					t.Fatalf("sum %d of %d is %v, want %v", i, n, got, want)
				}
			}
		}
	}
}

func BenchmarkResample(b *testing.B) {
	for _, mono := range []bool{true, false} {
		name := "stereo"
		if mono {
			name = "mono"
		}
		b.Run(name, func(b *testing.B) {
			r := newResampler()
			r.setRate(200e-6)
			in := make([]float32, 960*2)
			for i := range in {
				in[i] = float32(i%100) / 200
			}
			out := make([][2]float32, 1000)
			channels := 2
			if mono {
				channels = 1
			}
			b.ReportAllocs()
			for b.Loop() {
				r.push(in, channels, 960)
				n := r.ready()
				r.pull(out[:n], n)
			}
		})
	}
}
