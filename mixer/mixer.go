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
// bit by bit; fifty at full scale, in phase, stay at or below -1 dBTP. Gains,
// mutes, solos and removals take 20 ms, or as long as [Mixer.Fade] is told, and
// do not click. An input or output
// that breaks, even by a panic, is taken out and reported, and the others do
// not notice. Mix allocates nothing and logs nothing. Where inputs are many, the
// work of a [Preparer] is shared by all cores.
//
// What it learns on the way, it tells: [Mixer.Levels], [Mixer.Speakers] and
// [Mixer.Spurts]. Outputs may be [Levelled] to one loudness, or [Dual], with
// some speakers on the left and the others on the right. [Mixer.Snapshot] lets
// a recording that was interrupted go on with the same samples.
//
// It does not resample, conceal losses, or know about rooms and files.
package mixer

import (
	"errors"
	"fmt"
	"io"
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
	// Level is the loudness that Levelled outputs bring every speaker to, in
	// LUFS; 0 levels nothing. EBU R128 has -23.
	Level float64
	// First is the number of the first frame, by which talk spurts are told.
	First int64
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
	crew   *crew    // what prepares them where they are many
	faders map[string]fader
	buses  []*bus
	scrap  []failure

	leaving        []*input // fade out in the next frame, sorted by id
	full, levelled *sum     // all inputs; nil while nobody hears it, for rooms are many
	needs          struct{ full, levelled bool }

	frame           int64            // number of the next frame
	spurts          []Spurt          // not yet asked for
	dominant, rival *input           // of inputs, or nil
	lead            int              // frames for which rival was louder than dominant
	restored        map[string]heard // what inputs that are not back yet had
	awaited         awaited

	stats counters
}

// failure is a report that waits until the lock is free.
type failure struct {
	report func(error)
	err    error
}

// New makes a mixer without inputs and outputs.
func New(c Config) *Mixer {
	return &Mixer{config: c, faders: make(map[string]fader), frame: c.First, crew: newCrew()}
}

// AddInput lets r be heard from the next frame on, under a name of the
// caller's choice. An input of the same name is replaced: its sound fades as
// with RemoveInput, and what was learned of the speaker stays. The input leaves
// by itself when r returns io.EOF, as it is, or another error.
func (m *Mixer) AddInput(id string, r pcm.Reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.find(id)
	if found {
		m.leave(m.inputs[i])
		m.inputs[i].connect(r)
		m.regroup()
		return
	}
	in := &input{id: id}
	in.connect(r)
	known := m.recall(in)
	m.inputs = slices.Insert(m.inputs, i, in)
	m.aim("", 0)
	if !known {
		in.way = course{Gain: in.way.Goal, Goal: in.way.Goal}
		in.steer()
	}
	if room := spurtsPerInput * len(m.inputs); cap(m.spurts) < room {
		m.spurts = slices.Grow(m.spurts, room-len(m.spurts))
	}
	m.regroup()
}

// RemoveInput takes an input out; its fader stays where it is. Its reader is
// not asked any more, and what was just to be heard of it fades within 20 ms.
// Without such an input it does nothing.
func (m *Mixer) RemoveInput(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, found := m.find(id); found {
		m.drop(i)
	}
}

// RemoveInputs takes out all inputs.
func (m *Mixer) RemoveInputs() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.inputs) > 0 {
		m.drop(len(m.inputs) - 1)
	}
}

func (m *Mixer) drop(i int) {
	in := m.inputs[i]
	m.leave(in)
	m.forget(in)
	m.inputs = slices.Delete(m.inputs, i, i+1)
	m.aim("", 0)
	m.regroup()
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
	m.elect()
	for _, b := range m.buses {
		m.write(b)
	}
	m.sweep()
	m.frame++
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
		b.guard = guard{dual: b.guard.dual}
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

// read pulls one frame from every input and adds it into the full mixes while
// it is warm. Inputs that end stay in the list, silent, until sweep, so that
// the sets of the buses hold for this frame.
func (m *Mixer) read() {
	if m.needs.full {
		m.full.clear()
	}
	if m.needs.levelled {
		m.levelled.clear()
	}
	m.crew.prepare(m.inputs)
	for _, in := range m.inputs {
		if err := in.read(); err != nil {
			m.end(in, err)
		}
		if in.measure() {
			m.stats.repaired.Add(1)
		}
		m.listen(in)
		m.sum(in)
	}
	for _, in := range m.leaving {
		in.foretell()
		m.sum(in)
	}
	if m.needs.full {
		m.full.round()
	}
	if m.needs.levelled {
		m.levelled.round()
	}
}

// listen finds out whether somebody speaks, and how loud.
func (m *Mixer) listen(in *input) {
	square := in.meter.newest()
	voiced, began, ended := in.talk.hear(m.frame, square, in.said)
	if began || ended {
		m.note(in, ended)
	}
	if in.level != nil {
		in.level.hear(&in.frame, in.talk.Talking, voiced, m.config.Level)
	}
}

// sum adds an input to those full mixes that somebody hears.
func (m *Mixer) sum(in *input) {
	if m.needs.full {
		m.full.add(in)
	}
	if m.needs.levelled {
		m.levelled.add(in)
	}
}

// end marks an input as ended and, unless it ended well, notes why.
func (m *Mixer) end(in *input, err error) {
	in.ended = true
	if errors.Is(err, io.EOF) {
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
	changed := len(m.leaving) > 0
	clear(m.leaving)
	m.leaving = m.leaving[:0]
	for _, in := range m.inputs {
		in.step()
	}
	if slices.ContainsFunc(m.inputs, ended) {
		for _, in := range m.inputs {
			if in.ended {
				m.forget(in)
			}
		}
		m.inputs = slices.DeleteFunc(m.inputs, ended)
		m.aim("", 0)
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
}

// regroup brings the buses in line with the inputs and outputs that are there.
func (m *Mixer) regroup() {
	m.buses = slices.DeleteFunc(m.buses, func(b *bus) bool { return len(b.outputs) == 0 })
	m.needs.full, m.needs.levelled = false, false
	for _, b := range m.buses {
		b.regroup(m.inputs, m.leaving)
		m.needs.full = m.needs.full || b.ofFull() && !b.levelled
		m.needs.levelled = m.needs.levelled || b.ofFull() && b.levelled
	}
	m.full = m.full.room(m.needs.full, false)
	m.levelled = m.levelled.room(m.needs.levelled, true)
}

// contain turns a panic of somebody's ReadFrame or WriteFrame into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
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
