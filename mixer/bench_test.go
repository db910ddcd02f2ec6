package mixer_test

import (
	"fmt"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// loop is an endless reader that costs no more than a copy.
func loop(frames []pcm.Frame) pcm.Reader {
	n := 0
	return reader(func(f *pcm.Frame) error {
		*f = frames[n%len(frames)]
		n++
		return nil
	})
}

// crowd is a mixer with so many inputs, of which some speak, and outputs of
// all kinds.
func crowd(c mixer.Config, inputs, speaking, minus int, amplitude float64) *mixer.Mixer {
	m := mixer.New(c)
	silence, noise := make([]pcm.Frame, 1), pcmtest.Collect(pcmtest.Noise(1, amplitude), 7)
	for i := range noise {
		for k := range noise[i] {
			noise[i][k][1] = noise[i][k][0] // speakers are mono
		}
	}

	for i := range inputs {
		sound := silence
		if i < speaking {
			sound = noise[i%3:]
		}
		m.AddInput(fmt.Sprint(i), loop(sound))
	}
	drop := writer(func(*pcm.Frame) error { return nil })
	m.AddOutput(drop)
	m.AddOutput(drop)
	for i := range minus {
		m.AddOutput(drop, mixer.Except(fmt.Sprint(i)))
		m.AddOutput(drop, mixer.Only(fmt.Sprint(i)))
	}
	return m
}

// Nothing is allocated in a steady state, whether the limiter works or not,
// nor while gains and solos change or anybody asks who speaks.
func TestMixAllocatesNothing(t *testing.T) {
	for _, aligned := range []bool{false, true} {
		for _, amplitude := range []float64{0.01, 1} {
			m := crowd(mixer.Config{Aligned: aligned, Level: -23}, 8, 5, 2, amplitude)
			drop := writer(func(*pcm.Frame) error { return nil })
			m.AddOutput(drop, mixer.Levelled())
			m.AddOutput(drop, mixer.Levelled(), mixer.Except("2"))
			m.AddOutput(drop, mixer.Dual(leftIf(func(id string) bool { return id < "3" })), mixer.Levelled())
			for i := range 4 {
				m.AddInput(fmt.Sprint("talker", i), loop(pcmtest.Collect(talk(uint64(i), -20), 50)))
			}
			mix(m, 10)
			levels, speakers := m.Levels(nil), make([]mixer.Speaker, 0, 20)
			spurts := make([]mixer.Spurt, 0, 100)
			gain := 0.0
			n := testing.AllocsPerRun(25, func() {
				m.Mix()
				levels = m.Levels(levels[:0])
				speakers = m.Speakers(speakers[:0])
				spurts = m.Spurts(spurts[:0])
				gain = -1 - gain
				m.SetGain("3", gain)
				m.SetSolo("4", gain < 0)
			})
			if n > 0 {
				t.Errorf("aligned %v, amplitude %v: %v allocations per frame", aligned, amplitude, n)
			}
		}
	}
}

func BenchmarkMix(b *testing.B) {
	for _, c := range []struct {
		name             string
		inputs, speaking int
		minus            int
		amplitude        float64
	}{
		{"10", 10, 10, 0, 0.002},
		{"50", 50, 50, 0, 0.002},
		{"100", 100, 100, 0, 0.002},
		{"100-silent", 100, 0, 0, 0},
		{"100-3speaking", 100, 3, 0, 0.1},
		{"100-limited", 100, 100, 0, 1},
		{"100-3speaking-100minus", 100, 3, 100, 0.1},
		{"100-100minus", 100, 100, 100, 0.002},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := crowd(mixer.Config{}, c.inputs, c.speaking, c.minus, c.amplitude)
			b.ReportAllocs()
			for b.Loop() {
				m.Mix()
			}
		})
	}
}
