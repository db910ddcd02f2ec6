package mixer

import (
	"math"

	"mixdown/mixer/pcm"
)

// input is one speaker.
type input struct {
	id     string
	reader pcm.Reader
	ended  bool

	gain, target float32   // at the start and at the end of this frame
	frame        pcm.Frame // as it was read, in the order of the inputs
	silent       bool      // frame is all zero
	mono         bool      // left and right are the same
	meter        meter
}

// read fills the frame; after an error it is silent.
func (in *input) read() (err error) {
	defer func() {
		if err != nil {
			in.frame = pcm.Frame{}
		}
	}()
	defer contain(&err)
	return in.reader.ReadFrame(&in.frame)
}

// heard says whether the input adds anything to a mix in this frame.
func (in *input) heard() bool {
	return !in.silent && (in.gain != 0 || in.target != 0)
}

// loudest is the largest sample that an input may bring along: 18 dB above
// full scale. One broken decoder must not silence everybody, which a NaN or a
// huge number in the sum would do.
const loudest = 8

// measure meters the frame as it came, before gain and mute, and says whether
// it had to be repaired.
func (in *input) measure() (repaired bool) {
	in.silent = in.frame.Silent()
	if in.silent {
		in.meter.add(0, 0)
		return false
	}
	peak, square := in.level()
	if !(peak <= loudest) {
		for i := range in.frame {
			in.frame[i][0] = repair(in.frame[i][0])
			in.frame[i][1] = repair(in.frame[i][1])
		}
		peak, square = in.level()
		repaired = true
	}
	in.meter.add(peak, square)
	return repaired
}

// level is the level of the frame, and finds out whether it is mono.
func (in *input) level() (peak float32, meanSquare float64) {
	var differ, top uint32
	// Four sums, because one would wait for itself at every sample.
	var s0, s1, s2, s3 float32
	f := &in.frame
	for i := 0; i < pcm.FrameSize; i += 4 {
		a, b, c, d := f[i][0], f[i+1][0], f[i+2][0], f[i+3][0]
		j, k, l, m := math.Float32bits(a), math.Float32bits(b), math.Float32bits(c), math.Float32bits(d)
		differ |= j ^ math.Float32bits(f[i][1]) | k ^ math.Float32bits(f[i+1][1])
		differ |= l ^ math.Float32bits(f[i+2][1]) | m ^ math.Float32bits(f[i+3][1])
		// Without their signs, the bits order like the magnitudes do, NaN last.
		top = max(top, max(max(j&^(1<<31), k&^(1<<31)), max(l&^(1<<31), m&^(1<<31))))
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
	}
	in.mono = differ == 0
	if !in.mono {
		return in.frame.Level()
	}
	return math.Float32frombits(top), (float64(s0) + float64(s1) + float64(s2) + float64(s3)) / pcm.FrameSize
}

func repair(x float32) float32 {
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		return 0
	}
	return min(max(x, -loudest), loudest)
}

// meter keeps the last 400 ms of levels.
type meter struct {
	peak   [20]float32
	square [20]float64
	next   int
	filled int
}

func (t *meter) add(peak float32, square float64) {
	t.peak[t.next], t.square[t.next] = peak, square
	t.next = (t.next + 1) % len(t.peak)
	t.filled = min(t.filled+1, len(t.peak))
}

// Level is how loud an input came in during the last 400 ms, before gain and
// mute: the largest sample and the root mean square over both channels, in
// dBFS, at least pcm.MinDB. A sine of full scale has 0 and -3.01.
type Level struct {
	ID        string
	Peak, RMS float64
}

// Levels appends the level of every input to levels, sorted by name. It
// allocates only if levels is too small.
func (m *Mixer) Levels(levels []Level) []Level {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, in := range m.inputs {
		var peak float32
		var square float64
		t := &in.meter
		for i := range t.filled {
			peak = max(peak, t.peak[i])
			square += t.square[i]
		}
		rms := math.Sqrt(square / float64(max(t.filled, 1)))
		levels = append(levels, Level{ID: in.id, Peak: pcm.DB(float64(peak)), RMS: pcm.DB(rms)})
	}
	return levels
}
