package capture_test

import (
	"math"
	"testing"
	"unsafe"

	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
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
	// Hours of it: copies would take longer than the recording of them.
	frames = make([]pcm.Frame, total/pcm.FrameSize+1)
	samples := unsafe.Slice(&frames[0][0], total)
	start = segments[0].StartSample
	at := start
	for _, s := range segments {
		if s.StartSample != at {
			h.t.Errorf("%s starts at sample %d, want %d", s.Path, s.StartSample, at)
		}
		n, err := encodertest.ReadInto(samples, h.clear(m, s.Path))
		if err != nil {
			h.t.Fatal(err)
		}
		at, samples = at+int64(n), samples[n:]
	}
	frames = frames[:(at-start)/pcm.FrameSize]
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
		if level(&frames[i], hz) < -30 {
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

// level is the level of a tone in one frame, in dBFS. All tones of the tests
// have whole periods in a frame, so they do not see each other.
//
//go:norace
func level(f *pcm.Frame, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/pcm.Rate)
	var a, b float64
	for _, s := range f {
		a, b = float64(s[0])+c*a-b, a
	}
	return 20 * math.Log10(math.Sqrt(max(0, a*a+b*b-c*a*b))/(pcm.FrameSize/2)+1e-9)
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
