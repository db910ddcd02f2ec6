package capture_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// TestNoStaleTail: who listens hears nothing that was said before: what still
// waited to be heard when the last listener went is over.
func TestNoStaleTail(t *testing.T) {
	v := newVoice(t, "s1", 440)
	synctest.Test(t, func(t *testing.T) {
		stage := newStage()
		h := open(t, t.TempDir(), stage)
		c := h.start("c")
		stage.enter("s1", "u1", 1)
		listen := func(d time.Duration) (peaks []float32) {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			_, _ = c.ListenPCM(ctx, capture.Selection{}, func(capture.PCMStart) error { return nil },
				func(_ int64, f *pcm.Frame) error {
					peaks = append(peaks, f.Peak())
					return nil
				}) // it ends with ctx
			return peaks
		}
		go func() { // four packets at a time, as over a bad WiFi
			for range 250 / 4 {
				time.Sleep(4 * pcm.FrameTime)
				for range 4 {
					stage.send(v.id, v.seq, v.ts, v.packets[int(v.seq)%len(v.packets)])
					v.seq++
					v.ts += pcm.FrameSize
				}
			}
		}()
		time.Sleep(time.Second)
		go func() {
			time.Sleep(3*time.Second - 5*time.Millisecond)
			stage.leave("s1")
		}()
		if p := listen(3 * time.Second); slices.Max(p) < 0.1 {
			t.Error("nothing is heard")
		}
		time.Sleep(3 * time.Minute)
		if p := listen(time.Second); slices.Max(p) > 0.001 {
			t.Errorf("three minutes later: %.3f", p[:10])
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
