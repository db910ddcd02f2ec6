package capture_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestKillAfterASkip: while a pause skips, a checkpoint covers everything and the
// journal is cut; a kill soon after the pause loses nothing for that.
func TestKillAfterASkip(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for _, killed := range []time.Duration{15500 * time.Millisecond, 16600 * time.Millisecond, 19 * time.Second, 21 * time.Second} {
		t.Run(killed.String(), func(t *testing.T) {
			a := *a
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				s.enter("a-mic", "ann", 1)
				h := open(t, t.TempDir(), s)
				c := h.start("c1", func(s *capture.Spec) { s.Record[0].SegmentSeconds, s.Record[1].SegmentSeconds = 4, 4 })
				var wg sync.WaitGroup
				wg.Go(func() { a.speak(s, killed+5*time.Second) })
				time.Sleep(9500 * time.Millisecond) // the deep path is there when the first checkpoint is taken, after 15 s
				if err := c.Pause(capture.PauseRequest{Mode: capture.PauseSkip}, "op"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if err := c.Resume(capture.Scope{}, "op", ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(killed - 10500*time.Millisecond)
				synctest.Wait()
				h = open(t, h.kill(), s)
				c, err := h.captures.Get("c1")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				m := h.recording("c1")
				for _, output := range []string{"mix-wav", "streams-ogg/ann/a-mic"} {
					frames, start := h.hear(m, output)
					got := heard(frames, start, 400)
					if n := len(got); n < 2 || n > 3 || got[0][0] > 60 || got[0][1] < 9400 || got[1][0] > 10700 || got[1][1] < killed.Milliseconds()-1000 {
						t.Errorf("%s is heard at %v with a kill at %v", output, got, killed)
					}
				}
			})
		})
	}
}
