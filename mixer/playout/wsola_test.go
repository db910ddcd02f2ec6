package playout

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixdown/mixer/pcm"
)

// harmonics is a voiced sound of one pitch, interleaved.
func harmonics(hz float64, n, channels int) []float32 {
	s := make([]float32, (n+spliceMost)*channels)
	for i := range n {
		x := 0.0
		for k := 1; k <= 8; k++ {
			x += 0.2 / float64(k) * math.Sin(2*math.Pi*hz*float64(k*i)/pcm.Rate+float64(k*k))
		}
		for c := range channels {
			s[i*channels+c] = float32(x * (1 - 0.3*float64(c)))
		}
	}
	return s
}

// roughest is the greatest second difference in s: a click stands out in it.
func roughest(s []float32, channels int) float64 {
	top := 0.0
	for i := 2 * channels; i < len(s); i++ {
		top = max(top, math.Abs(float64(s[i]-2*s[i-channels]+s[i-2*channels])))
	}
	return top
}

// Voiced sound of any pitch is cut or repeated by whole periods, without a
// click, and its length says by how much.
func TestSplicesFollowThePitch(t *testing.T) {
	for channels := 1; channels <= 2; channels++ {
		for _, hz := range []float64{72, 97, 130.5, 211, 333, 997} {
			for _, longer := range []bool{false, true} {
				s := harmonics(hz, pcm.FrameSize, channels)
				before := roughest(s[:pcm.FrameSize*channels], channels)
				n := pcm.FrameSize
				if longer {
					n = lengthen(s, channels, n, alike)
				} else {
					n = shorten(s, channels, n, spliceMost, alike)
				}
				lag := math.Abs(float64(n - pcm.FrameSize))
				periods := lag * hz / pcm.Rate
				if lag < spliceLeast || lag > spliceMost || math.Abs(periods-math.Round(periods)) > 0.06 {
					t.Errorf("%v Hz, %d channels, longer %v: %v samples, %.3f periods", hz, channels, longer, lag, periods)
				}
				if after := roughest(s[:n*channels], channels); after > 1.15*before {
					t.Errorf("%v Hz, %d channels, longer %v: roughness %.4f after %.4f", hz, channels, longer, after, before)
				}
			}
		}
	}
}

// Neither end moves, so that the next packet goes on where this one ends.
func TestSplicesKeepTheEnds(t *testing.T) {
	for _, longer := range []bool{false, true} {
		s := harmonics(150, 1920, 1)
		whole := append([]float32(nil), s...)
		n := 1920
		if longer {
			n = lengthen(s, 1, n, alike)
		} else {
			n = shorten(s, 1, n, spliceMost, alike)
		}
		if s[0] != whole[0] && math.Abs(float64(s[0]-whole[0])) > 1e-3 {
			t.Errorf("longer %v: the first sample is %v, was %v", longer, s[0], whole[0])
		}
		for i := range 900 {
			if s[n-1-i] != whole[1919-i] {
				t.Fatalf("longer %v: %d samples before the end it is %v, was %v", longer, i+1, s[n-1-i], whole[1919-i])
			}
		}
	}
}

// What resembles nothing is left alone, unless that is asked for; near silence
// does not matter.
func TestSplicesLeaveNoiseAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noise := func(gain float64) []float32 {
		s := make([]float32, pcm.FrameSize+spliceMost)
		for i := range s {
			s[i] = float32(gain * r.NormFloat64())
		}
		return s
	}
	for range 50 {
		if n := shorten(noise(0.1), 1, pcm.FrameSize, spliceMost, alike); n != pcm.FrameSize {
			t.Errorf("%d samples of noise are left", n)
		}
		if n := lengthen(noise(0.1), 1, pcm.FrameSize, alike); n != pcm.FrameSize {
			t.Errorf("noise became %d samples", n)
		}
		if n := shorten(noise(0.1), 1, pcm.FrameSize, spliceMost, -1); n == pcm.FrameSize {
			t.Error("nothing is cut though anything may be")
		}
		if n := shorten(noise(0.0005), 1, pcm.FrameSize, 300, alike); n == pcm.FrameSize || n < pcm.FrameSize-300 {
			t.Errorf("%d samples of faint noise are left", n)
		}
	}
	if n := shorten(noise(0.1), 1, 480, spliceMost, -1); n != 480 {
		t.Errorf("a short packet became %d samples", n)
	}
	if n := shorten(noise(0.1), 1, pcm.FrameSize, spliceLeast-1, -1); n != pcm.FrameSize {
		t.Errorf("%d samples are left though nothing may be cut", n)
	}
}

func BenchmarkShorten(b *testing.B) {
	s := harmonics(130, pcm.FrameSize, 1)
	for b.Loop() {
		shorten(s, 1, pcm.FrameSize, spliceMost, 2)
	}
}
