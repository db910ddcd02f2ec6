package capture_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestStopAndShutdown: a stop counts, though the daemon ends at that moment.
func TestStopAndShutdown(t *testing.T) {
	v := newVoice(t, "s1", 440)
	for range 8 {
		synctest.Test(t, func(t *testing.T) {
			stage := newStage()
			var c atomic.Pointer[capture.Capture]
			var armed atomic.Bool
			shut := make(chan struct{})
			h := open(t, t.TempDir(), stage, func(cfg *capture.Config) {
				cfg.Freeze(func() func(string) bool {
					return func(string) bool { // called while a batch is rendered
						if armed.CompareAndSwap(true, false) {
							gone, cancel := context.WithCancel(context.Background())
							cancel()
							_ = c.Load().Stop(gone)
							close(shut)
							time.Sleep(time.Millisecond)
						}
						return false
					}
				})
			})
			stage.enter("s1", "u1", 1)
			c.Store(h.start("c"))
			go func() {
				<-shut
				h.stop()
			}()
			go v.speak(stage, 12*time.Second)
			time.Sleep(7 * time.Second)
			armed.Store(true)
			time.Sleep(30 * time.Second)
			if st := c.Load().Status(); st.State != capture.Complete {
				t.Errorf("the stop was lost: %s", st.State)
			}
		})
	}
}

// TestStopWhileTheDaemonEnds: a stop that comes when the capture stands still
// already is noted, and the next start seals it.
func TestStopWhileTheDaemonEnds(t *testing.T) {
	v := newVoice(t, "s1", 440)
	synctest.Test(t, func(t *testing.T) {
		stage, data := newStage(), t.TempDir()
		h := open(t, data, stage)
		stage.enter("s1", "u1", 1)
		c := h.start("c")
		v.speak(stage, 5*time.Second)
		h.stop()
		if err := c.Stop(context.Background()); !errors.Is(err, capture.ErrInterrupted) {
			t.Errorf("stop: %v", err)
		}
		h = open(t, data, stage)
		again, err := h.captures.Get("c")
		if err != nil {
			t.Fatal(err)
		}
		v.speak(stage, 10*time.Second)
		if st := again.Status(); st.State != capture.Complete || st.Reason != capture.ErrStopped.Error() {
			t.Errorf("after the restart: %s, %s", st.State, st.Reason)
		}
		h.recording("c")
		h.stop()
	})
}
