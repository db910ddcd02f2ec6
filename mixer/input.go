package mixer

import (
	"math"

	"mixdown/mixer/pcm"
)

// input is one speaker.
type input struct {
	id     string
	reader pcm.Reader
	broken error        // why it could not be prepared
	said   func() uint8 // what the sender says of the level, if the reader knows
	ended  bool
	played bool // frame holds what it said last

	way          course
	gain, target float32   // at the start and at the end of this frame
	frame        pcm.Frame // as it was read, in the order of the inputs
	silent       bool      // frame is all zero
	mono         bool      // left and right are the same
	meter        meter
	talk         talk
	level        *leveller // nil if the mixer does not level
}

// connect gives the input its reader.
func (in *input) connect(r pcm.Reader) {
	in.reader, in.said, in.played, in.broken = r, nil, false, nil
	if l, ok := r.(AudioLeveler); ok {
		in.said = l.AudioLevel
	}
}

// read fills the frame; after an error it is silent.
func (in *input) read() (err error) {
	defer func() {
		if err != nil {
			in.frame = pcm.Frame{}
		}
	}()
	if in.broken != nil {
		return in.broken
	}
	defer contain(&err)
	in.played = true
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
	peak, square := in.weigh()
	if !(peak <= loudest) {
		for i := range in.frame {
			in.frame[i][0] = repair(in.frame[i][0])
			in.frame[i][1] = repair(in.frame[i][1])
		}
		peak, square = in.weigh()
		repaired = true
	}
	in.meter.add(peak, square)
	return repaired
}

// weigh is the level of the frame, and finds out whether it is mono or silent.
func (in *input) weigh() (peak float32, meanSquare float64) {
	var l look
	survey(&in.frame, &l)
	in.mono = l.differ == 0
	if !in.mono {
		peak, meanSquare = in.frame.Level()
		in.silent = peak == 0
		return peak, meanSquare
	}
	peak = math.Float32frombits(l.top)
	in.silent = peak == 0
	for _, s := range l.square {
		meanSquare += float64(s)
	}
	if math.IsNaN(meanSquare) {
		return float32(math.NaN()), meanSquare
	}
	return peak, meanSquare / pcm.FrameSize
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

// newest is the mean square of the last frame.
func (t *meter) newest() float64 {
	return t.square[(t.next+len(t.square)-1)%len(t.square)]
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
