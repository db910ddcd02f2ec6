package mixer_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/mixer"
	"mixdown/mixer/loudness/loudnesstest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

func heard(frames []pcm.Frame) string { return fmt.Sprint(pcmtest.Speaking(frames, 397, 997, 1597)) }

// While somebody has solo, only those are heard; mute goes before solo, and
// neither needs the input to be there first.
func TestSolo(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out, minus, bob pcmtest.Sink
	m.AddOutput(&out)
	m.AddOutput(&minus, mixer.Except("alice"))
	m.AddOutput(&bob, mixer.Only("bob"))
	m.SetSolo("carol", true) // not there yet: nobody is shut out
	m.AddInput("alice", pcmtest.Tone(397, 0.25))
	m.AddInput("bob", pcmtest.Tone(997, 0.25))
	steps := []struct {
		do                 func()
		out, minus, toBobs string
	}{
		{func() {}, "[397 997]", "[997]", "[997]"},
		{func() { m.AddInput("carol", pcmtest.Tone(1597, 0.25)) }, "[1597]", "[1597]", "[]"},
		{func() { m.SetSolo("bob", true) }, "[997 1597]", "[997 1597]", "[997]"},
		{func() { m.SetMute("carol", true) }, "[997]", "[997]", "[997]"},
		{func() { m.SetSolo("bob", false) }, "[]", "[]", "[]"},
		{func() { m.RemoveInput("carol") }, "[397 997]", "[997]", "[997]"},
		{func() { m.SetSolo("alice", true) }, "[397]", "[]", "[]"},
		{func() { m.AddInput("dave", pcmtest.Tone(1597, 0.25)) }, "[397]", "[]", "[]"},
		{func() { m.SetSolo("alice", false) }, "[397 997 1597]", "[997 1597]", "[997]"},
		{func() { m.SetSolo("dave", true); m.AddInput("dave", pcmtest.Play(nil)) }, "[397 997]", "[997]", "[997]"},
	}
	const frames = 12
	for i, s := range steps {
		s.do()
		mix(m, frames)
		from := i*frames + 2
		for _, c := range []struct {
			sink *pcmtest.Sink
			want string
		}{{&out, s.out}, {&minus, s.minus}, {&bob, s.toBobs}} {
			if got := heard(c.sink.Frames[from : from+frames-2]); got != c.want {
				t.Errorf("step %d: %s is heard, want %s", i, got, c.want)
			}
		}
	}
}

// An input that is excluded before it comes makes no sound, from its first
// sample on, and comes in without a click when it is included.
func TestExcludeBeforehand(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.SetMute("alice", true)
	m.AddInput("alice", pcmtest.Tone(397, 0.5))
	mix(m, 10)
	m.SetMute("alice", false)
	mix(m, 10)
	m.Drain()
	for i := range 10 {
		if !out.Frames[i].Silent() {
			t.Fatalf("frame %d is heard", i)
		}
	}
	smooth(t, out.Frames, 397, 0.5)
	if got := heard(out.Frames[11:]); got != "[397]" {
		t.Errorf("%s is heard after being included", got)
	}
}

// smooth says whether a tone that comes and goes has no step steeper than the
// tone at its steepest plus a ramp over one frame.
func smooth(t *testing.T, frames []pcm.Frame, hz, amplitude float64) {
	t.Helper()
	limit := amplitude*2*math.Pi*hz/pcm.Rate + amplitude/pcm.FrameSize
	samples := row(frames)
	for i := 1; i < len(samples); i++ {
		for c := range 2 {
			if step := math.Abs(float64(samples[i][c] - samples[i-1][c])); step > limit*1.01 {
				t.Fatalf("step of %.4f at sample %d, want at most %.4f", step, i, limit)
			}
		}
	}
}

// Solo, removing and replacing do not click, whatever is in the mix.
func TestComingAndGoingDoesNotClick(t *testing.T) {
	for name, do := range map[string]func(*mixer.Mixer){
		"solo":    func(m *mixer.Mixer) { m.SetSolo("bob", true) },
		"remove":  func(m *mixer.Mixer) { m.RemoveInput("alice") },
		"replace": func(m *mixer.Mixer) { m.AddInput("alice", pcmtest.Play(make([]pcm.Frame, 50))) },
	} {
		m := mixer.New(mixer.Config{Aligned: true})
		var out, minus, dual pcmtest.Sink
		m.AddOutput(&out)
		m.AddOutput(&minus, mixer.Except("bob"))
		m.AddOutput(&dual, mixer.Dual(leftIf(func(id string) bool { return id == "alice" })))
		m.AddInput("alice", pcmtest.Tone(397, 0.5))
		m.AddInput("bob", pcmtest.Play(make([]pcm.Frame, 50)))
		mix(m, 10)
		do(m)
		mix(m, 10)
		m.Drain()
		for i, s := range []*pcmtest.Sink{&out, &minus, &dual} {
			smooth(t, s.Frames, 397, 0.5)
			if got := heard(s.Frames[:10]); got != "[397]" {
				t.Errorf("%s, output %d: before, %s is heard", name, i, got)
			}
			if s.Frames[10].Silent() {
				t.Errorf("%s, output %d: cut off", name, i)
			}
			for k := 11; k < 20; k++ {
				if !s.Frames[k].Silent() {
					t.Errorf("%s, output %d: heard in frame %d", name, i, k)
				}
			}
		}
	}
}

