package pcmtest_test

import (
	"fmt"
	"math"
	"testing"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// row gives the samples of frames, and frames gives them back, cut to whole
// frames.
func row(frames []pcm.Frame) (samples [][2]float32) {
	for i := range frames {
		samples = append(samples, frames[i][:]...)
	}
	return samples
}

func cut(samples [][2]float32) []pcm.Frame {
	frames := make([]pcm.Frame, len(samples)/pcm.FrameSize)
	for i := range frames {
		copy(frames[i][:], samples[i*pcm.FrameSize:])
	}
	return frames
}

func mix(readers ...pcm.Reader) pcm.Reader {
	return readerFunc(func(f *pcm.Frame) error {
		*f = pcm.Frame{}
		for _, r := range readers {
			var g pcm.Frame
			if err := r.ReadFrame(&g); err != nil {
				return err
			}
			f.Add(&g, 1)
		}
		return nil
	})
}

type readerFunc func(*pcm.Frame) error

func (r readerFunc) ReadFrame(f *pcm.Frame) error { return r(f) }

func TestReaders(t *testing.T) {
	pcmtest.TestReader(t, func() pcm.Reader { return pcmtest.Tone(997, 0.5) })
	pcmtest.TestReader(t, func() pcm.Reader { return pcmtest.Noise(1, 0.5) })
	pcmtest.TestReader(t, func() pcm.Reader {
		return pcmtest.Play(pcmtest.Collect(pcmtest.Tone(997, 0.5), 30))
	})
}

func TestLevel(t *testing.T) {
	for _, hz := range []float64{397, 997, 1597} {
		for _, n := range []int{1, 5, 50} {
			frames := pcmtest.Collect(pcmtest.Tone(hz, 0.25), n)
			if got := pcmtest.Level(frames, hz); math.Abs(got-(-12.04)) > 0.02 {
				t.Errorf("%v Hz in %d frames: %.3f dBFS, want -12.04", hz, n, got)
			}
			if n < 5 {
				continue
			}
			for _, other := range []float64{397, 997, 1597} {
				if got := pcmtest.Level(frames, other); other != hz && got > -90 {
					t.Errorf("%v Hz in %d frames leaks %.1f dBFS to %v Hz", hz, n, got, other)
				}
			}
		}
	}
}

func TestSpeaking(t *testing.T) {
	frames := pcmtest.Collect(mix(pcmtest.Tone(397, 0.25), pcmtest.Tone(1597, 0.01)), 3)
	for i := range frames {
		if got := pcmtest.Speaking(frames[i:i+1], 397, 997, 1597); fmt.Sprint(got) != "[397 1597]" {
			t.Errorf("frame %d: %v speak", i, got)
		}
	}
	if got := pcmtest.Speaking(make([]pcm.Frame, 5), 397, 997); got != nil {
		t.Errorf("%v speak in silence", got)
	}
}

func TestOnsets(t *testing.T) {
	for _, hz := range []float64{397, 997, 1597} {
		samples := make([][2]float32, 2*pcm.Rate)
		tone := row(pcmtest.Collect(pcmtest.Tone(hz, 0.25), 20))
		want := []int64{1234, 30000, 61007}
		for _, at := range want {
			copy(samples[at:], tone)
		}
		got := pcmtest.Onsets(cut(samples), hz)
		if len(got) != len(want) {
			t.Fatalf("%v Hz: onsets %v, want %v", hz, got, want)
		}
		for i := range want {
			if d := got[i] - want[i]; d < -24 || d > 24 {
				t.Errorf("%v Hz: onset at %d, want %d", hz, got[i], want[i])
			}
		}
	}
	if got := pcmtest.Onsets(pcmtest.Collect(pcmtest.Tone(997, 0.5), 5), 997); len(got) != 1 || got[0] > 24 {
		t.Errorf("tone from the first sample on: onsets %v", got)
	}
	if got := pcmtest.Onsets(make([]pcm.Frame, 5), 997); got != nil {
		t.Errorf("onsets %v in silence", got)
	}
}

func TestGlitches(t *testing.T) {
	const at = 33333
	tone := row(pcmtest.Collect(pcmtest.Tone(997, 0.25), 100))
	if got := pcmtest.Glitches(cut(tone), 997); got != nil {
		t.Errorf("glitches in a steady tone: %v", got)
	}
	for name, broken := range map[string][][2]float32{
		"one sample missing": append(append([][2]float32{}, tone[:at]...), tone[at+1:]...),
		"one sample doubled": append(append([][2]float32{}, tone[:at]...), tone[at-1:]...),
		"hole of 2 ms":       append(append(append([][2]float32{}, tone[:at]...), make([][2]float32, 96)...), tone[at+96:]...),
	} {
		got := pcmtest.Glitches(cut(broken), 997)
		if len(got) == 0 {
			t.Errorf("%s: not found", name)
		}
		for _, g := range got {
			if g.At < at-480 || g.At > at+480+96 {
				t.Errorf("%s: glitch %v, want one at %.1f ms", name, g, at/48.0)
			}
		}
	}
}

func TestTruePeak(t *testing.T) {
	// A quarter of the rate, sampled 45 degrees off the crests: samples of
	// 0.7071, true peak 1.
	samples := make([][2]float32, 10*pcm.FrameSize)
	for i := range samples {
		// Faded, so that the edges of the test signal are no part of it.
		fade := math.Sin(math.Pi * float64(i) / float64(len(samples)))
		samples[i][1] = float32(fade * math.Sin(math.Pi/4+math.Pi/2*float64(i)))
	}
	if got := pcmtest.TruePeak(cut(samples)); math.Abs(got) > 0.02 {
		t.Errorf("true peak %.3f dBTP, want 0", got)
	}
}
