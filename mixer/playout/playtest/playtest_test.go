package playtest_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/playout/playtest"
	"mixdown/speech"
)

func bob(t *testing.T) []float32 {
	t.Helper()
	packets, err := speech.Packets(speech.Voices()[1].Ogg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	buf := make([]float32, opus.MaxSamples)
	for _, p := range packets[:400] {
		n, err := d.Decode(p, buf)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:n]...)
	}
	return all
}

// The score is one for the same, falls with the noise, and is near nothing for
// noise alone; level does not count.
func TestIntelligibilityFallsWithNoise(t *testing.T) {
	clean := bob(t)
	half := make([]float32, len(clean))
	for i, x := range clean {
		half[i] = x / 2
	}
	if s := playtest.Intelligibility(clean, half); math.Abs(s-1) > 1e-6 {
		t.Errorf("%v for the same at half the level", s)
	}
	r := rand.New(rand.NewPCG(1, 2))
	before := 1.0
	for _, gain := range []float64{0.003, 0.03, 0.3} {
		noisy := make([]float32, len(clean))
		for i, x := range clean {
			noisy[i] = x + float32(gain*r.NormFloat64())
		}
		s := playtest.Intelligibility(clean, noisy)
		t.Logf("noise of %v: %.3f", gain, s)
		if s > before-0.05 && gain > 0.01 || s > 1 {
			t.Errorf("noise of %v: %.3f after %.3f", gain, s, before)
		}
		before = s
	}
	noise := make([]float32, len(clean))
	for i := range noise {
		noise[i] = float32(r.NormFloat64())
	}
	if s := playtest.Intelligibility(clean, noise); s > 0.45 {
		t.Errorf("%.3f for noise", s)
	}
	if s := playtest.Intelligibility(clean, make([]float32, len(clean))); s != 0 {
		t.Errorf("%.3f for silence", s)
	}
}

func TestLag(t *testing.T) {
	clean := bob(t)[:100000]
	for _, want := range []int{0, 1, 963, 4799} {
		if got := playtest.Lag(clean, append(make([]float32, want), clean...), 4800); got != want {
			t.Errorf("lag %d, want %d", got, want)
		}
	}
}
