package capture_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"

	"mixdown/mixer/pcm"
	"mixdown/overview"
	"mixdown/storage"
)

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
	if !named || !mixed {
		return
	}
	raw, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", m.ID, storage.OverviewName))
	if err != nil {
		h.t.Fatal(err)
	}
	o, err := overview.Decode(raw)
	if err != nil {
		h.t.Fatal(err)
	}
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
		if shown < slices.Min(around)*0.7-0.02 || shown > slices.Max(around)*1.4+0.02 {
			if wrong++; wrong == 1 {
				h.t.Errorf("%s: %s is shown as %.3f at %d ms, and heard as %.3f", m.ID, output, shown, step*overview.StepMS, peaks[step])
			}
		}
	}
	if wrong > 1 {
		h.t.Errorf("%s: %s is shown wrong at %d of %d steps", m.ID, output, wrong, len(peaks))
	}
}
