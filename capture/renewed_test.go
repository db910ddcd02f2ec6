package capture_test

import (
	"context"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// TestRenewedPauseStays: a pause that takes the place of another is not ended by
// the other's time, though both wait for the same change to be over. The time is
// real: a virtual one stands still while a lock is waited for.
func TestRenewedPauseStays(t *testing.T) {
	stage := newStage()
	h := open(t, t.TempDir(), stage, func(cfg *capture.Config) {
		cfg.Storages = append(cfg.Storages, "b")
		cfg.Try = func(ctx context.Context, name string, _ capture.Spec) (storage.Probed, error) {
			if name == "b" {
				<-ctx.Done() // a server that does not answer
			}
			return storage.Probed{}, nil
		}
	})
	stage.enter("s1", "u1", 1)
	c := h.start("c")
	time.Sleep(600 * time.Millisecond)
	if err := c.Pause(capture.PauseRequest{MaxSeconds: 1}, "ann"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	patched := make(chan error)
	go func() {
		patched <- c.Patch([]byte(`{"record":[{"what":"mix","format":"wav","segmentSeconds":10},{"what":"mix","format":"ogg","storage":"b"}]}`), "bob")
	}()
	time.Sleep(200 * time.Millisecond)
	if err := c.Pause(capture.PauseRequest{MaxSeconds: 600}, "ann"); err != nil {
		t.Fatal(err)
	}
	<-patched
	time.Sleep(300 * time.Millisecond)
	if n := len(c.Status().Pauses); n != 1 {
		t.Errorf("%d pauses 0.3 s after one was confirmed: %s", n, c.Status().State)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	h.stop()
}
