package loudness_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"mixdown/mixer/loudness"
	"mixdown/mixer/loudness/loudnesstest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

func scale(frames []pcm.Frame, left, right float32) []pcm.Frame {
	out := make([]pcm.Frame, len(frames))
	for i := range frames {
		for k, s := range frames[i] {
			out[i][k] = [2]float32{s[0] * left, s[1] * right}
		}
	}
	return out
}

func join(parts ...[]pcm.Frame) (all []pcm.Frame) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func measure(frames []pcm.Frame) *loudness.Meter {
	m := loudness.NewMeter(2)
	for i := range frames {
		_ = m.WriteFrame(&frames[i])
	}
	return m
}

func tone(hz, dbfs float64, seconds int) []pcm.Frame {
	second := pcmtest.Collect(pcmtest.Tone(hz, math.Pow(10, dbfs/20)), 50) // whole periods
	return slices.Repeat(second, seconds)
}

// The test signals 1 to 5 of EBU Tech 3341, at a quarter of their length: what
// the standard says they are.
func TestStandard(t *testing.T) {
	for name, c := range map[string]struct {
		frames []pcm.Frame
		want   float64
	}{
		"1: -23 LUFS":       {tone(1000, -23, 5), -23},
		"2: -33 LUFS":       {tone(1000, -33, 5), -33},
		"3: relative gate":  {join(tone(1000, -36, 3), tone(1000, -23, 15), tone(1000, -36, 3)), -23},
		"4: absolute gate":  {join(tone(1000, -72, 3), tone(1000, -36, 3), tone(1000, -23, 15), tone(1000, -36, 3), tone(1000, -72, 3)), -23},
		"5: loud and quiet": {join(tone(1000, -26, 5), tone(1000, -20, 6)[:251], tone(1000, -26, 5)), -23},
	} {
		if got := measure(c.frames).Integrated(); math.Abs(got-c.want) > 0.1 {
			t.Errorf("%s: %.2f LUFS, want %.1f", name, got, c.want)
		}
	}
}

// Everything agrees with ffmpeg: integrated, and momentary and short-term
// every 100 ms. True peaks differ by the filters, the more the nearer the sound
// is to 24 kHz.
func TestAgainstFFmpeg(t *testing.T) {
	alice, bob, carol := loudnesstest.Speech(t, "alice"), loudnesstest.Speech(t, "bob"), loudnesstest.Speech(t, "carol")
	stereo := scale(alice, 1, 0)
	for i, f := range scale(bob, 0, 0.5) {
		if i < len(stereo) {
			stereo[i].Add(&f, 1)
		}
	}
	for name, c := range map[string]struct {
		frames   []pcm.Frame
		channels int
		peak     float64 // how far true peaks may differ
	}{
		"alice":        {alice, 2, 0.15},
		"bob, mono":    {bob, 1, 0.15},
		"carol, quiet": {scale(carol, 0.05, 0.05), 2, 0.15},
		"stereo":       {stereo, 2, 0.15},
		"stereo, mono": {stereo, 1, 0.15},
		"tone 997":     {tone(997, -20, 5), 2, 0.1},
		"tone 100":     {tone(100, -3, 5), 2, 0.1},
		"tone 11990":   {join(make([]pcm.Frame, 5), tone(11990, -6, 5), make([]pcm.Frame, 5)), 2, 0.1},
		"noise":        {pcmtest.Collect(pcmtest.Noise(1, 0.2), 300), 2, 0.6},
		"in pauses":    {join(bob[:300], make([]pcm.Frame, 400), tone(440, -50, 4), bob[300:]), 2, 0.15},
	} {
		want := loudnesstest.Ebur128(t, c.frames, c.channels)
		m := loudness.NewMeter(c.channels)
		var worst float64
		for i := range c.frames {
			_ = m.WriteFrame(&c.frames[i])
			at := (i+1)/5 - 1
			if (i+1)%5 != 0 || at >= len(want.Course) {
				continue
			}
			w := want.Course[at]
			if at >= 4 && w.Momentary > -70 {
				worst = max(worst, math.Abs(m.Momentary()-w.Momentary))
			}
			if at >= 30 && w.ShortTerm > -70 {
				worst = max(worst, math.Abs(m.ShortTerm()-w.ShortTerm))
			}
		}
		if len(want.Course) < len(c.frames)/5-1 {
			t.Errorf("%s: ffmpeg gave %d figures for %d frames", name, len(want.Course), len(c.frames))
		}
		t.Logf("%-13s integrated %.2f, ffmpeg %.1f LUFS; course within %.2f LU; true peak %.2f, ffmpeg %.1f dBTP",
			name, m.Integrated(), want.Integrated, worst, m.TruePeak(), want.TruePeak)
		if d := math.Abs(m.Integrated() - want.Integrated); d > 0.2 {
			t.Errorf("%s: integrated loudness is off by %.2f LU", name, d)
		}
		if worst > 0.2 {
			t.Errorf("%s: momentary or short-term loudness is off by %.2f LU", name, worst)
		}
		if d := math.Abs(m.TruePeak() - want.TruePeak); d > c.peak {
			t.Errorf("%s: true peak is off by %.2f dB", name, d)
		}
	}
}

