package capture_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
	"mixdown/overview"
	"mixdown/storage"
)

// TestOverviewWithoutMix: streams that nobody decodes look as loud as their
// packets say that they are, and what is lost is where it was lost.
func TestOverviewWithoutMix(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s)
		c := h.start("c1", func(s *capture.Spec) { s.Record = []capture.RecordSpec{{What: "streams"}} })
		a.speak(s, 10*time.Second)
		a.lose(2 * time.Second)
		a.speak(s, 8*time.Second)
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		h.listen(m, "streams-ogg/ann/a-mic")
		lost := h.overview(m).Lanes[0].Lost
		if len(lost) == 0 || lost[0][0] < 9900 || lost[0][0] > 10_100 {
			t.Fatalf("lost: %v", lost)
		}
		missing := int64(0)
		for _, l := range lost {
			missing += l[2]
		}
		if last := lost[len(lost)-1]; missing < 1900 || missing > 2100 || last[1] < 11_900 || last[1] > 12_100 {
			t.Errorf("lost: %v", lost)
		}
	})
}

// lose lets the voice speak to nobody: its packets get lost.
func (v *voice) lose(d time.Duration) {
	for range d / pcm.FrameTime {
		time.Sleep(pcm.FrameTime)
		v.seq++
		v.ts += pcm.FrameSize
	}
}

// looks checks that a sealed recording's overview shows what is heard of an
// output: each peak is that of the samples, a step to both sides left open for
// packets that lie between two. Streams that no mix decodes say themselves how loud
// they are; an encrypted recording has no overview.
func (h *house) looks(m *storage.Manifest, output string, frames []pcm.Frame, start int64) {
	h.t.Helper()
	named := slices.ContainsFunc(m.Files, func(d storage.Document) bool { return d.Path == storage.OverviewName })
	if named != (m.Sealed != nil && m.Encryption == nil) {
		h.t.Errorf("recording %s, sealed: %v, encrypted: %v, has an overview: %v", m.ID, m.Sealed != nil, m.Encryption != nil, named)
	}
	mixed := slices.ContainsFunc(m.Outputs, func(o storage.Output) bool { return o.What != "streams" || o.Format != "ogg" })
	if !named {
		return
	}
	o := h.overview(m)
	i := slices.IndexFunc(o.Waves, func(w overview.Wave) bool { return w.Output == output })
	if i < 0 {
		h.t.Fatalf("the overview has no wave of %s", output)
	}
	peaks := make([]float64, (start+int64(len(frames))*pcm.FrameSize)/overview.Step+1)
	for n := range frames {
		for _, v := range frames[n] {
			step := (start + int64(n)*pcm.FrameSize) / overview.Step
			peaks[step] = max(peaks[step], math.Abs(float64(v[0])), math.Abs(float64(v[1])))
		}
	}
	wrong := 0
	for step := start/overview.Step + 2; step < int64(len(peaks))-2; step++ {
		shown := 0.0
		if step < int64(len(o.Waves[i].Peaks)) {
			shown = overview.Amplitude(o.Waves[i].Peaks[step])
		}
		around := peaks[step-1 : step+2]
		if !mixed { // a level of 20
			if slices.Min(around) > 0.1 && math.Abs(shown-0.1) > 0.01 {
				h.t.Errorf("%s: %s is shown as %.3f at %d ms, and said to be 0.1", m.ID, output, shown, step*overview.StepMS)
			}
			continue
		}
		if shown < slices.Min(around)*0.7-0.02 || shown > slices.Max(around)*1.4+0.02 {
			if wrong++; wrong == 1+h.spare {
				h.t.Errorf("%s: %s is shown as %.3f at %d ms, and heard as %.3f", m.ID, output, shown, step*overview.StepMS, peaks[step])
			}
		}
	}
	if wrong > 1 {
		h.t.Errorf("%s: %s is shown wrong at %d of %d steps", m.ID, output, wrong, len(peaks))
	}
}

// overview reads what was sealed with a recording.
func (h *house) overview(m *storage.Manifest) *overview.Overview {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", m.ID, storage.OverviewName))
	if err != nil {
		h.t.Fatal(err)
	}
	o, err := overview.Decode(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}
