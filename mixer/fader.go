package mixer

import (
	"math"

	"mixdown/mixer/pcm"
)

// fader is what a person set for an input.
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
func (m *Mixer) SetGain(id string, db float64) {
	if math.IsNaN(db) {
		db = 0
	}
	m.fade(id, func(f fader) fader { f.db = min(db, MaxGain); return f })
}

// SetMute takes an input out of all mixes, or puts it back at its gain: mute,
// include and exclude while running. It goes on being read and metered. Ramp
// and name are as with SetGain.
func (m *Mixer) SetMute(id string, muted bool) {
	m.fade(id, func(f fader) fader { f.muted = muted; return f })
}

// SetSolo singles an input out: while at least one input that is there has
// solo, only those that have it are heard, in every mix. A muted one stays
// muted. When the last of them leaves, the others are heard again, so that no
// recording goes silent for good. Ramp and name are as with SetGain.
func (m *Mixer) SetSolo(id string, solo bool) {
	m.fade(id, func(f fader) fader { f.solo = solo; return f })
}

func (m *Mixer) fade(id string, set func(fader) fader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := set(m.faders[id])
	if f == (fader{}) {
		delete(m.faders, id)
	} else {
		m.faders[id] = f
	}
	m.aim()
}

// aim lets every input go to where the faders want it by the end of the next
// frame.
func (m *Mixer) aim() {
	soloed := false
	for _, in := range m.inputs {
		soloed = soloed || m.faders[in.id].solo
	}
	for _, in := range m.inputs {
		f := m.faders[in.id]
		in.target = f.gain()
		if soloed && !f.solo {
			in.target = 0
		}
	}
}
