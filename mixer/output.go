package mixer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mixdown/mixer/pcm"
)

// Option narrows what an output hears, or says who is told when it breaks.
type Option func(*selection)

type selection struct {
	only, except []string
	some         bool // only was given
	levelled     bool
	side         func(id string) Side // of a dual output, or nil
	failed       func(error)
}

// Except leaves inputs out: with a speaker's own name it makes a mix-minus.
// The names need not exist yet.
func Except(ids ...string) Option {
	return func(s *selection) { s.except = append(s.except, ids...) }
}

// Only takes these inputs and no others. The names need not exist yet.
func Only(ids ...string) Option {
	return func(s *selection) { s.only, s.some = append(s.only, ids...), true }
}

// Levelled brings every speaker slowly to the loudness of [Config], by at most
// 15 dB up or down and 3 dB in a second, and only while the speaker speaks. The
// fader works on top of it. Without Config.Level it does nothing. A stream's
// own file does without, so that it stays what was sent.
func Levelled() Option {
	return func(s *selection) { s.levelled = true }
}

// Side is where a dual output has an input.
type Side uint8

// The sides of a dual output.
const (
	Left Side = iota
	Right
	Both
)

// Dual puts inputs on the sides that side names, such as the caller here and
// the agent there: each the mean of its two channels, and each side with a
// limiter of its own, so that neither turns the other down. side must give the
// same answer for a name whenever it is asked, which is when inputs come and
// go, and must not call the Mixer. One side alone, of a levelled output, is 3 LU
// below the level, for a voice is heard from one side instead of two.
func Dual(side func(id string) Side) Option {
	return func(s *selection) { s.side = side }
}

// OnError sets who is told about the error or panic for which an output was
// removed. The function may call the Mixer.
func OnError(failed func(error)) Option {
	return func(s *selection) { s.failed = failed }
}

// AddOutput lets w hear the mix from the next frame on. Without options that
// is everybody. It is removed by the returned function, which may be called
// repeatedly and, in an Aligned mixer, first writes the frame that is held
// back; or by itself when WriteFrame returns an error.
func (m *Mixer) AddOutput(w pcm.Writer, opts ...Option) (remove func()) {
	var s selection
	for _, o := range opts {
		o(&s)
	}
	s.settle()
	out := &output{writer: w, report: s.failed}

	m.mu.Lock()
	defer m.mu.Unlock()
	s.levelled = s.levelled && m.config.Level != 0
	key := s.key()
	i := slices.IndexFunc(m.buses, func(b *bus) bool { return s.side == nil && b.side == nil && b.key == key })
	if i < 0 {
		i = len(m.buses)
		b := &bus{key: key, selection: s}
		b.sum.levelled, b.guard.dual = s.levelled, s.side != nil
		m.buses = append(m.buses, b)
	}
	m.buses[i].outputs = append(m.buses[i].outputs, out)
	m.regroup()
	return func() { m.remove(out) }
}

func (m *Mixer) remove(out *output) {
	m.mu.Lock()
	for _, b := range m.buses {
		i := slices.Index(b.outputs, out)
		if i < 0 {
			continue
		}
		b.outputs = slices.Delete(b.outputs, i, i+1)
		if out.pending {
			tail := b.tail()
			m.push(out, &tail)
		}
		m.regroup()
		break
	}
	failures := m.scrap
	m.scrap = nil
	m.mu.Unlock()
	report(failures)
}

// settle brings the names into one order without doubles.
func (s *selection) settle() {
	slices.Sort(s.only)
	s.only = slices.Compact(s.only)
	slices.Sort(s.except)
	s.except = slices.Compact(s.except)
}

// key is equal for selections that hear the same.
func (s *selection) key() string {
	var k strings.Builder
	if s.levelled {
		k.WriteByte('~')
	}
	if s.some {
		k.WriteByte('=')
		for _, id := range s.only {
			k.WriteString(strconv.Quote(id))
		}
	}
	for _, id := range s.except {
		k.WriteByte('-')
		k.WriteString(strconv.Quote(id))
	}
	return k.String()
}