func TestSilence(t *testing.T) {
	for _, frames := range [][]pcm.Frame{nil, make([]pcm.Frame, 10), make([]pcm.Frame, 200), tone(1000, -75, 5)} {
		m := measure(frames)
		if got := m.Integrated(); got != pcm.MinDB {
			t.Errorf("%d frames: %v LUFS", len(frames), got)
		}
	}
	m := measure(make([]pcm.Frame, 200))
	if m.Momentary() != pcm.MinDB || m.ShortTerm() != pcm.MinDB || m.TruePeak() != pcm.MinDB {
		t.Errorf("silence has %v, %v LUFS, %v dBTP", m.Momentary(), m.ShortTerm(), m.TruePeak())
	}
}

// What is no number spoils its own moment and nothing after it.
func TestNoNumber(t *testing.T) {
	m := measure([]pcm.Frame{{5: {float32(math.NaN()), float32(math.Inf(1))}}})
	for _, f := range tone(1000, -20, 10) {
		_ = m.WriteFrame(&f)
	}
	for what, got := range map[string]float64{"momentary": m.Momentary(), "short-term": m.ShortTerm(), "integrated": m.Integrated(), "true peak": m.TruePeak()} {
		if !(math.Abs(got-(-20)) < 0.2) {
			t.Errorf("%s is %v", what, got)
		}
	}
}

// After sound, the filter comes to rest in digital silence, and soon.
func TestWeightingRests(t *testing.T) {
	var w loudness.Weighting
	for _, f := range pcmtest.Collect(pcmtest.Noise(1, 1), 10) {
		w.Energy(&f)
	}
	var silence pcm.Frame
	for range 50 {
		w.Energy(&silence)
	}
	if w != (loudness.Weighting{}) {
		t.Error("the filter still rings after a second of silence")
	}
}

// No row of samples makes the signal between them larger than promised.
func TestOvershoot(t *testing.T) {
	var worst float32
	for i, f := range pcmtest.Collect(pcmtest.Noise(7, 1), 40) {
		for at := range pcm.FrameSize - 2*loudness.Reach {
			var row [2 * loudness.Reach]float32
			for k := range row {
				// The cruellest rows are of full-scale samples of either sign.
				row[k] = float32(math.Copysign(1, float64(f[at+k][i%2])))
			}
			worst = max(worst, loudness.Between(&row))
		}
	}
	if worst > loudness.Overshoot() || worst < 1.5 {
		t.Errorf("the worst row has a peak of %v, promised %v", worst, loudness.Overshoot())
	}
}

func TestMeterIsAWriter(t *testing.T) {
	pcmtest.TestWriter(t, func() pcm.Writer { return loudness.NewMeter(2) })
	pcmtest.TestWriter(t, func() pcm.Writer { return loudness.NewMeter(1) })
}

func BenchmarkMeter(b *testing.B) {
	mono := loudnesstest.Speech(b, "alice")
	stereo := scale(mono, 1, 0.9)
	for name, frames := range map[string][]pcm.Frame{"mono": mono, "stereo": stereo, "silence": make([]pcm.Frame, 10)} {
		b.Run(name, func(b *testing.B) {
			m := loudness.NewMeter(2)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				_ = m.WriteFrame(&frames[n%len(frames)])
			}
		})
	}
}

// TestBound: no row of samples has a true peak above what its largest sample
// and its sharpest bend allow, and for smooth ones that is next to nothing.
func TestBound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	row := func(hz float64) (x [2 * loudness.Reach]float32) {
		phase, size := r.Float64(), 0.1+r.Float64()
		for i := range x {
			x[i] = float32(size*math.Sin(2*math.Pi*(hz*float64(i)/pcm.Rate+phase)) + r.Float64()*hz/1e6)
		}
		return x
	}
	for _, hz := range []float64{0, 50, 300, 1000, 4000, 12000, 20000, 23900} {
		loosest := 0.0
		for range 3000 {
			x := row(hz)
			var peak, bend float32
			for i := range x {
				peak = max(peak, float32(math.Abs(float64(x[i]))))
				if i >= 2 {
					bend = max(bend, float32(math.Abs(float64(x[i]-2*x[i-1]+x[i-2]))))
				}
			}
			bound, is := loudness.Bound(peak, bend), loudness.Between(&x)
			if is > bound {
				t.Fatalf("at %v Hz a true peak of %v, bounded by %v (samples to %v, bends to %v)", hz, is, bound, peak, bend)
			}
			loosest = max(loosest, float64(bound/peak))
		}
		if hz <= 1000 && loosest > 1.05 {
			t.Errorf("at %v Hz the bound is %.2f of the largest sample", hz, loosest)
		}
	}
	// The worst row for each filter is one of signs of its taps.
	for range 100000 {
		var x [2 * loudness.Reach]float32
		for i := range x {
			x[i] = float32(r.IntN(2)*2 - 1)
		}
		if is := loudness.Between(&x); is > loudness.Bound(1, 4) {
			t.Fatalf("a true peak of %v, bounded by %v", is, loudness.Bound(1, 4))
		}
	}
}
