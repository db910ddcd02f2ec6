package capture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// TestLivesAgree: a capture that is killed again and again renders what it has
// rendered before, and what it says of a second does not change with the next
// kill. MIXDOWN_SOAK=1 tries more.
func TestLivesAgree(t *testing.T) {
	t.Parallel()
	withSeeds(t, 2, 40, livesAgree)
}

func livesAgree(t *testing.T, seed uint64, ann, bob *voice) {
	voices := []*voice{ann, bob}
	rng := rand.New(rand.NewPCG(seed, 9))
	s := newStage()
	h := open(t, t.TempDir(), s)
	for i, v := range voices {
		s.enter(v.id, fmt.Sprint("user", i), uint32(i+1))
	}
	h.start("c1", func(s *capture.Spec) { s.Record[0].SegmentSeconds, s.Record[1].SegmentSeconds = 3, 3 })
	const length = 30 * time.Second
	var wg sync.WaitGroup
	for _, v := range voices {
		r := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() {
			for end := time.Now().Add(length); time.Now().Before(end); {
				v.speak(s, time.Duration(20*r.IntN(200))*time.Millisecond)
				if r.IntN(3) == 0 {
					v.pause(time.Duration(20*r.IntN(150)) * time.Millisecond)
				}
			}
		})
	}
	var images []string
	var killed []time.Duration
	for begin := time.Now(); time.Since(begin) < length; {
		time.Sleep(time.Duration(300+rng.IntN(4000)) * time.Millisecond)
		killed = append(killed, time.Since(begin))
		data := h.kill()
		images = append(images, data)
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(800)) * time.Millisecond)
		h = open(t, copied, s)
	}
	h.stop()
	wg.Wait()
	var before []pcm.Frame
	for i, data := range images {
		h := open(t, data, newStage())
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		frames, start := h.hear(h.recording("c1"), "mix-wav")
		if start > 0 {
			t.Fatalf("it begins at %d", start)
		}
		if i > 0 {
			// What comes in the four seconds after a frame may move it a little.
			until := int((killed[i-1] - 5*time.Second) / pcm.FrameTime)
			for n := range min(until, len(before), len(frames)) {
				if d := differ(&before[n], &frames[n]); d > 0.02 {
					t.Fatalf("frame %d is another by %.3f after kill %d, of %v", n, d, i, killed[:i+1])
				}
			}
		}
		before = frames
		h.stop()
	}
}
