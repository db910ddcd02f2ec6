package mixer_test

import (
	"math"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// side is one channel of frames, on both channels.
func side(frames []pcm.Frame, channel int) []pcm.Frame {
	out := make([]pcm.Frame, len(frames))
	for i := range frames {
		for k, s := range frames[i] {
			out[i][k] = [2]float32{s[channel], s[channel]}
		}
	}
	return out
}

func caller(id string) bool { return id == "caller" || id == "guest" }

// leftIf puts those on the left of whom left is true, others on the right.
func leftIf(left func(id string) bool) func(id string) mixer.Side {
	return func(id string) mixer.Side {
		if left(id) {
			return mixer.Left
		}
		return mixer.Right
	}
}

// A caller on the left, an agent on the right: bit by bit, whoever comes later
// on the side where the rule puts them.
func TestDual(t *testing.T) {
	monos := func(seed uint64) []pcm.Frame { return side(pcmtest.Collect(pcmtest.Noise(seed, 0.3), 20), 0) }
	m := mixer.New(mixer.Config{Aligned: true})
	var out, plain, only pcmtest.Sink
	m.AddOutput(&out, mixer.Dual(leftIf(caller)))
	m.AddOutput(&plain)
	m.AddOutput(&only, mixer.Dual(leftIf(caller)), mixer.Except("agent"))
	m.AddInput("agent", pcmtest.Play(monos(1)))
	m.AddInput("caller", pcmtest.Play(monos(2)))
	mix(m, 10)
	stereo := pcmtest.Collect(pcmtest.Noise(3, 0.1), 10)
	m.AddInput("guest", pcmtest.Play(stereo))
	mix(m, 10)
	m.Drain()
	agents, callers := row(monos(1)), row(monos(2))
	for i, s := range row(out.Frames) {
		want := [2]float32{callers[i][0], agents[i][0]}
		if at := i - 10*pcm.FrameSize; at >= 0 {
			g := stereo[at/pcm.FrameSize][at%pcm.FrameSize]
			want[0] = float32(float64(callers[i][0]) + (float64(g[0])+float64(g[1]))/2)
		}
		if s != want {
			t.Fatalf("sample %d is %v, want %v", i, s, want)
		}
	}
	for i, s := range row(only.Frames) {
		if s[1] != 0 {
			t.Fatalf("sample %d: the agent is heard at %v, though excepted", i, s[1])
		}
	}
	for i, s := range row(plain.Frames[:10]) {
		if s[0] != s[1] {
			t.Fatalf("sample %d: the plain mix is %v", i, s)
		}
	}
}

// Each side keeps -1 dBTP by itself: what is too loud on the left changes not
// one bit on the right.
func TestDualSidesAreLimitedAlone(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out pcmtest.Sink
	m.AddOutput(&out, mixer.Dual(leftIf(caller)))
	m.AddInput("agent", pcmtest.Noise(1, 0.2))
	m.AddInput("caller", pcmtest.Tone(997, 7.9))
	mix(m, 40)
	if m.Stats().Limited == 0 {
		t.Fatal("nothing was limited: this test tests nothing")
	}
	if p := pcmtest.TruePeak(side(out.Frames, 0)); p > -1 || p < -2.5 {
		t.Errorf("true peak on the left %.2f dBTP", p)
	}
	noise, right := row(pcmtest.Collect(pcmtest.Noise(1, 0.2), 40)), row(side(out.Frames, 1))
	for i, s := range right[mixer.Latency:] {
		if want := float32((float64(noise[i][0]) + float64(noise[i][1])) / 2); s[0] != want {
			t.Fatalf("sample %d on the right is %v, want %v", i, s[0], want)
		}
	}
}

// Gain, mute and solo work on each side, and two dual outputs with different
// rules are two mixes.
func TestDualFaders(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var a, b pcmtest.Sink
	m.AddOutput(&a, mixer.Dual(leftIf(caller)))
	m.AddOutput(&b, mixer.Dual(leftIf(func(id string) bool { return !caller(id) })))
	m.AddInput("caller", pcmtest.Tone(397, 0.25))
	m.AddInput("agent", pcmtest.Tone(997, 0.25))
	m.SetGain("caller", -6)
	m.SetMute("agent", true)
	mix(m, 12)
	m.SetMute("agent", false)
	mix(m, 12)
	for _, c := range []struct {
		sink     *pcmtest.Sink
		channel  int
		from     int
		hz, want float64
	}{
		{&a, 0, 2, 397, -18.04}, {&a, 1, 14, 997, -12.04}, {&b, 1, 2, 397, -18.04}, {&b, 0, 14, 997, -12.04},
	} {
		if got := pcmtest.Level(side(c.sink.Frames, c.channel)[c.from:c.from+10], c.hz); math.Abs(got-c.want) > 0.05 {
			t.Errorf("channel %d from frame %d: %.2f dBFS at %v Hz, want %.2f", c.channel, c.from, got, c.hz, c.want)
		}
	}
	if !side(a.Frames[2:12], 1)[5].Silent() {
		t.Error("the agent is heard though muted")
	}
}
