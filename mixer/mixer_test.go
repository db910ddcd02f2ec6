package mixer_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// reader is a pcm.Reader made of a function.
type reader func(*pcm.Frame) error

func (r reader) ReadFrame(f *pcm.Frame) error { return r(f) }

// writer is a pcm.Writer made of a function.
type writer func(*pcm.Frame) error

func (w writer) WriteFrame(f *pcm.Frame) error { return w(f) }

func mix(m *mixer.Mixer, frames int) {
	for range frames {
		m.Mix()
	}
}

// row is the samples of frames one after the other.
func row(frames []pcm.Frame) (samples [][2]float32) {
	for i := range frames {
		samples = append(samples, frames[i][:]...)
	}
	return samples
}

func equal(t *testing.T, got, want [][2]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("sample %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// A lone speaker passes bit by bit, Latency samples late.
func TestUnity(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out pcmtest.Sink
	m.AddInput("alice", pcmtest.Noise(1, 0.4))
	m.AddOutput(&out)
	mix(m, 50)
	want := row(pcmtest.Collect(pcmtest.Noise(1, 0.4), 50))
	got := row(out.Frames)
	equal(t, got[mixer.Latency:], want[:len(want)-mixer.Latency])
	equal(t, got[:mixer.Latency], make([][2]float32, mixer.Latency))
	if s := m.Stats(); s.Frames != 50 || s.Limited != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSum(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	for i := range 5 {
		m.AddInput(fmt.Sprint(i), pcmtest.Noise(uint64(i), 0.05))
	}
	mix(m, 20)
	m.Drain()
	got := row(out.Frames)
	inputs := make([][][2]float32, 5)
	for i := range inputs {
		inputs[i] = row(pcmtest.Collect(pcmtest.Noise(uint64(i), 0.05), 20))
	}
	for n := range got {
		for c := range 2 {
			var sum float64
			for _, in := range inputs {
				sum += float64(in[n][c])
			}
			if got[n][c] != float32(sum) {
				t.Fatalf("sample %d: %v, want %v", n, got[n][c], float32(sum))
			}
		}
	}
}

// The order in which inputs are added changes not one bit.
func TestDeterministic(t *testing.T) {
	run := func(order []int) [][2]float32 {
		m := mixer.New(mixer.Config{})
		var out pcmtest.Sink
		m.AddOutput(&out)
		for _, i := range order {
			m.AddInput(fmt.Sprint(i), pcmtest.Noise(uint64(i), 0.7))
			m.SetGain(fmt.Sprint(i), float64(i)-4)
		}
		mix(m, 30)
		return row(out.Frames)
	}
	r := rand.New(rand.NewPCG(1, 2))
	want := run(r.Perm(9))
	for range 3 {
		equal(t, run(r.Perm(9)), want)
	}
}

func TestMixMinus(t *testing.T) {
	tones := map[string]float64{"alice": 397, "bob": 997, "carol": 1597}
	m := mixer.New(mixer.Config{})
	minus := map[string]*pcmtest.Sink{}
	var full, only, pair pcmtest.Sink
	for id, hz := range tones {
		m.AddInput(id, pcmtest.Tone(hz, 0.25))
		minus[id] = &pcmtest.Sink{}
		m.AddOutput(minus[id], mixer.Except(id))
	}
	m.AddOutput(&full)
	m.AddOutput(&only, mixer.Only("bob", "nobody"))
	m.AddOutput(&pair, mixer.Only("bob"), mixer.Only("carol", "alice"), mixer.Except("alice"))
	mix(m, 25)

	heard := func(s *pcmtest.Sink) string {
		return fmt.Sprint(pcmtest.Speaking(s.Frames[1:], 397, 997, 1597))
	}
	for id, hz := range tones {
		if own := pcmtest.Level(minus[id].Frames[1:], hz); own > -100 {
			t.Errorf("%s hears herself at %.1f dBFS", id, own)
		}
		for other, hz := range tones {
			if level := pcmtest.Level(minus[id].Frames[1:], hz); other != id && math.Abs(level-(-12.04)) > 0.05 {
				t.Errorf("%s hears %s at %.2f dBFS, want -12.04", id, other, level)
			}
		}
	}
	if got := heard(&full); got != "[397 997 1597]" {
		t.Errorf("in the full mix: %s", got)
	}
	if got := heard(&only); got != "[997]" {
		t.Errorf("in the mix of bob: %s", got)
	}
	if got := heard(&pair); got != "[997 1597]" {
		t.Errorf("in the mix of bob and carol: %s", got)
	}
}

// With one speaker, the speaker's own mix-minus is digital silence; and
// without inputs so is everything.
func TestMixMinusOfOne(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var alice, bob pcmtest.Sink
	m.AddOutput(&alice, mixer.Except("alice"))
	m.AddOutput(&bob, mixer.Except("bob"))
	mix(m, 2)
	m.AddInput("alice", pcmtest.Noise(1, 0.3))
	m.SetGain("alice", -3)
	mix(m, 8)
	for i := range alice.Frames {
		if !alice.Frames[i].Silent() {
			t.Fatalf("frame %d: alice hears something", i)
		}
		if bob.Frames[i].Silent() != (i < 2) {
			t.Fatalf("frame %d: silent to bob: %v", i, i >= 2)
		}
	}
}

// Every input is read once per frame, however many outputs there are.
func TestReadOnce(t *testing.T) {
	m := mixer.New(mixer.Config{})
	reads := 0
	m.AddInput("alice", reader(func(f *pcm.Frame) error { reads++; *f = pcm.Frame{{0.5, 0.5}}; return nil }))
	for i := range 5 {
		m.AddOutput(&pcmtest.Sink{})
		m.AddOutput(&pcmtest.Sink{}, mixer.Except("alice"))
		m.AddOutput(&pcmtest.Sink{}, mixer.Only("alice", fmt.Sprint(i)))
	}
	mix(m, 7)
	if reads != 7 {
		t.Errorf("%d reads in 7 frames", reads)
	}
}

func TestInputsComeAndGo(t *testing.T) {
	m := mixer.New(mixer.Config{InputFailed: func(id string, err error) { t.Errorf("%s: %v", id, err) }})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.AddInput("alice", pcmtest.Play(pcmtest.Collect(pcmtest.Tone(397, 0.25), 20)))
	m.AddInput("bob", pcmtest.Tone(997, 0.25))
	mix(m, 10)
	m.AddInput("bob", pcmtest.Tone(1597, 0.25)) // instead of 997
	mix(m, 20)                                  // alice ends by herself
	if n := m.Inputs(); n != 1 {
		t.Errorf("%d inputs, want 1", n)
	}
	m.RemoveInput("bob")
	m.RemoveInput("bob")
	mix(m, 10)
	for at, want := range map[int]string{2: "[397 997]", 12: "[397 1597]", 22: "[1597]", 32: "[]"} {
		if got := fmt.Sprint(pcmtest.Speaking(out.Frames[at:at+6], 397, 997, 1597)); got != want {
			t.Errorf("from frame %d on: %v, want %v", at, got, want)
		}
	}
}

func TestGain(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.SetGain("alice", -6) // before she is there: no ramp
	m.AddInput("alice", pcmtest.Tone(997, 0.25))
	mix(m, 50)
	m.SetGain("alice", 6)
	mix(m, 50)
	m.SetMute("alice", true)
	mix(m, 50)
	m.SetGain("alice", 0)
	mix(m, 50)
	m.SetMute("alice", false)
	mix(m, 50)
	for _, c := range []struct {
		from, to int
		want     float64
	}{{1, 50, -18.04}, {52, 100, -6.04}, {202, 250, -12.04}} {
		if got := pcmtest.Level(out.Frames[c.from:c.to], 997); math.Abs(got-c.want) > 0.03 {
			t.Errorf("frames %d to %d: %.2f dBFS, want %.2f", c.from, c.to, got, c.want)
		}
	}
	for n := 102; n < 200; n++ {
		if !out.Frames[n].Silent() {
			t.Fatalf("frame %d is not silent, though muted", n)
		}
	}
}

// A change of gain is a ramp over one frame: the slope of the tone never
// jumps by more than the ramp explains, and there is no energy far away from it.
func TestGainDoesNotClick(t *testing.T) {
	const hz, amplitude = 397.0, 0.5
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.AddInput("alice", pcmtest.Tone(hz, amplitude))
	for i := range 40 {
		m.SetMute("alice", i%4 >= 2)
		m.SetGain("alice", float64(i%3)*-6)
		m.Mix()
	}
	m.Drain()
	samples := row(out.Frames)
	// The steepest tone plus the steepest ramp.
	limit := amplitude*2*math.Pi*hz/pcm.Rate + amplitude/pcm.FrameSize
	for i := 1; i < len(samples); i++ {
		if step := math.Abs(float64(samples[i][0] - samples[i-1][0])); step > limit*1.001 {
			t.Fatalf("step of %.4f at sample %d, want at most %.4f", step, i, limit)
		}
	}
	if far := pcmtest.Level(out.Frames, 9000); far > -90 {
		t.Errorf("%.1f dBFS at 9 kHz", far)
	}
}

func TestLevels(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.AddInput("bob", pcmtest.Tone(1000, 0.1))
	m.AddInput("alice", pcmtest.Tone(1000, 1))
	m.AddInput("carol", reader(func(f *pcm.Frame) error { *f = pcm.Frame{}; return nil }))
	m.SetMute("bob", true) // levels are those that come in
	mix(m, 3)
	want := []mixer.Level{{"alice", 0, -3.01}, {"bob", -20, -23.01}, {"carol", pcm.MinDB, pcm.MinDB}}
	check := func() {
		t.Helper()
		got := m.Levels(nil)
		if len(got) != len(want) {
			t.Fatalf("%d levels", len(got))
		}
		for i, w := range want {
			if g := got[i]; g.ID != w.ID || math.Abs(g.Peak-w.Peak) > 0.05 || math.Abs(g.RMS-w.RMS) > 0.05 {
				t.Errorf("%+v, want %+v", g, w)
			}
		}
	}
	check()
	mix(m, 50)
	check()
	m.AddInput("alice", reader(func(f *pcm.Frame) error { *f = pcm.Frame{}; return nil }))
	mix(m, 19)
	if got := m.Levels(nil)[0]; math.Abs(got.Peak) > 0.05 {
		t.Errorf("380 ms after the last sound: %+v", got)
	}
	mix(m, 1)
	want[0] = mixer.Level{"alice", pcm.MinDB, pcm.MinDB}
	check()
}

// One that breaks is taken out and reported; the rest goes on.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	failed := map[string]error{}
	var m *mixer.Mixer
	m = mixer.New(mixer.Config{InputFailed: func(id string, err error) {
		failed[id] = err
		m.RemoveInput(id) // the lock is free
	}})
	var out pcmtest.Sink
	onError := func(name string) mixer.Option {
		return mixer.OnError(func(err error) { failed[name] = err })
	}
	calls := 0
	m.AddOutput(writer(func(*pcm.Frame) error { calls++; panic("no disk") }), onError("panicking output"))
	m.AddOutput(writer(func(*pcm.Frame) error { calls++; return broken }), onError("output"))
	m.AddOutput(writer(func(*pcm.Frame) error { calls++; return broken })) // nobody listens
	m.AddOutput(&out)
	m.AddInput("alice", pcmtest.Tone(997, 0.25))
	m.AddInput("bob", reader(func(f *pcm.Frame) error { *f = pcm.Frame{{1, 1}}; panic("no sound") }))
	m.AddInput("carol", reader(func(f *pcm.Frame) error { *f = pcm.Frame{{1, 1}}; return broken }))
	m.AddInput("dave", reader(func(f *pcm.Frame) error { return io.EOF }))
	mix(m, 30)

	if calls != 3 {
		t.Errorf("broken outputs were called %d times, want 3", calls)
	}
	if n := m.Inputs(); n != 1 {
		t.Errorf("%d inputs left, want 1", n)
	}
	for name, want := range map[string]string{"panicking output": "no disk", "bob": "no sound", "output": "broken", "carol": "broken"} {
		if err := failed[name]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
	if !errors.Is(failed["carol"], broken) || !errors.Is(failed["output"], broken) {
		t.Error("errors are not wrapped")
	}
	if len(failed) != 4 || m.Stats().Failed != 5 {
		t.Errorf("reported %v, stats %+v", failed, m.Stats())
	}
	if g := pcmtest.Glitches(out.Frames[1:], 997); g != nil {
		t.Errorf("the rest was disturbed: %v", g)
	}
}

// Samples that are no numbers or absurd harm nobody but their speaker.
func TestRepair(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out, minus pcmtest.Sink
	m.AddOutput(&out)
	m.AddOutput(&minus, mixer.Except("bob"))
	m.AddInput("alice", pcmtest.Noise(1, 0.2))
	m.AddInput("bob", reader(func(f *pcm.Frame) error {
		*f = pcm.Frame{3: {float32(math.NaN()), 0.1}, 4: {float32(math.Inf(1)), 0.1}, 5: {1e30, -1e30}}
		return nil
	}))
	mix(m, 10)
	m.Drain()
	equal(t, row(minus.Frames), row(pcmtest.Collect(pcmtest.Noise(1, 0.2), 10)))
	for i, s := range row(out.Frames) {
		if !(math.Abs(float64(s[0])) <= 0.9 && math.Abs(float64(s[1])) <= 0.9) {
			t.Fatalf("sample %d is %v", i, s)
		}
	}
	if n := m.Stats().Repaired; n != 10 {
		t.Errorf("%d frames repaired, want 10", n)
	}
}

func TestRemoveOutput(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.AddInput("alice", pcmtest.Noise(1, 0.2))
	var a, b pcmtest.Sink
	removeA := m.AddOutput(&a)
	m.AddOutput(&b)
	mix(m, 3)
	removeA()
	removeA()
	mix(m, 2)
	if len(a.Frames) != 3 || len(b.Frames) != 5 {
		t.Errorf("%d and %d frames, want 3 and 5", len(a.Frames), len(b.Frames))
	}
}
