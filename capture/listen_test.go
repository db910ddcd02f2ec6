package capture_test

import (
	"testing"

	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// listen reads one output whole: its frames, and the sample at which it
// starts. It looks as it sounds.
func (h *house) listen(m *storage.Manifest, output string) (frames []pcm.Frame, start int64) {
	h.t.Helper()
	var segments []storage.Segment
	total := int64(0)
	for _, s := range m.Segments {
		if s.Output == output {
			segments = append(segments, s)
			total += s.Samples
		}
	}
	if len(segments) == 0 {
		return nil, -1
	}
	// Minutes of it: what grows is copied again and again.
	frames = make([]pcm.Frame, 0, total/pcm.FrameSize+1)
	var f pcm.Frame
	start = segments[0].StartSample
	at := start
	for _, s := range segments {
		if s.StartSample != at {
			h.t.Errorf("%s starts at sample %d, want %d", s.Path, s.StartSample, at)
		}
		part, err := encodertest.ReadFile(h.clear(m, s.Path))
		if err != nil {
			h.t.Fatal(err)
		}
		for len(part) > 0 {
			n := copy(f[(at-start)%pcm.FrameSize:], part)
			part, at = part[n:], at+int64(n)
			if (at-start)%pcm.FrameSize == 0 {
				frames = append(frames, f)
			}
		}
		if at != s.StartSample+s.Samples {
			h.t.Errorf("%s ends at sample %d, and is said to end at %d", s.Path, at, s.StartSample+s.Samples)
		}
	}
	if len(frames) > 0 {
		h.looks(m, output, frames, start)
	}
	return frames, start
}

// heard lists the stretches in which a tone sounds, in milliseconds since the
// start of the capture. Holes below 60 ms do not end a stretch.
func heard(frames []pcm.Frame, start int64, hz float64) (stretches [][2]int64) {
	const ms = pcm.Rate / 1000
	for i := range frames {
		if pcmtest.FrameLevel(&frames[i], hz) < -30 {
			continue
		}
		from := (start + int64(i)*pcm.FrameSize) / ms
		if n := len(stretches); n > 0 && from-stretches[n-1][1] < 60 {
			stretches[n-1][1] = from + 20
			continue
		}
		stretches = append(stretches, [2]int64{from, from + 20})
	}
	return stretches
}

// near compares stretches to the given tolerance in milliseconds.
func near(t testing.TB, what string, got, want [][2]int64, tolerance int64) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range want {
		for j := range 2 {
			ok = ok && i < len(got) && max(got[i][j]-want[i][j], want[i][j]-got[i][j]) <= tolerance
		}
	}
	if !ok {
		t.Errorf("%s is heard at %v ms, want %v", what, got, want)
	}
}
