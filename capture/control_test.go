package capture_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// act does something at random to a running capture.
func act(t testing.TB, c *capture.Capture, rng *rand.Rand) {
	who := []string{"ann", "bob", "a-mic", "b-mic"}[rng.IntN(4)]
	scope := []capture.Scope{{}, {UserID: "ann"}, {StreamID: "b-mic"}, {Output: "mix-wav"}, {Output: "streams-ogg"}}[rng.IntN(5)]
	var err error
	switch rng.IntN(9) {
	case 0, 1:
		modes := []capture.PauseMode{capture.PauseSilence, capture.PauseSkip, capture.PauseTone}
		err = c.Pause(capture.PauseRequest{Scope: scope, Mode: modes[rng.IntN(3)], MaxSeconds: rng.IntN(3)}, "op")
	case 2, 3:
		err = c.Resume(scope, "op", "")
	case 4:
		err = c.Patch(fmt.Appendf(nil, `{"mix":{"gains":{%q:%d},"rampMs":%d}}`, who, -rng.IntN(30), 20+rng.IntN(1500)), "op")
	case 5:
		err = c.Patch(fmt.Appendf(nil, `{"mix":{"mute":[%q]}}`, who), "op")
	case 6:
		err = c.Patch([]byte(`{"mix":{"mute":null,"solo":null,"exclude":null}}`), "op")
	case 7:
		err = c.Patch(fmt.Appendf(nil, `{"mix":{"exclude":[%q]}}`, who), "op")
	case 8:
		err = c.Patch(fmt.Appendf(nil, `{"mix":{"solo":[%q]}}`, who), "op")
	}
	if err != nil {
		t.Errorf("act: %v", err)
	}
}

// TestControlsAgain: whatever is done to a capture, what the journal gives
// after a kill is what was recorded without one, and so are its gaps and its
// events; of half of them encrypted. MIXDOWN_SOAK=1 tries a hundred times.
func TestControlsAgain(t *testing.T) {
	t.Parallel()
	withSeeds(t, 6, 100, controlsAgain)
}

// withSeeds tries a call of two at random, a few times or in a soak run often.
func withSeeds(t *testing.T, few, often int, try func(t *testing.T, seed uint64, ann, bob *voice)) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	times := few
	if os.Getenv("MIXDOWN_SOAK") != "" {
		times = often
	}
	for seed := range times {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			ann, bob := *a, *b
			synctest.Test(t, func(t *testing.T) { try(t, uint64(seed), &ann, &bob) })
		})
	}
}

func controlsAgain(t *testing.T, seed uint64, ann, bob *voice) {
	rng := rand.New(rand.NewPCG(seed, 8))
	s, data, copied := newStage(), t.TempDir(), ""
	h := open(t, data, s)
	s.enter("a-mic", "ann", 1)
	s.enter("b-mic", "bob", 2)
	spec := []func(*capture.Spec){func(s *capture.Spec) { s.Record[0].SegmentSeconds, s.Record[1].SegmentSeconds = 4, 4 }}
	who := newCustomer(t)
	if seed%2 == 1 {
		spec = append(spec, h.owner(who))
	}
	c := h.start("c1", spec...)
	const length = 24 * time.Second
	killed := 10*time.Second + time.Duration(rng.IntN(10000))*time.Millisecond
	var wg sync.WaitGroup
	wg.Go(func() { ann.speak(s, length) })
	wg.Go(func() { bob.speak(s, length) })
	wg.Go(func() {
		time.Sleep(killed)
		synctest.Wait()
		copied = h.image()
	})
	for at := time.Second; at < length-2*time.Second; {
		d := time.Duration(200+rng.IntN(2500)) * time.Millisecond
		time.Sleep(d)
		at += d
		act(t, c, rng)
	}
	wg.Wait()
	if err := c.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	whole := h.recording("c1")
	frames, start := h.hear(whole, "mix-wav")
	told := h.controls(whole)
	h.stop()

	again := open(t, copied, s)
	again.who = h.who
	part := again.finish("c1")
	replayed, from := again.hear(part, "mix-wav")
	until := (killed-time.Second).Milliseconds()/20 - 1
	if from != start && len(replayed) > 0 && start/pcm.FrameSize < until {
		t.Errorf("the mix begins at sample %d, without a kill at %d", from, start)
	}
	for i := range min(until-start/pcm.FrameSize, int64(len(frames)), int64(len(replayed))) {
		if d := differ(&frames[i], &replayed[i]); d > 0.02 {
			t.Fatalf("frame %d differs by %.3f from what was recorded without a kill", i, d)
		}
	}
	if got, want := gapsBefore(part, killed), gapsBefore(whole, killed); got != want {
		t.Errorf("gaps after a kill:\n%s\nwithout:\n%s", got, want)
	}
	if got := again.controls(part); !strings.HasPrefix(strings.Join(told, ""), strings.Join(got[:max(0, len(got)-2)], "")) {
		t.Errorf("events after a kill:\n%s\nwithout:\n%s", got, told)
	}
}

