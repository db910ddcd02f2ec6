package capture_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/encoder"
)

// TestPanicInStem: a panic while one stream is rendered costs nothing: what was
// rendered since is made anew from the journal.
func TestPanicInStem(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var armed, fired atomic.Bool
		h := open(t, t.TempDir(), s, func(c *capture.Config) {
			c.Freeze(func() func(string) bool {
				return func(streamID string) bool { // called while a stream is rendered
					if armed.Load() && streamID == "a-mic" && fired.CompareAndSwap(false, true) {
						panic("while " + streamID + " is rendered")
					}
					return false
				}
			})
		})
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", func(s *capture.Spec) { s.Record[1].SegmentSeconds = 3 })
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 30*time.Second) })
		wg.Go(func() { b.speak(s, 30*time.Second) })
		time.Sleep(12 * time.Second)
		armed.Store(true)
		wg.Wait()
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !fired.Load() {
			t.Fatal("nothing panicked")
		}
		recorded, start := h.listen(h.recording("c1"), "mix-wav")
		near(t, "ann", heard(recorded, start, 400), [][2]int64{{0, 30000}}, 60)
		near(t, "bob", heard(recorded, start, 1000), [][2]int64{{0, 30000}}, 60)
	})
}

// stopAfter is a context that ends when it is asked often enough.
type stopAfter struct {
	context.Context
	cancel context.CancelFunc
	asked  int
}

func (s *stopAfter) Err() error {
	if s.asked--; s.asked < 0 {
		s.cancel()
	}
	return s.Context.Err()
}

// committed counts what gets its name.
type committed struct {
	frames
	n int
}

func (c *committed) Commit(f encoder.File, s encoder.Segment) error {
	c.n++
	return c.frames.Commit(f, s)
}

// TestRemixCancelled: a mix that is not whole gets no name.
func TestRemixCancelled(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1")
		a.speak(s, 20*time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.recording("c1")
		var out committed
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := capture.Remix(&stopAfter{ctx, cancel, 300}, h.local, "r/c1", capture.MixSpec{}, encoder.Config{Format: "wav"}, &out)
		if err == nil || out.n != 0 {
			t.Errorf("%v, %d segments have their names", err, out.n)
		}
	})
}
