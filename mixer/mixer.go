// Package mixer adds speakers together: frames are pulled from inputs, summed,
// limited and pushed to outputs, one frame of 20 ms at a time.
//
//	playout.Live, playout.Deep ─► Mixer ─► pcm.Queue ─► encoder, publication, tap
//
// Package capture owns the mixers: one that [Mixer.Run] drives by the clock
// for those who listen now, and one that calls [Mixer.Mix] itself, some
// seconds later, for the recording. A stream's own file, a mix-minus, a tap
// are outputs of the same mixer, told apart by [Except] and [Only].
//
// It promises: every input is read exactly once for each frame, however many
// outputs there are. The same inputs give the same samples, whatever the order
// in which they were added. One speaker below the limiter's threshold passes
// bit by bit; fifty at full scale, in phase, stay at or below -1 dBTP. An
// input or output that breaks, even by a panic, is taken out and reported,
// and the others do not notice. Mix allocates nothing and logs nothing.
//
// It does not resample, conceal losses, or know about rooms and files.
package mixer

import (
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mixdown/mixer/pcm"
)

// Config is how a [Mixer] works; the zero value is the live mix.
type Config struct {
	// Aligned makes sample n of every output the sum of sample n of the
	// inputs, which a recording needs. The frame that a Mix reads is then
	// written by the next Mix, the last one by Drain. Otherwise outputs are
	// [Latency] samples late and nothing else.
	Aligned bool
	// InputFailed is told, if not nil, about an input that was removed because
	// it panicked or returned another error than io.EOF. It may call the Mixer.
	InputFailed func(id string, err error)
}

// Mixer sums inputs into outputs. Its methods may be called by several
// goroutines at once, but not from inside the ReadFrame of an input or the
// WriteFrame of an output.
type Mixer struct {
	config Config

	mu     sync.Mutex
	inputs []*input // sorted by id, which fixes the order of summation
	faders map[string]fader
	buses  []*bus
	full   sum // all inputs
	scrap  []failure

	stats counters
}

// failure is a report that waits until the lock is free.
type failure struct {
	report func(error)
	err    error
}

// New makes a mixer without inputs and outputs.
func New(c Config) *Mixer {
	return &Mixer{config: c, faders: make(map[string]fader)}
}

// AddInput lets r be heard from the next frame on, under a name of the
// caller's choice. An input of the same name is replaced. The input leaves by
// itself when r returns io.EOF or another error.
func (m *Mixer) AddInput(id string, r pcm.Reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.find(id)
	if found {
		m.inputs[i].reader = r
		return
	}
	gain := m.faders[id].gain()
	m.inputs = slices.Insert(m.inputs, i, &input{id: id, reader: r, gain: gain, target: gain})
	m.regroup()
}

// RemoveInput takes an input out; its fader stays where it is. Without such an
// input it does nothing.
func (m *Mixer) RemoveInput(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, found := m.find(id); found {
		m.inputs = slices.Delete(m.inputs, i, i+1)
		m.regroup()
	}
}

// Inputs is the number of inputs that are there now.
func (m *Mixer) Inputs() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.inputs)
}

func (m *Mixer) find(id string) (int, bool) {
	return slices.BinarySearchFunc(m.inputs, id, func(in *input, id string) int { return strings.Compare(in.id, id) })
}

// Mix reads one frame of every input and writes one frame to every output. It
// knows no clock: whoever calls it is the clock.
func (m *Mixer) Mix() {
	m.mu.Lock()
	m.read()
	for _, b := range m.buses {
		m.write(b)
	}
	m.sweep()
	m.stats.frames.Add(1)
	failures := m.scrap
	m.scrap = nil
	m.mu.Unlock()
	report(failures)
}