//go:norace
func differ(a, b *pcm.Frame) (most float64) {
	for i := range a {
		most = max(most, math.Abs(float64(a[i][0]-b[i][0])), math.Abs(float64(a[i][1]-b[i][1])))
	}
	return most
}

// gapsBefore lists the gaps that ended well before an instant.
func gapsBefore(m *storage.Manifest, at time.Duration) string {
	var all strings.Builder
	for _, g := range m.Gaps {
		if pcm.Duration(g.StartSample+g.Samples) < at-time.Second {
			fmt.Fprintf(&all, "%s %d+%d\n", g.Output, g.StartSample, g.Samples)
		}
	}
	return all.String()
}

// controls are the lines of events.jsonl about changes.
func (h *house) controls(m *storage.Manifest) (lines []string) {
	h.t.Helper()
	raw, err := os.ReadFile(h.clear(m, storage.EventsName))
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"settings":`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestPauseSurvivesAKill: a capture that is killed while it is paused is paused
// when it is back, and goes on by itself when its time is over. What was said
// is nowhere, and the recording verifies.
func TestPauseSurvivesAKill(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for _, mode := range []capture.PauseMode{capture.PauseSilence, capture.PauseSkip} {
		t.Run(string(mode), func(t *testing.T) {
			voice := *a
			ann := &secret{voice: &voice}
			synctest.Test(t, func(t *testing.T) {
				s, data := newStage(), t.TempDir()
				s.enter("a-mic", "ann", 1)
				h := open(t, data, s)
				c := h.start("c1", allOutputs)
				var wg sync.WaitGroup
				wg.Go(func() {
					ann.speak(s, 12*time.Second)
					ann.whisper(s, 20*time.Second)
					ann.speak(s, 10*time.Second)
				})
				time.Sleep(12*time.Second - 10*time.Millisecond)
				if err := c.Pause(capture.PauseRequest{Mode: mode, MaxSeconds: 20}, "op"); err != nil {
					t.Fatal(err)
				}
				// At once: only capture.json knows of it yet.
				copied := h.kill()
				time.Sleep(3 * time.Second)
				h = open(t, copied, s)
				c, err := h.captures.Get("c1")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				if st := c.Status(); st.State != capture.Paused || len(st.Pauses) != 1 {
					t.Errorf("back after a kill: %s %+v", st.State, st.Pauses)
				}
				time.Sleep(13 * time.Second)
				if st := c.Status(); st.State != capture.Recording || len(st.Pauses) != 0 {
					t.Errorf("after maxSeconds: %s %+v", st.State, st.Pauses)
				}
				time.Sleep(9 * time.Second)
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				ann.nowhere(t, copied)
				m := h.recording("c1")
				for _, output := range []string{"mix-wav", "streams-ogg/ann/a-mic"} {
					frames, start := h.hear(m, output)
					near(t, "ann in "+output, heard(frames, start, 400), [][2]int64{{0, 12000}, {32000, 42000}}, 320)
				}
				if mode == capture.PauseSkip && len(m.Gaps) != 4 {
					t.Errorf("gaps: %+v", m.Gaps)
				}
			})
		})
	}
}

// TestRemixFollowsControls: mixing again does what was done while it was
// recorded, bit for bit.
func TestRemixFollowsControls(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", func(s *capture.Spec) { s.Mix.Gains = map[string]float64{"bob": -3} })
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 20*time.Second) })
		wg.Go(func() { b.speak(s, 20*time.Second) })
		steps := []func() error{
			func() error { return c.Patch([]byte(`{"mix":{"gains":{"ann":-12},"rampMs":700}}`), "op") },
			func() error {
				return c.Pause(capture.PauseRequest{Scope: capture.Scope{UserID: "ann"}, Mode: capture.PauseTone}, "op")
			},
			func() error { return c.Resume(capture.Scope{UserID: "ann"}, "op", "") },
			func() error { return c.Patch([]byte(`{"mix":{"mute":["bob"]}}`), "op") },
			func() error { return c.Patch([]byte(`{"mix":{"mute":[],"exclude":["a-mic"]}}`), "op") },
			func() error { return c.Patch([]byte(`{"mix":{"exclude":[],"gains":{"ann":null}}}`), "op") },
			func() error { return c.Pause(capture.PauseRequest{}, "op") },
			func() error { return c.Resume(capture.Scope{}, "op", "") },
		}
		for _, step := range steps {
			time.Sleep(2123 * time.Millisecond)
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		recorded, _ := h.listen(h.recording("c1"), "mix-wav")
		again := h.remix(t, capture.MixSpec{})
		h.equals(recorded, again)
	})
}
