package mixer_test

import (
	"fmt"
	"math"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/loudness"
	"mixdown/mixer/loudness/loudnesstest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// voice is something like a loud vowel: pulses at the pitch, ringing at three
// formants, under a syllable rhythm, with the given crest.
func voice(pitch, crest float64, frames int) []pcm.Frame {
	raw := make([]float64, frames*pcm.FrameSize)
	var top float64
	for i := range raw {
		t := float64(i) / pcm.Rate
		since := math.Mod(t, 1/pitch)
		x := math.Exp(-since*300) * (math.Sin(2*math.Pi*700*since) + 0.7*math.Sin(2*math.Pi*1220*since) + 0.4*math.Sin(2*math.Pi*2600*since))
		raw[i] = x * max(0, math.Sin(2*math.Pi*3*t))
		top = max(top, math.Abs(raw[i]))
	}
	out := make([]pcm.Frame, frames)
	for i, x := range raw {
		s := float32(x / top * crest)
		out[i/pcm.FrameSize][i%pcm.FrameSize] = [2]float32{s, s}
	}
	return out
}

// square is the cruellest thing in phase.
func square(hz float64) pcm.Reader {
	n := 0
	return reader(func(f *pcm.Frame) error {
		for i := range f {
			s := float32(1)
			if math.Mod(hz*float64(n)/pcm.Rate, 1) >= 0.5 {
				s = -1
			}
			f[i] = [2]float32{s, s}
			n++
		}
		return nil
	})
}

// No sum, however large, exceeds -1 dBTP.
func TestTruePeak(t *testing.T) {
	sources := map[string]func() pcm.Reader{
		"tone 997":   func() pcm.Reader { return pcmtest.Tone(997, 1) },
		"tone 40":    func() pcm.Reader { return pcmtest.Tone(40, 1) },
		"tone 12000": func() pcm.Reader { return pcmtest.Tone(12000.5, 1) },
		"tone 19000": func() pcm.Reader { return pcmtest.Tone(19000, 1) },
		"noise":      func() pcm.Reader { return pcmtest.Noise(3, 1) },
		"square":     func() pcm.Reader { return square(441) },
		"voice":      func() pcm.Reader { return pcmtest.Play(voice(120, 1, 25)) },
		"bursts": func() pcm.Reader {
			frames := pcmtest.Collect(pcmtest.Noise(4, 1), 25)
			for i := range frames {
				if i%7 != 3 {
					frames[i] = pcm.Frame{}
				}
			}
			return pcmtest.Play(frames)
		},
	}
	for name, open := range sources {
		said := pcmtest.Collect(open(), 25)
		for _, n := range []int{1, 20, 50} {
			m := mixer.New(mixer.Config{})
			var out pcmtest.Sink
			m.AddOutput(&out)
			for i := range n {
				m.AddInput(fmt.Sprint(i), pcmtest.Play(said))
			}
			mix(m, 25)
			peak := pcmtest.TruePeak(out.Frames)
			if peak > -1 {
				t.Errorf("%d × %s: true peak %.3f dBTP", n, name, peak)
			}
			if n >= 20 && peak < -2.5 {
				t.Errorf("%d × %s: true peak %.3f dBTP, turned down too far", n, name, peak)
			}
		}
	}
}

// Under the limiter a steady tone stays a steady tone.
func TestLimitedToneIsClean(t *testing.T) {
	for _, hz := range []float64{100, 397, 997} {
		m := mixer.New(mixer.Config{})
		var out pcmtest.Sink
		m.AddOutput(&out)
		for i := range 10 {
			m.AddInput(fmt.Sprint(i), pcmtest.Tone(hz, 1))
		}
		mix(m, 40)
		steady := out.Frames[10:]
		if got := pcmtest.Level(steady, hz); got < -1.7 || got > -1.4 {
			t.Errorf("%v Hz: level %.2f dBFS, want -1.5", hz, got)
		}
		for k := 2.0; k <= 5; k++ {
			if got := pcmtest.Level(steady, k*hz); got > -70 {
				t.Errorf("%v Hz: %.1f dBFS at %v Hz", hz, got, k*hz)
			}
		}
	}
}

// A speaker up to the threshold is left alone, bit by bit.
func TestLimiterLeavesSpeechAlone(t *testing.T) {
	for _, crest := range []float64{0.1, 0.5, 0.82} {
		said := voice(140, crest, 100)
		m := mixer.New(mixer.Config{Aligned: true})
		var out pcmtest.Sink
		m.AddOutput(&out)
		m.AddInput("alice", pcmtest.Play(said))
		mix(m, 100)
		m.Drain()
		equal(t, row(out.Frames), row(said))
	}
}

// Loud, but not too loud together: the limiter takes the tops off now and then
// and does not pump. The level of each 100 ms stays within 1.5 dB of the plain
// sum, and a quiet speaker beside it is not carried up and down.
func TestLimiterDoesNotPump(t *testing.T) {
	const n = 200
	a, b, quiet := voice(110, 0.6, n), voice(173, 0.55, n), pcmtest.Collect(pcmtest.Tone(3331, 0.01), n)
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.AddInput("a", pcmtest.Play(a))
	m.AddInput("b", pcmtest.Play(b))
	m.AddInput("quiet", pcmtest.Play(quiet))
	mix(m, n)
	m.Drain()
	if m.Stats().Limited == 0 {
		t.Fatal("the limiter had nothing to do: this test tests nothing")
	}
	for i := 0; i+5 <= n; i += 5 {
		var got, want float64
		for k := i; k < i+5; k++ {
			sum := a[k]
			sum.Add(&b[k], 1)
			sum.Add(&quiet[k], 1)
			_, s := sum.Level()
			_, g := out.Frames[k].Level()
			want, got = want+s, got+g
		}
		if d := 10 * math.Log10(got/want); d > 0.01 || d < -1.5 {
			t.Errorf("frame %d: the level changed by %.2f dB", i, d)
		}
	}
}

// After everything is quiet again for a while, samples pass bit by bit again:
// the limiter's memory ends.
func TestLimiterForgets(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.AddInput("loud", pcmtest.Play(pcmtest.Collect(pcmtest.Noise(1, 8), 5)))
	m.AddInput("quiet", pcmtest.Noise(2, 0.3))
	mix(m, 120)
	m.Drain()
	const quiet = 5 + 75 // 1.5 s later
	equal(t, row(out.Frames[quiet:]), row(pcmtest.Collect(pcmtest.Noise(2, 0.3), 120)[quiet:]))
}

// A mixer that starts in the middle of a loud stretch soon gives what the one
// gives that was there from the start.
func TestLimiterConverges(t *testing.T) {
	const frames, late, warm = 200, 60, 75
	said := make([][]pcm.Frame, 4)
	for i := range said {
		said[i] = voice(100+31*float64(i), 0.9, frames)
	}
	run := func(from int) []pcm.Frame {
		m := mixer.New(mixer.Config{Aligned: true})
		var out pcmtest.Sink
		m.AddOutput(&out)
		for i := range said {
			m.AddInput(fmt.Sprint(i), pcmtest.Play(said[i][from:]))
		}
		mix(m, frames-from)
		m.Drain()
		if limited := m.Stats().Limited; limited < int64(frames-from)/2 {
			t.Fatalf("limited in %d frames only: this test tests nothing", limited)
		}
		return out.Frames[len(out.Frames)-(frames-late-warm):]
	}
	want := row(run(0))
	for i, s := range row(run(late)) {
		if d := math.Abs(float64(s[0] - want[i][0])); d > 1.5e-7 {
			t.Fatalf("sample %d differs by %.2g", i, d)
		}
	}
}

// A meter of others agrees: ffmpeg reads at most -1 dBTP, of noise up to 24 kHz
// too, where its filter is another.
func TestTruePeakByFFmpeg(t *testing.T) {
	for name, open := range map[string]func() pcm.Reader{
		"noise":      func() pcm.Reader { return pcmtest.Noise(2, 1) },
		"tone 19000": func() pcm.Reader { return pcmtest.Tone(19000, 1) },
		"voice":      func() pcm.Reader { return pcmtest.Play(voice(120, 1, 250)) },
	} {
		said := pcmtest.Collect(open(), 250)
		m := mixer.New(mixer.Config{})
		var out pcmtest.Sink
		m.AddOutput(&out)
		for i := range 50 {
			m.AddInput(fmt.Sprint(i), pcmtest.Play(said))
		}
		mix(m, 250)
		peak := loudnesstest.Ebur128(t, out.Frames, 2).TruePeak
		t.Logf("50 × %s: %.1f dBTP by ffmpeg, %.2f by pcmtest", name, peak, pcmtest.TruePeak(out.Frames))
		if peak > -1 || peak < -2.5 {
			t.Errorf("50 × %s: %.1f dBTP by ffmpeg", name, peak)
		}
	}
}

// Three people talk at once, 5 dB too loud together. Their loudness, every 100
// ms, is never more than 1.5 LU below the plain sum, and 0.5 LU in the mean.
func TestLimiterOnSpeech(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	const n = 700
	sum := make([]pcm.Frame, n)
	for _, name := range []string{"alice", "bob", "carol"} {
		said := loudnesstest.Speech(t, name)[:n]
		for i := range sum {
			sum[i].Add(&said[i], 1.7)
		}
		m.SetGain(name, 20*math.Log10(1.7))
		m.AddInput(name, pcmtest.Play(said))
	}
	mix(m, n)
	m.Drain()
	if m.Stats().Limited < n/2 {
		t.Fatalf("limited in %d of %d frames: this test tests nothing", m.Stats().Limited, n)
	}
	a, b := loudness.NewMeter(2), loudness.NewMeter(2)
	var worst, total, count float64
	for i := range sum {
		_, _ = a.WriteFrame(&sum[i]), b.WriteFrame(&out.Frames[i])
		if i%5 != 4 || a.Momentary() < -40 {
			continue
		}
		d := a.Momentary() - b.Momentary()
		worst = max(worst, d)
		total, count = total+d, count+1
	}
	t.Logf("limited in %d of %d frames; momentary loudness at most %.2f LU lower, %.2f in the mean; integrated %.2f, plain %.2f LUFS",
		m.Stats().Limited, n, worst, total/count, b.Integrated(), a.Integrated())
	if worst > 1.5 || total/count > 0.5 {
		t.Errorf("the limiter pumps: momentary loudness up to %.2f LU lower, %.2f in the mean", worst, total/count)
	}
}
