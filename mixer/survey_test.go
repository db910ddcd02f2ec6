package mixer

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixdown/mixer/pcm"
)

// The vectors and the plain loops find the same, to the bit, in frames of all
// sorts; and where there is no number, both say so.
func TestSurvey(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 400 {
		var f pcm.Frame
		for i := range f {
			x := float32(r.NormFloat64() * math.Pow(10, r.Float64()*6-5))
			f[i] = [2]float32{x, x}
			switch round % 4 {
			case 1:
				f[i][1] = -x
			case 2:
				f[i] = [2]float32{0, float32(math.Copysign(0, -1))}
			}
		}
		where, channel := r.IntN(pcm.FrameSize), r.IntN(2)
		switch round % 5 {
		case 1:
			f[where][channel] = float32(math.Inf(-1))
		case 2:
			f[where][channel] = -7.5
		case 3:
			f[where][channel] = float32(math.NaN())
		}
		var fast, plain look
		survey(&f, &fast)
		surveyPlain(&f, &plain)
		if round%5 == 3 && channel == 0 {
			if k := where % 8; fast.square[k] == fast.square[k] || plain.square[k] == plain.square[k] {
				t.Fatalf("round %d: a NaN at %d is not seen: %v, plain %v", round, where, fast, plain)
			}
			continue
		}
		if fast != plain {
			t.Fatalf("round %d: %v, plain %v", round, fast, plain)
		}
		var a, b [pcm.FrameSize]float64
		for i := range a {
			a[i] = r.NormFloat64()
		}
		b = a
		gain := r.Float64() * 2
		addMono(&a, &f, gain)
		addPlain(&b, &f, gain)
		for i := range a {
			if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
				t.Fatalf("round %d: sum %d is %v, plain %v", round, i, a[i], b[i])
			}
		}
	}
}

func BenchmarkSurvey(b *testing.B) {
	f, row := pcm.Frame{5: {0.5, 0.5}}, [pcm.FrameSize]float64{}
	for name, do := range map[string]func(){
		"survey":       func() { survey(&f, &look{}) },
		"survey-plain": func() { surveyPlain(&f, &look{}) },
		"add":          func() { addMono(&row, &f, 0.5) },
		"add-plain":    func() { addPlain(&row, &f, 0.5) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do()
			}
		})
	}
}
