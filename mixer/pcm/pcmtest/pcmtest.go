// Package pcmtest measures audio in tests: tones go in as [pcm.Reader]s, and
// detectors say which tone is in what came out, how loud, from which
// millisecond on, and whether a single sample is missing.
//
// Every participant of a test speaks with its own [Tone]; the usual ones are
// 397, 997 and 1597 Hz at an amplitude of 0.25, which stay apart from each
// other and their harmonics. All detectors add left and right and halve them,
// unless they say otherwise, and allocate freely. It also holds the contract
// tests of the two interfaces of package pcm.
package pcmtest

import (
	"io"
	"math"
	"math/rand/v2"

	"mixdown/mixer/pcm"
)

// Tone is an endless sine on both channels that starts at phase zero. The
// amplitude is that of its crest: 1 is 0 dBFS.
func Tone(hz, amplitude float64) pcm.Reader { return &tone{hz: hz, amplitude: amplitude} }

type tone struct {
	hz, amplitude float64
	at            int64
}

//go:norace
func (t *tone) ReadFrame(f *pcm.Frame) error {
	for i := range f {
		// The whole periods are cut off first, so that hours later the phase is as exact.
		_, turns := math.Modf(t.hz * float64(t.at) / pcm.Rate)
		s := float32(t.amplitude * math.Sin(2*math.Pi*turns))
		f[i] = [2]float32{s, s}
		t.at++
	}
	return nil
}

// Noise is endless white noise between -amplitude and amplitude, other on the
// left than on the right, the same for the same seed.
func Noise(seed uint64, amplitude float64) pcm.Reader {
	return &noise{rand.New(rand.NewPCG(seed, 1)), amplitude}
}

type noise struct {
	rand      *rand.Rand
	amplitude float64
}

//go:norace
func (n *noise) ReadFrame(f *pcm.Frame) error {
	for i := range f {
		f[i][0] = float32(n.amplitude * (2*n.rand.Float64() - 1))
		f[i][1] = float32(n.amplitude * (2*n.rand.Float64() - 1))
	}
	return nil
}

// Play reads frames one after the other, then io.EOF.
func Play(frames []pcm.Frame) pcm.Reader { return &player{frames} }

type player struct{ frames []pcm.Frame }

func (p *player) ReadFrame(f *pcm.Frame) error {
	if len(p.frames) == 0 {
		*f = pcm.Frame{}
		return io.EOF
	}
	*f, p.frames = p.frames[0], p.frames[1:]
	return nil
}

// Collect reads up to n frames of r, fewer if it ends.
func Collect(r pcm.Reader, n int) []pcm.Frame {
	frames := make([]pcm.Frame, 0, min(n, 1<<14))
	for len(frames) < n {
		var f pcm.Frame
		if r.ReadFrame(&f) != nil {
			break
		}
		frames = append(frames, f)
	}
	return frames
}

// Sink is a [pcm.Writer] that keeps what it gets.
type Sink struct{ Frames []pcm.Frame }

// WriteFrame appends a copy of f.
func (s *Sink) WriteFrame(f *pcm.Frame) error {
	s.Frames = append(s.Frames, *f)
	return nil
}

// mono is the frames in one row, left and right halved and added.
//
//go:norace
func mono(frames []pcm.Frame) []float64 {
	row := make([]float64, 0, len(frames)*pcm.FrameSize)
	for i := range frames {
		for _, s := range frames[i] {
			row = append(row, (float64(s[0])+float64(s[1]))/2)
		}
	}
	return row
}

// db is an amplitude in decibels, at least -200: detectors look further down
// than a meter does.
func db(amplitude float64) float64 {
	return 20 * math.Log10(max(amplitude, 1e-10))
}
