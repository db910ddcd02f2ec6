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

const target = -23.0

func integrated(frames []pcm.Frame) float64 {
	m := loudness.NewMeter(2)
	for i := range frames {
		_ = m.WriteFrame(&frames[i])
	}
	return m.Integrated()
}

// at brings frames to a loudness.
func at(lufs float64, frames []pcm.Frame) []pcm.Frame {
	gain := float32(math.Pow(10, (lufs-integrated(frames))/20))
	out := make([]pcm.Frame, len(frames))
	for i := range frames {
		out[i].Add(&frames[i], gain)
	}
	return out
}

// gains is by how many dB each frame was turned up, where it is known.
func gains(in, out []pcm.Frame) []float64 {
	all := make([]float64, len(in))
	for i := range in {
		_, a := in[i].Level()
		_, b := out[i].Level()
		all[i] = math.NaN()
		if a > 1e-9 && b > 0 {
			all[i] = 10 * math.Log10(b/a)
		}
	}
	return all
}

// Three people at -35, -23 and -12 LUFS come to the target within 5 s of
// speech, and then stay where they are; the outputs that are not levelled are
// what was said, bit by bit.
func TestLevel(t *testing.T) {
	for _, c := range []struct {
		name string
		lufs float64
	}{{"alice", -35}, {"bob", -23}, {"carol", -12}, {"bob", -35}} {
		said := at(c.lufs, loudnesstest.Speech(t, c.name))
		m := mixer.New(mixer.Config{Aligned: true, Level: target})
		var levelled, plain pcmtest.Sink
		m.AddOutput(&levelled, mixer.Levelled())
		m.AddOutput(&plain, mixer.Only(c.name))
		m.AddInput(c.name, pcmtest.Play(said))
		mix(m, len(said))
		m.Drain()
		got := integrated(levelled.Frames[5*50:])
		applied := gains(said, levelled.Frames)
		low, high := math.Inf(1), math.Inf(-1)
		for i, g := range applied {
			if i > 8*50 && !math.IsNaN(g) && said[i].Peak() > 0.02 {
				low, high = min(low, g), max(high, g)
			}
		}
		t.Logf("%-5s at %.0f LUFS: %.2f LUFS after 5 s; from 8 s on the gain moves by %.2f dB", c.name, c.lufs, got, high-low)
		if math.Abs(got-target) > 2 {
			t.Errorf("%s at %.0f LUFS: %.2f LUFS after 5 s, want %.0f", c.name, c.lufs, got, target)
		}
		if high-low > 2.5 {
			t.Errorf("%s at %.0f LUFS: the gain goes from %.2f to %.2f dB after it has settled", c.name, c.lufs, low, high)
		}
		if c.lufs < -20 {
			equal(t, row(plain.Frames), row(said))
		}
	}
}

// The gain moves by at most 3 dB in a second and 15 dB in all, only while
// somebody speaks, and a mix-minus of levelled speakers has nothing of who is
// left out.
func TestLevelMovesSlowly(t *testing.T) {
	said := at(-43, loudnesstest.Speech(t, "alice"))
	pause := make([]pcm.Frame, 10*50)
	for i, f := range pcmtest.Collect(pcmtest.Noise(5, 0.0003), len(pause)) { // a room at -75 dBFS
		pause[i] = f
	}
	said = append(append(append([]pcm.Frame{}, said[:150]...), pause...), said[150:]...)
	m := mixer.New(mixer.Config{Aligned: true, Level: target})
	var out, minus pcmtest.Sink
	m.AddOutput(&out, mixer.Levelled())
	m.AddOutput(&minus, mixer.Levelled(), mixer.Except("alice"))
	m.AddInput("alice", pcmtest.Play(said))
	mix(m, len(said))
	m.Drain()
	applied := gains(said, out.Frames)
	for i := 51; i < len(applied); i++ {
		if d := math.Abs(applied[i] - applied[i-50]); d > 3.1 {
			t.Fatalf("frame %d: %.2f dB in a second", i, d)
		}
		if applied[i] > 15.01 {
			t.Fatalf("frame %d: turned up by %.2f dB", i, applied[i])
		}
	}
	if d := math.Abs(applied[640] - applied[153]); d > 0.01 {
		t.Errorf("the gain moved by %.2f dB in a pause of nine seconds", d)
	}
	if end := applied[len(applied)-100]; end < 14.5 {
		t.Errorf("in the end turned up by %.2f dB, want 15", end)
	}
	for i := range minus.Frames {
		if !minus.Frames[i].Silent() {
			t.Fatalf("frame %d: something is left of alice in the mix without her", i)
		}
	}
}

// A room, a fan, hiss, hum and a click now and then are not pulled up, nor is
// digital silence.
func TestLevelLeavesBackgroundAlone(t *testing.T) {
	clicks := make([]pcm.Frame, 1000)
	for i := range clicks {
		if i%20 == 0 {
			clicks[i][100] = [2]float32{0.5, 0.5}
		}
	}
	for name, frames := range map[string][]pcm.Frame{
		"room at -60":    pcmtest.Collect(pcmtest.Noise(1, 0.0017), 1000),
		"fan at -45":     pcmtest.Collect(pcmtest.Noise(2, 0.0097), 1000),
		"hum at -50":     pcmtest.Collect(pcmtest.Tone(100, 0.0045), 1000),
		"unmuted at -48": append(make([]pcm.Frame, 200), pcmtest.Collect(pcmtest.Noise(3, 0.0069), 800)...),
		"clicks":         clicks,
		"silence":        make([]pcm.Frame, 100),
	} {
		m := mixer.New(mixer.Config{Aligned: true, Level: target})
		var out pcmtest.Sink
		m.AddOutput(&out, mixer.Levelled())
		m.AddInput("room", pcmtest.Play(frames))
		mix(m, len(frames))
		m.Drain()
		for i, g := range gains(frames, out.Frames) {
			if math.Abs(g) > 0.001 {
				t.Errorf("%s: frame %d was turned up by %.2f dB", name, i, g)
				break
			}
		}
	}
}

// Levelling costs no allocation, and what it costs is told.
func BenchmarkLevelled(b *testing.B) {
	said := loudnesstest.Speech(b, "alice")
	for _, level := range []float64{0, target} {
		b.Run(fmt.Sprintf("50-to-%.0f", level), func(b *testing.B) {
			m := mixer.New(mixer.Config{Level: level})
			for i := range 50 {
				m.SetGain(fmt.Sprint(i), -34)
				m.AddInput(fmt.Sprint(i), loop(said[13*i:]))
			}
			m.AddOutput(writer(func(*pcm.Frame) error { return nil }), mixer.Levelled())
			b.ReportAllocs()
			for b.Loop() {
				m.Mix()
			}
		})
	}
}
