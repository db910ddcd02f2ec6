package capture_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage/crypt"
)

// TestOneFailure: whatever one thing the disk refuses once, wherever in the life
// of a recording, the recording is whole.
func TestOneFailure(t *testing.T) {
	t.Parallel()
	ann := newVoice(t, "a-mic", 400)
	for name, who := range map[string]*customer{"in the clear": nil, "encrypted": new(newCustomer(t))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := oneFailure(t, *ann, who, -1)
			step := max(1, all/places(all))
			for n := int64(0); n < all; n += step {
				if oneFailure(t, *ann, who, n); t.Failed() {
					t.Fatalf("operation %d of %d was refused", n, all)
				}
			}
			t.Logf("every %d. of %d operations was refused", step, all)
		})
	}
}

// places is at how many places of a recording's life something is refused; with
// MIXDOWN_SOAK it is at all.
func places(all int64) int64 {
	switch {
	case os.Getenv("MIXDOWN_SOAK") != "":
		return all
	case raced:
		return 12
	}
	return 30
}

// oneFailure records twelve seconds while the disk refuses its operation number
// refused, and says how many there were.
func oneFailure(t *testing.T, ann voice, who *customer, refused int64) (all int64) {
	synctest.Test(t, func(t *testing.T) {
		var count, armed atomic.Int64
		fault := func(c *capture.Config) {
			c.Encryption.Host = crypt.NewHost(filepath.Join(t.TempDir(), "host.key"))
			c.Fault = func(op, name string, p []byte) (int, error) {
				if armed.Load() == 0 {
					return len(p), nil
				}
				if count.Add(1)-1 == refused {
					t.Logf("refused: %s %s", op, name)
					return 0, syscall.EIO
				}
				return len(p), nil
			}
		}
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s, fault)
		record := []func(*capture.Spec){func(s *capture.Spec) {
			s.Record = []capture.RecordSpec{{What: "mix", Format: "wav", SegmentSeconds: 2}, {What: "streams", Format: "ogg", SegmentSeconds: 3}}
		}}
		if who != nil {
			record = append(record, h.owner(*who))
		}
		c := h.start("c1", record...)
		armed.Store(1)
		ann.speak(s, 12*time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
		all = count.Load()
		var ring *crypt.Ring
		if who != nil {
			ring = who.unlock(t, h, "c1")
		}
		h.verify("c1", ring)
		m := h.recording("c1")
		for _, output := range []string{"mix-wav", "streams-ogg/ann/a-mic"} {
			frames, start := h.hear(m, output)
			if sounds := heard(frames, start, 400); len(sounds) != 1 || sounds[0][1]-sounds[0][0] < 11900 {
				t.Errorf("%s is heard at %v ms", output, sounds)
			}
		}
	})
	return all
}
