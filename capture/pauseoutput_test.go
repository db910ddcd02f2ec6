package capture_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// TestPauseOutputs: one output is paused, the others hear on; when all that is
// recorded is paused, nothing is written at all.
func TestPauseOutputs(t *testing.T) {
	t.Parallel()
	a := newVoice(t, "a-mic", 400)
	for _, mode := range []capture.PauseMode{capture.PauseSilence, capture.PauseSkip, capture.PauseTone} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			ann := *a
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				h := open(t, t.TempDir(), s)
				s.enter("a-mic", "ann", 1)
				c := h.start("c1", allOutputs)
				var live bytes.Buffer
				var wg sync.WaitGroup
				ctx, leave := context.WithCancel(t.Context())
				wg.Go(func() { _ = c.Listen(ctx, capture.Selection{}, &live) })
				wg.Go(func() { ann.speak(s, 20*time.Second) })
				paused := []string{"mix-wav", "streams-ogg", capture.ListenersOutput}
				time.Sleep(6 * time.Second)
				for _, output := range paused {
					if err := c.Pause(capture.PauseRequest{Scope: capture.Scope{Output: output}, Mode: mode}, "op"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(6 * time.Second)
				if st := c.Status(); st.State != capture.Recording || len(st.Pauses) != 3 {
					t.Errorf("%s with %d pauses", st.State, len(st.Pauses))
				}
				for _, output := range paused {
					if err := c.Resume(capture.Scope{Output: output}, "op", ""); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(8 * time.Second)
				leave()
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				m := h.recording("c1")
				whole, holed := [][2]int64{{0, 20000}}, [][2]int64{{0, 6000}, {12000, 20000}}
				for _, output := range []string{"mix-wav", "mix-ogg", "streams-ogg/ann/a-mic", "streams-wav/ann/a-mic"} {
					frames, start := h.hear(m, output)
					want, files := whole, whole
					if output == "mix-wav" || output == "streams-ogg/ann/a-mic" {
						want = holed
						if mode == capture.PauseSkip {
							files = holed
						}
					}
					near(t, "ann in "+output, heard(frames, start, 400), want, 100)
					near(t, "the files of "+output, covered(m, output), files, 60)
					if beeps := len(heard(frames, start, 2000)); (beeps > 8) != (mode == capture.PauseTone && output == "mix-wav") {
						t.Errorf("%s has %d beeps", output, beeps)
					}
				}
				near(t, "ann, live", heard(decode(t, &live), 0, 400), holed, 150)
				if l := m.Ledger["ann/a-mic"]; l["paused"] != 0 || l["received"] < 19900 {
					t.Errorf("the stream itself was not paused: %v", l)
				}
			})
		})
	}
}

// TestPauseAllRecords: with every record entry paused nothing goes to the disk,
// but the live mix goes on.
func TestPauseAllRecords(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		ann := &secret{voice: a}
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1")
		var live bytes.Buffer
		var wg sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		wg.Go(func() { _ = c.Listen(ctx, capture.Selection{}, &live) })
		wg.Go(func() {
			ann.speak(s, 5*time.Second)
			ann.whisper(s, 5*time.Second)
			ann.speak(s, 5*time.Second)
		})
		time.Sleep(5*time.Second - 10*time.Millisecond)
		for _, r := range c.Status().Record {
			if err := c.Pause(capture.PauseRequest{Scope: capture.Scope{Output: r.ID}}, "op"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4 * time.Second)
		ann.nowhere(t, h.data)
		time.Sleep(time.Second)
		for _, r := range slices.Clone(c.Status().Record) {
			if err := c.Resume(capture.Scope{Output: r.ID}, "op", ""); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5*time.Second + 10*time.Millisecond)
		leave()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		ann.nowhere(t, h.data)
		near(t, "ann, live", heard(decode(t, &live), 0, 400), [][2]int64{{0, 15000}}, 150)
		if l := h.recording("c1").Ledger["ann/a-mic"]; l["paused"] < 4900 {
			t.Errorf("ledger %v", l)
		}
	})
}

// TestLongPause: after a pause so long that sequence numbers are ambiguous,
// everybody is at their time.
func TestLongPause(t *testing.T) {
	t.Parallel()
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1", func(s *capture.Spec) {
			s.Record[0].SegmentSeconds, s.Record[1].SegmentSeconds, s.Record[0].Format = 3600, 3600, "flac"
		})
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 14*time.Minute) })
		time.Sleep(10 * time.Second)
		if err := c.Pause(capture.PauseRequest{Mode: capture.PauseSkip, MaxSeconds: 13 * 60}, "op"); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		want := [][2]int64{{0, 10000}, {790000, 840000}}
		near(t, "the files of the mix", covered(m, "mix-flac"), want, 100)
		near(t, "the files of ann", covered(m, "streams-ogg/ann/a-mic"), want, 100)
		for _, seg := range m.Segments {
			if seg.Output == "mix-flac" && seg.Index == 2 {
				m.Segments = []storage.Segment{seg}
			}
		}
		frames, start := h.listen(m, "mix-flac")
		near(t, "ann after it", heard(frames, start, 400), want[1:], 100)
		if l := m.Ledger["ann/a-mic"]; l["paused"] < 779000 || l["lost"] > 20 {
			t.Errorf("ledger %v", l)
		}
	})
}
