package capture_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestSolo: solo takes the others out while its stream is in the room, not
// before, and not if it is excluded. The mix made again is the same.
func TestSolo(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	for name, test := range map[string]struct {
		mix      capture.MixSpec
		ann, bob [][2]int64
	}{
		"comes and goes": {capture.MixSpec{Solo: []string{"bob"}}, [][2]int64{{0, 12300}, {17300, 30000}}, [][2]int64{{12300, 17300}}},
		"excluded":       {capture.MixSpec{Solo: []string{"bob"}, Exclude: []string{"bob"}}, [][2]int64{{0, 30000}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ann, bob := *a, *b
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				h := open(t, t.TempDir(), s)
				s.enter("a-mic", "ann", 1)
				c := h.start("c1", func(s *capture.Spec) { s.Mix = test.mix })
				var wg sync.WaitGroup
				wg.Go(func() { ann.speak(s, 30*time.Second) })
				time.Sleep(12300 * time.Millisecond)
				s.enter("b-mic", "bob", 2)
				bob.speak(s, 5*time.Second)
				s.leave("b-mic")
				wg.Wait()
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				recorded, start := h.listen(h.recording("c1"), "mix-wav")
				near(t, "ann", heard(recorded, start, 400), test.ann, 60)
				near(t, "bob", heard(recorded, start, 1000), test.bob, 60)
				h.equals(recorded, h.remix(t, capture.MixSpec{}))
			})
		})
	}
}

// TestExcludedSolo: who is excluded while they have solo singles nobody out.
func TestExcludedSolo(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1")
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 20*time.Second) })
		wg.Go(func() { b.speak(s, 20*time.Second) })
		time.Sleep(10 * time.Second)
		if err := c.Patch([]byte(`{"mix":{"solo":["bob"],"exclude":["bob"]}}`), "op"); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		recorded, start := h.listen(h.recording("c1"), "mix-wav")
		near(t, "ann", heard(recorded, start, 400), [][2]int64{{0, 20000}}, 40)
		near(t, "bob", heard(recorded, start, 1000), [][2]int64{{0, 10000}}, 40)
		h.equals(recorded, h.remix(t, capture.MixSpec{}))
	})
}

// TestSoloSilent: who is solo takes the others out before saying a word, or
// without ever saying one. The mix made again is the same.
func TestSoloSilent(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	for name, speaks := range map[string]bool{"late": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			ann, bob := *a, *b
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				h := open(t, t.TempDir(), s)
				s.enter("a-mic", "ann", 1)
				c := h.start("c1", func(s *capture.Spec) { s.Mix.Solo = []string{"bob"} })
				var wg sync.WaitGroup
				wg.Go(func() { ann.speak(s, 40*time.Second) })
				time.Sleep(5 * time.Second)
				s.enter("b-mic", "bob", 2)
				time.Sleep(15 * time.Second)
				if speaks {
					bob.speak(s, 5*time.Second)
				} else {
					time.Sleep(5 * time.Second)
				}
				s.leave("b-mic")
				wg.Wait()
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				recorded, start := h.listen(h.recording("c1"), "mix-wav")
				near(t, "ann", heard(recorded, start, 400), [][2]int64{{0, 5000}, {25000, 40000}}, 60)
				h.equals(recorded, h.remix(t, capture.MixSpec{}))
				h.equals(recorded, h.remix(t, capture.MixSpec{Solo: []string{"nobody"}}))
				alone := h.remix(t, capture.MixSpec{Exclude: []string{"bob"}})
				near(t, "ann, bob excluded", heard(alone, start, 400), [][2]int64{{0, 40000}}, 60)
			})
		})
	}
}

// TestSlowRamp: a gain that goes to its new value for longer than a stream
// speaks is the same when the mix is made again: for who was there before it
// began, without a word yet, and for who came while it went.
func TestSlowRamp(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	for _, enters := range []time.Duration{2 * time.Second, 7990 * time.Millisecond, 8 * time.Second, 8010 * time.Millisecond, 10 * time.Second, 13 * time.Second} {
		t.Run(enters.String(), func(t *testing.T) {
			ann, bob := *a, *b
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				h := open(t, t.TempDir(), s)
				s.enter("a-mic", "ann", 1)
				c := h.start("c1", func(s *capture.Spec) { s.Mix.RampMS = 20000 })
				var wg sync.WaitGroup
				wg.Go(func() { ann.speak(s, 30*time.Second) })
				wg.Go(func() {
					time.Sleep(enters)
					s.enter("b-mic", "bob", 2)
					time.Sleep(16*time.Second - enters)
					bob.speak(s, 14*time.Second)
				})
				time.Sleep(8 * time.Second)
				if err := c.Patch([]byte(`{"mix":{"gains":{"bob":-30,"ann":-6}}}`), "op"); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				recorded, _ := h.listen(h.recording("c1"), "mix-wav")
				h.equals(recorded, h.remix(t, capture.MixSpec{}))
			})
		})
	}
}
