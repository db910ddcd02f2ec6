package capture_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestJournalStaysShort: the journal holds no more than what the open segments
// need, whether or not it was looked at since the last was sealed.
func TestJournalStaysShort(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s)
		c := h.start("c1", func(s *capture.Spec) { s.Record[0].SegmentSeconds, s.Record[1].SegmentSeconds = 60, 60 })
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 4*time.Minute) })
		most := 0
		for range 24 {
			time.Sleep(10 * time.Second)
			most = max(most, h.stretches("c1"))
		}
		// A segment of 60 s, 5 s of depth and the checkpoint before it, every 15 s.
		if most < 4 || most > 7 {
			t.Errorf("the journal grew to %d stretches, with segments of four", most)
		}
		if err := c.Pause(capture.PauseRequest{Mode: capture.PauseSkip}, "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := h.stretches("c1"); n > 2 {
			t.Errorf("in a pause that skips the journal has %d stretches", n)
		}
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	})
}

// TestJournalStaysShortInShortLives: nor does it grow from life to life, none of
// which is long enough to know all of it.
func TestJournalStaysShortInShortLives(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s)
		h.start("c1")
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 150*time.Second) })
		var lives []int
		for range 6 {
			time.Sleep(25 * time.Second)
			lives = append(lives, h.stretches("c1"))
			h = open(t, h.kill(), s)
		}
		// What the last segment needs, and one checkpoint more.
		if slices.Max(lives) > 3 {
			t.Errorf("the journal has %d stretches at the end of each life", lives)
		}
		h.stop()
		wg.Wait()
	})
}

// stretches is the number of files of a capture's journal.
func (h *house) stretches(id string) int {
	h.t.Helper()
	files, err := os.ReadDir(filepath.Join(h.data, "captures", id, "journal"))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(files)
}
