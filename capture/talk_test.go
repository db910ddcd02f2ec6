package capture_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// TestDualAndTalk: a dual recording has some on the left and the others on
// the right; events tell who spoke when.
func TestDualAndTalk(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", func(s *capture.Spec) {
			s.Record = []capture.RecordSpec{{What: "dual", Format: "wav", Left: []string{"ann"}}}
		})
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 10*time.Second) })
		wg.Go(func() {
			b.pause(4 * time.Second)
			b.speak(s, 3*time.Second)
		})
		time.Sleep(10 * time.Second)
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		both, start := h.listen(h.recording("c1"), "dual-wav")
		for side, hz := range map[int]float64{0: 400, 1: 1000} {
			one := ofSide(both, side)
			want := map[float64][][2]int64{400: {{0, 10000}}, 1000: {{4000, 7000}}}
			near(t, "the tone of its side", heard(one, start, hz), want[hz], 20)
			near(t, "the tone of the other side", heard(one, start, 1400-hz), nil, 0)
		}
		raw, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", "c1", "events.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		var talk []int64
		figures := 0
		for line := range strings.Lines(string(raw)) {
			var e struct {
				Sample  int64              `json:"sample"`
				Type    string             `json:"type"`
				Who     json.RawMessage    `json:"who"`
				Figures map[string]float64 `json:"figures"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(e.Type, "talk.") && strings.Contains(string(e.Who), "b-mic") {
				talk = append(talk, e.Sample/48)
			}
			if e.Type == "stream.quality" && string(e.Who) == `"b-mic"` && e.Figures["talking"] == 1 {
				figures++
			}
		}
		if len(talk) != 2 || talk[0] < 3980 || talk[0] > 4060 || talk[1] < 6980 || talk[1] > 7400 {
			t.Errorf("bob's talk begins and ends at %v ms", talk)
		}
		if figures < 2 || figures > 4 {
			t.Errorf("in three seconds of bob's talk %d rows say so", figures)
		}
	})
}

// TestDualTone: the tone of a pause is heard on both sides of a dual recording.
func TestDualTone(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", func(s *capture.Spec) {
			s.Record = []capture.RecordSpec{{What: "dual", Format: "wav", Left: []string{"ann"}}}
			s.Tone = capture.ToneSpec{Hz: 2000, LevelDB: -20, EveryMS: 1000, LengthMS: 200}
		})
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 15*time.Second) })
		wg.Go(func() { b.speak(s, 15*time.Second) })
		time.Sleep(4 * time.Second)
		if err := c.Pause(capture.PauseRequest{Mode: capture.PauseTone}, "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Second)
		if err := c.Resume(capture.Scope{}, "op", ""); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		both, start := h.listen(h.recording("c1"), "dual-wav")
		for side := range 2 {
			if beeps := len(heard(ofSide(both, side), start, 2000)); beeps < 7 || beeps > 9 {
				t.Errorf("side %d has %d beeps in 8 s", side, beeps)
			}
		}
	})
}

// ofSide is one side of a mix on both.
func ofSide(both []pcm.Frame, side int) []pcm.Frame {
	one := make([]pcm.Frame, len(both))
	for i := range both {
		for n := range both[i] {
			one[i][n] = [2]float32{both[i][n][side], both[i][n][side]}
		}
	}
	return one
}