// Drain writes the frame that an Aligned mixer holds back, to every output
// that has one coming. Mixing can go on afterwards, without a seam in time.
// A mixer that is not Aligned has nothing to drain.
func (m *Mixer) Drain() {
	if !m.config.Aligned {
		return
	}
	m.mu.Lock()
	for _, b := range m.buses {
		tail := b.tail()
		for _, o := range b.outputs {
			if o.pending {
				o.pending = false
				m.push(o, &tail)
			}
		}
		b.limiter = limiter{}
	}
	m.sweep()
	failures := m.scrap
	m.scrap = nil
	m.mu.Unlock()
	report(failures)
}

func report(failures []failure) {
	for _, f := range failures {
		f.report(f.err)
	}
}

// read pulls one frame from every input and adds it into the full mix while it
// is warm. Inputs that end stay in the list, silent, until sweep, so that the
// sets of the buses hold for this frame.
func (m *Mixer) read() {
	m.full.clear()
	for _, in := range m.inputs {
		if err := in.read(); err != nil {
			m.end(in, err)
		}
		if in.measure() {
			m.stats.repaired.Add(1)
		}
		m.full.add(in)
	}
	m.full.round()
}

// end marks an input as ended and, unless it ended well, notes why.
func (m *Mixer) end(in *input, err error) {
	in.ended = true
	if err == io.EOF {
		return
	}
	m.stats.failed.Add(1)
	if m.config.InputFailed != nil {
		m.scrap = append(m.scrap, failure{
			report: func(err error) { m.config.InputFailed(in.id, err) },
			err:    fmt.Errorf("read frame of input %s: %w", in.id, err),
		})
	}
}

// sweep removes what ended or failed during this frame.
func (m *Mixer) sweep() {
	ended := func(in *input) bool { return in.ended }
	failed := func(o *output) bool { return o.failed }
	changed := false
	if slices.ContainsFunc(m.inputs, ended) {
		m.inputs = slices.DeleteFunc(m.inputs, ended)
		changed = true
	}
	for _, b := range m.buses {
		if slices.ContainsFunc(b.outputs, failed) {
			b.outputs = slices.DeleteFunc(b.outputs, failed)
			changed = true
		}
	}
	if changed {
		m.regroup()
	}
	for _, in := range m.inputs {
		in.gain = in.target
	}
}

// regroup brings the buses in line with the inputs and outputs that are there.
func (m *Mixer) regroup() {
	m.buses = slices.DeleteFunc(m.buses, func(b *bus) bool { return len(b.outputs) == 0 })
	for _, b := range m.buses {
		b.regroup(m.inputs)
	}
}

// contain turns a panic of somebody's ReadFrame or WriteFrame into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// fader is what a person set for an input.
type fader struct {
	db    float64
	muted bool
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
	m.fade(id, func(f fader) fader { return fader{min(db, MaxGain), f.muted} })
}

// SetMute takes an input out of all mixes, or puts it back at its gain. It
// goes on being read and metered. Ramp and name are as with SetGain.
func (m *Mixer) SetMute(id string, muted bool) {
	m.fade(id, func(f fader) fader { return fader{f.db, muted} })
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
	if i, found := m.find(id); found {
		m.inputs[i].target = f.gain()
	}
}

// Stats counts what happened since New.
type Stats struct {
	Frames   int64         // mixed
	Late     int64         // mixed by Run a whole frame or more after they were due
	Lateness time.Duration // the worst delay behind the clock of Run
	Limited  int64         // frames of all mixes in which the limiter worked
	Repaired int64         // frames of inputs with samples that were no numbers or beyond ±8, which were clipped
	Failed   int64         // inputs and outputs removed because of an error or a panic
}

type counters struct {
	frames, late, lateness, limited, repaired, failed atomic.Int64
}

// Stats tells how the mixing goes. It never waits for a Mix.
func (m *Mixer) Stats() Stats {
	c := &m.stats
	return Stats{c.frames.Load(), c.late.Load(), time.Duration(c.lateness.Load()), c.limited.Load(), c.repaired.Load(), c.failed.Load()}
}
