package mixer

import (
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/speech"
)

// voice is some seconds of somebody who talks, on both channels.
func voice(t testing.TB, v speech.Voice) (frames []pcm.Frame) {
	t.Helper()
	packets, err := speech.Packets(v.Ogg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]float32, opus.MaxSamples)
	for _, p := range packets[:500] {
		if _, err := d.Decode(p, samples); err != nil {
			t.Fatal(err)
		}
		var f pcm.Frame
		for i := range f {
			f[i] = [2]float32{samples[i], samples[i]}
		}
		frames = append(frames, f)
	}
	return frames
}

// TestBoundMissesNoPeak: where the bound is below the ceiling nothing has to be
// turned down; and for speech it is nearly always, where it can be.
func TestBoundMissesNoPeak(t *testing.T) {
	for name, frames := range map[string][]pcm.Frame{
		"alice": voice(t, speech.Voices()[0]), "bob": voice(t, speech.Voices()[1]),
		"noise": pcmtest.Collect(pcmtest.Noise(1, 0.5), 50), "12 kHz": pcmtest.Collect(pcmtest.Tone(12001, 0.5), 50),
	} {
		passed, could := 0, 0
		for _, gain := range []float32{0.5, 0.9, 1, 1.3, 1.6, 2, 4} {
			var sound [Latency + pcm.FrameSize][2]float32
			between := float32(0)
			for i := range frames {
				copy(sound[:], sound[pcm.FrameSize:])
				for k, s := range frames[i] {
					sound[Latency+k] = [2]float32{s[0] * gain, s[1] * gain}
				}
				var need [pcm.FrameSize]int64
				after, some := reductions(&sound, &need, between)
				most := bound((*[Latency][2]float32)(sound[:]), (*pcm.Frame)(sound[Latency:]), bend(sound[Latency:]))
				below := most <= ceiling
				switch {
				case below && some:
					t.Fatalf("%s × %v, frame %d: the bound is %v, and something has to be turned down", name, gain, i, most)
				case below:
					passed++
				}
				if !some {
					could++
				}
				between = after
			}
		}
		if name != "noise" && name != "12 kHz" && passed < could*95/100 {
			t.Errorf("%s: of %d frames without a peak %d are known to have none", name, could, passed)
		}
	}
}