// output is one writer.
type output struct {
	writer  pcm.Writer
	report  func(error)
	pending bool // it has taken part in a Mix of an Aligned mixer, so a frame is coming
	failed  bool
}

// push hands f to the writer and notes a failure.
func (m *Mixer) push(o *output, f *pcm.Frame) {
	err := o.write(f)
	if err == nil {
		return
	}
	o.failed = true
	m.stats.failed.Add(1)
	if o.report != nil {
		m.scrap = append(m.scrap, failure{o.report, fmt.Errorf("write mixed frame: %w", err)})
	}
}

func (o *output) write(f *pcm.Frame) (err error) {
	defer contain(&err)
	return o.writer.WriteFrame(f)
}

// bus is one mix with its limiter, shared by the outputs that hear the same.
type bus struct {
	key string
	selection
	outputs []*output

	add, subtract []*input // those of selection that are there; subtract is from the full mix if there is no add
	right         []*input // of a dual bus, whose left is add
	sum           sum
	guard         guard
	frame         pcm.Frame // what the limiter gave last
	aligned       pcm.Frame // scratch: the frame on its way to the outputs
}

// ofFull says that the bus is made from the mix of all inputs.
func (b *bus) ofFull() bool { return !b.some && b.side == nil }

// regroup looks up the inputs that the bus is made of.
func (b *bus) regroup(inputs, leaving []*input) {
	b.add, b.subtract, b.right = b.add[:0], b.subtract[:0], b.right[:0]
	for _, in := range inputs {
		b.place(in)
	}
	for _, in := range leaving {
		b.place(in)
	}
	clear(b.add[len(b.add):cap(b.add)])
	clear(b.subtract[len(b.subtract):cap(b.subtract)])
	clear(b.right[len(b.right):cap(b.right)])
}

func (b *bus) place(in *input) {
	_, only := slices.BinarySearch(b.only, in.id)
	_, except := slices.BinarySearch(b.except, in.id)
	heard := !except && (only || !b.some)
	switch {
	case heard && b.side != nil:
		side := b.side(in.id)
		if side != Right {
			b.add = append(b.add, in)
		}
		if side != Left {
			b.right = append(b.right, in)
		}
	case heard && !b.ofFull():
		b.add = append(b.add, in)
	case except && b.ofFull():
		b.subtract = append(b.subtract, in)
	}
}

// write limits the frame of one bus and hands it to the outputs.
func (m *Mixer) write(b *bus) {
	full := m.full
	if b.levelled {
		full = m.levelled
	}
	mixed := b.mix(full)
	if !m.config.Aligned {
		if b.guard.process(mixed, &b.frame) {
			m.stats.limited.Add(1)
		}
		for _, o := range b.outputs {
			m.push(o, &b.frame)
		}
		return
	}
	copy(b.aligned[:], b.frame[Latency:])
	if b.guard.process(mixed, &b.frame) {
		m.stats.limited.Add(1)
	}
	copy(b.aligned[pcm.FrameSize-Latency:], b.frame[:])
	for _, o := range b.outputs {
		if o.pending {
			m.push(o, &b.aligned)
		}
		o.pending = true
	}
}

// tail is the frame that is held back, made whole as if nothing but silence
// followed.
func (b *bus) tail() (f pcm.Frame) {
	var silence, last pcm.Frame
	g := b.guard
	g.process(&silence, &last)
	copy(f[:], b.frame[Latency:])
	copy(f[pcm.FrameSize-Latency:], last[:])
	return f
}

// mix is the frame of the bus before the limiter.
func (b *bus) mix(full *sum) *pcm.Frame {
	if !b.ofFull() {
		b.sum.clear()
		for _, in := range b.add {
			if b.side != nil {
				b.sum.place(in, 0)
			} else {
				b.sum.add(in)
			}
		}
		for _, in := range b.right {
			b.sum.place(in, 1)
		}
		b.sum.round()
		return &b.sum.rounded
	}
	if !slices.ContainsFunc(b.subtract, (*input).heard) {
		return &full.rounded
	}
	b.sum.copy(full)
	for _, in := range b.subtract {
		b.sum.subtract(in)
	}
	b.sum.round()
	return &b.sum.rounded
}
