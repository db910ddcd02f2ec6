package mixer

import (
	"cmp"
	"math"
	"slices"

	"mixdown/mixer/pcm"
)

const (
	takeOver = 2.0 // times the power of the dominant speaker, 3 dB,
	takeTime = 15  // for so many frames, 300 ms, makes another one dominant
)

// Speaker is one who is talking and can be heard in the mix.
type Speaker struct {
	ID       string
	Level    float64 // root mean square over half a second, before gain, in dBFS, at least pcm.MinDB
	Since    int64   // frame in which the talk spurt began
	Dominant bool
}

// Speakers appends those who talk, as they come in, and are neither muted nor
// shut out by a solo: the dominant speaker first, then by loudness. Another
// becomes dominant when the dominant one falls silent, or by being 3 dB louder
// for 300 ms; so it does not jump between two who talk. It allocates only if
// speakers is too small.
func (m *Mixer) Speakers(speakers []Speaker) []Speaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := len(speakers)
	for _, in := range m.inputs {
		if !in.talks() {
			continue
		}
		speakers = append(speakers, Speaker{
			ID: in.id, Level: pcm.DB(math.Sqrt(in.talk.Power)), Since: in.talk.Start, Dominant: in == m.dominant,
		})
	}
	slices.SortStableFunc(speakers[from:], func(a, b Speaker) int {
		if a.Dominant != b.Dominant {
			if a.Dominant {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Level, a.Level)
	})
	return speakers
}

// talks says whether the input is a speaker.
func (in *input) talks() bool { return in.talk.Talking && in.target != 0 }

// elect finds the dominant speaker after a frame.
func (m *Mixer) elect() {
	var best, present *input
	for _, in := range m.inputs {
		if !in.talks() {
			continue
		}
		if best == nil || in.talk.Power > best.talk.Power {
			best = in
		}
		if in == m.dominant {
			present = in
		}
	}
	switch {
	case best == nil:
		m.rival, m.lead = nil, 0
	case present == nil:
		m.dominant, m.rival, m.lead = best, nil, 0
	case best == present || best.talk.Power < takeOver*present.talk.Power:
		m.rival, m.lead = nil, 0
	case best != m.rival:
		m.rival, m.lead = best, 1
	default:
		if m.lead++; m.lead >= takeTime {
			m.dominant, m.rival, m.lead = best, nil, 0
		}
	}
}

// forget lets no pointer to an input stay that has left, and ends its talk
// spurt.
func (m *Mixer) forget(in *input) {
	if in.talk.Talking {
		in.talk.Talking = false
		m.note(in, true)
	}
	if m.dominant == in {
		m.dominant = nil
	}
	if m.rival == in {
		m.rival, m.lead = nil, 0
	}
}

// Spurt is a talk spurt of one input, as it came in, muted or not. It is told
// twice: when it begins, and when it has ended.
type Spurt struct {
	ID    string
	Start int64   // its first frame
	End   int64   // the frame behind its last with a voice; -1 when it begins
	Level float64 // root mean square of its frames with a voice so far, in dBFS, at least pcm.MinDB
}

// spurtsPerInput is how many beginnings and ends there is room for, for each
// input: more than one can have in a second.
const spurtsPerInput = 8

// Spurts appends the beginnings and ends since the last call, in the order in
// which they were found: a beginning two frames after its Start, an end 300 ms
// after its End. It is meant to be called once a second; when nobody calls,
// the oldest are lost. It allocates only if spurts is too small.
func (m *Mixer) Spurts(spurts []Spurt) []Spurt {
	m.mu.Lock()
	defer m.mu.Unlock()
	spurts = append(spurts, m.spurts...)
	m.spurts = m.spurts[:0]
	return spurts
}

// note keeps the beginning or the end of a talk spurt until it is asked for.
func (m *Mixer) note(in *input, ended bool) {
	t := &in.talk
	s := Spurt{ID: in.id, Start: t.Start, End: -1, Level: pcm.DB(math.Sqrt(t.Energy / float64(max(t.Voiced, 1))))}
	if ended {
		s.End = t.Last + 1
	}
	if len(m.spurts) == cap(m.spurts) && len(m.spurts) > 0 {
		half := len(m.spurts) / 2
		m.spurts = append(m.spurts[:0], m.spurts[half:]...)
	}
	m.spurts = append(m.spurts, s)
}