// A word that is cut off goes on like the word for the moment that it takes to
// fade: no step is larger than the speech itself has nearby, wherever it is cut.
func TestRemovedInMidWord(t *testing.T) {
	said := loudnesstest.Speech(t, "alice")
	for cut := 50; cut < 800; cut += 7 {
		if said[cut-1].Peak() < 0.02 {
			continue
		}
		m := mixer.New(mixer.Config{Aligned: true})
		var out pcmtest.Sink
		m.AddOutput(&out)
		m.AddInput("alice", pcmtest.Play(said[cut-2:]))
		mix(m, 2)
		m.RemoveInput("alice")
		mix(m, 2)
		m.Drain()
		s := row(out.Frames)
		const seam, near = 2 * pcm.FrameSize, 480
		var before, after float64
		for i := seam - near; i < seam; i++ {
			before = max(before, bend(s, i))
		}
		for i := seam; i < seam+2*pcm.FrameSize; i++ {
			after = max(after, bend(s, i))
		}
		if after > 1.2*before+1e-3 {
			t.Errorf("cut before frame %d: bend of %.4f after %.4f", cut, after, before)
		}
		if p, q := out.Frames[2].Peak(), said[cut-1].Peak(); p > 1.5*q {
			t.Errorf("cut before frame %d: peak of %.3f after %.3f", cut, p, q)
		}
	}
}

// bend is how sharply a row of samples turns at i: what a click is made of.
func bend(s [][2]float32, i int) float64 {
	return math.Abs(float64(s[i][0]) - 2*float64(s[i-1][0]) + float64(s[i-2][0]))
}

// What was heard last before a long standstill is not heard after it.
func TestNothingLeavesLate(t *testing.T) {
	m := mixer.New(mixer.Config{})
	out := &pcmtest.Sink{}
	m.AddOutput(out)
	m.AddInput("alice", pcmtest.Tone(397, 0.5))
	mix(m, 5)
	m.AddInput("bob", reader(func(*pcm.Frame) error { t.Error("read after it was removed"); return nil }))
	m.RemoveInput("bob")
	m.RemoveInput("alice")
	if n := m.Inputs(); n != 0 {
		t.Errorf("%d inputs, want 0", n)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		_ = m.Run(ctx) // ends with its context only
	})
	if len(out.Frames) != 9 {
		t.Fatalf("%d frames, want 9", len(out.Frames))
	}
	for i, f := range out.Frames[6:] { // the limiter's 2 ms come out in frame 5
		if !f.Silent() {
			t.Errorf("frame %d after the standstill is heard", i+1)
		}
	}
	var zero [pcm.FrameSize - mixer.Latency][2]float32
	if [pcm.FrameSize - mixer.Latency][2]float32(out.Frames[5][mixer.Latency:]) != zero {
		t.Error("the first frame after the standstill is heard")
	}
}

// A fade takes its time in equal steps of dB, goes on from where another left
// it, and where a snapshot left it.
func TestFade(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out pcmtest.Sink
	m.AddOutput(&out)
	tone := pcmtest.Tone(997, 0.5)
	m.AddInput("alice", tone)
	mix(m, 10)
	m.Fade("alice", -20, 400*time.Millisecond)
	mix(m, 10)
	saved := m.Snapshot()
	mix(m, 20)
	full := pcmtest.Level(out.Frames[5:8], 997)
	for frame, want := range map[int]float64{16: -6, 26: -16, 35: -20} {
		got := pcmtest.Level(out.Frames[frame-1:frame+2], 997) - full
		if math.Abs(got-want) > 0.7 {
			t.Errorf("frame %d is at %.2f dB, want %.0f", frame, got, want)
		}
	}
	if g := pcmtest.Glitches(out.Frames[5:], 997); len(g) > 0 {
		t.Errorf("it clicks: %v", g)
	}
	again := mixer.New(mixer.Config{})
	if err := again.Restore(saved); err != nil {
		t.Fatal(err)
	}
	var rest pcmtest.Sink
	again.AddOutput(&rest)
	again.SetGain("alice", -20)
	replay := pcmtest.Tone(997, 0.5)
	pcmtest.Collect(replay, 20)
	again.AddInput("alice", replay)
	mix(again, 20)
	// The limiter holds the first 5 ms back; without it both are the same.
	for i := 1; i < 20; i++ {
		if rest.Frames[i] != out.Frames[20+i] {
			t.Fatalf("frame %d after a restore differs", i)
		}
	}
}

// A restored mixer lets nobody be heard who was not, in whatever order its
// inputs come back: alone those before the one that has solo would be.
func TestSoloOverARestore(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.SetSolo("bob", true)
	m.AddInput("alice", pcmtest.Tone(997, 0.5))
	m.AddInput("bob", pcmtest.Tone(440, 0))
	mix(m, 10)
	again := mixer.New(mixer.Config{})
	if err := again.Restore(m.Snapshot()); err != nil {
		t.Fatal(err)
	}
	var out pcmtest.Sink
	again.AddOutput(&out)
	again.AddInput("alice", pcmtest.Tone(997, 0.5))
	again.SetSolo("bob", true)
	again.AddInput("bob", pcmtest.Tone(440, 0))
	mix(again, 10)
	for i, f := range out.Frames {
		if !f.Silent() {
			t.Fatalf("frame %d after a restore is not silent", i)
		}
	}
}
