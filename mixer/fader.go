package mixer

import (
	"math"
	"time"

	"mixdown/mixer/pcm"
)

// fader is what somebody set for an input.
type fader struct {
	db    float64
	muted bool
	solo  bool
}

func (f fader) gain() float32 {
	if f.muted || f.db <= pcm.MinDB {
		return 0
	}
	return float32(math.Pow(10, f.db/20))
}

// MaxGain is the most that [Mixer.SetGain] amplifies, in dB.
const MaxGain = 24

// SetGain sets how loud an input is in all mixes, in dB; 0 leaves it as it is,
// pcm.MinDB or less silences it. The change takes one frame, as a ramp. It is
// kept by name, so it may come before the input does.
func (m *Mixer) SetGain(id string, db float64) { m.Fade(id, db, 0) }

// Fade is SetGain over the time that over says, in equal steps of dB; from or
// to silence in equal steps of amplitude. It takes one frame at least. Another
// change of the input before the end goes on from where it is.
func (m *Mixer) Fade(id string, db float64, over time.Duration) {
	if math.IsNaN(db) {
		db = 0
	}
	m.fade(id, int(over/pcm.FrameTime), func(f fader) fader { f.db = min(db, MaxGain); return f })
}

// SetMute takes an input out of all mixes, or puts it back at its gain: mute,
// include and exclude while running. It goes on being read and metered. Ramp
// and name are as with SetGain.
func (m *Mixer) SetMute(id string, muted bool) {
	m.fade(id, 1, func(f fader) fader { f.muted = muted; return f })
}

// SetSolo singles an input out: while at least one input that is there has
// solo, only those that have it are heard, in every mix. A muted one stays
// muted. When the last of them leaves, the others are heard again, so that no
// recording goes silent for good. Ramp and name are as with SetGain.
func (m *Mixer) SetSolo(id string, solo bool) {
	m.fade(id, 1, func(f fader) fader { f.solo = solo; return f })
}

func (m *Mixer) fade(id string, frames int, set func(fader) fader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := set(m.faders[id])
	if f == (fader{}) {
		delete(m.faders, id)
	} else {
		m.faders[id] = f
	}
	m.aim(id, frames)
}

// aim lets every input go to where the faders want it: the one named id in so
// many frames, others by the end of the next.
func (m *Mixer) aim(id string, frames int) {
	soloed := false
	for _, in := range m.inputs {
		soloed = soloed || m.faders[in.id].solo
	}
	for _, in := range m.inputs {
		f := m.faders[in.id]
		goal := f.gain()
		if soloed && !f.solo {
			goal = 0
		}
		if goal != in.way.Goal {
			in.way.Goal, in.way.Frames = goal, 1
			if in.id == id {
				in.way.Frames = max(frames, 1)
			}
		}
		in.steer()
	}
}

// course is how the gain of an input moves.
type course struct {
	Gain   float32 // at the start of the next frame
	Goal   float32
	Frames int // until it is reached; 0 when it is
}

// next is the gain at the end of the next frame.
func (c *course) next() float32 {
	switch {
	case c.Frames <= 1:
		return c.Goal
	case c.Gain > 0 && c.Goal > 0:
		return c.Gain * float32(math.Pow(float64(c.Goal/c.Gain), 1/float64(c.Frames)))
	}
	return c.Gain + (c.Goal-c.Gain)/float32(c.Frames)
}

// steer aims the next frame.
func (in *input) steer() { in.gain, in.target = in.way.Gain, in.way.next() }

// step takes the input to the end of a frame.
func (in *input) step() {
	in.way.Gain, in.way.Frames = in.target, max(in.way.Frames-1, 0)
	in.steer()
}
