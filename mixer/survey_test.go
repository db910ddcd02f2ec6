package mixer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"mixdown/mixer/pcm"
)

// The vectors and the plain loops find the same, to the bit, in frames of all
// sorts; and where there is no number, both say so.
func TestSurvey(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for turn := range 400 {
		var f pcm.Frame
		for i := range f {
			x := float32(r.NormFloat64() * math.Pow(10, r.Float64()*6-5))
			f[i] = [2]float32{x, x}
			switch turn % 4 {
			case 1:
				f[i][1] = -x
			case 2:
				f[i] = [2]float32{0, float32(math.Copysign(0, -1))}
			}
		}
		where, channel := r.IntN(pcm.FrameSize), r.IntN(2)
		switch turn % 5 {
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
		if turn%5 == 3 && channel == 0 {
			if k := where % 8; fast.square[k] == fast.square[k] || plain.square[k] == plain.square[k] {
				t.Fatalf("round %d: a NaN at %d is not seen: %v, plain %v", turn, where, fast, plain)
			}
			continue
		}
		if fast != plain {
			t.Fatalf("round %d: %v, plain %v", turn, fast, plain)
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
				t.Fatalf("round %d: sum %d is %v, plain %v", turn, i, a[i], b[i])
			}
		}
		var rounded, plainly pcm.Frame
		round(&rounded, &a)
		roundPlain(&plainly, &a)
		if rounded != plainly {
			t.Fatalf("round %d: rounded otherwise", turn)
		}
		for _, part := range [][][2]float32{f[:], f[:4], f[8:30]} {
			if got, want := bend(part), bendPlain(part); got.seen() != want.seen() {
				t.Fatalf("round %d: %d samples bend %v, plain %v", turn, len(part), got, want)
			}
		}
	}
}

// seen is what is looked at: of what is no number, only that it is none.
func (b bent) seen() [2]string {
	return [2]string{fmt.Sprint(math.Float32frombits(b.top)), fmt.Sprint(math.Float32frombits(b.bend))}
}

func BenchmarkSurvey(b *testing.B) {
	f, row := pcm.Frame{5: {0.5, 0.5}}, [pcm.FrameSize]float64{}
	for name, do := range map[string]func(){
		"survey":       func() { survey(&f, &look{}) },
		"survey-plain": func() { surveyPlain(&f, &look{}) },
		"add":          func() { addMono(&row, &f, 0.5) },
		"add-plain":    func() { addPlain(&row, &f, 0.5) },
		"bend":         func() { bend(f[:]) },
		"bend-plain":   func() { bendPlain(f[:]) },
		"round":        func() { round(&f, &row) },
		"round-plain":  func() { roundPlain(&f, &row) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do()
			}
		})
	}
}
