package playout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// snapshotVersion is the first byte of a snapshot. Version 1 knew no redundancy,
// version 2 no announcement, version 3 not that a line is fresh, version 4 not
// what was hidden before a gap, version 5 not how long nothing was decoded
// nor what was.
const snapshotVersion = 6

// errSnapshot tells that bytes are no whole snapshot of this version.
var errSnapshot = errors.New("malformed snapshot")

// codec walks over the state of a Deep in one order for both directions:
// what it visits is written to buf, or read from it. Numbers are varints.
type codec struct {
	buf     []byte
	read    bool
	bad     bool
	version byte
}

func number[T ~int | ~int16 | ~int64 | ~uint8 | ~uint16 | ~uint32](c *codec, v *T) {
	if !c.read {
		c.buf = binary.AppendVarint(c.buf, int64(*v))
		return
	}
	x, n := binary.Varint(c.buf)
	if n <= 0 || int64(T(x)) != x {
		c.fail()
		return
	}
	*v, c.buf = T(x), c.buf[n:]
}

func (c *codec) fail() { c.bad, c.buf = true, nil }

func (c *codec) bits(v *uint64) {
	if !c.read {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *v)
		return
	}
	if len(c.buf) < 8 {
		c.fail()
		return
	}
	*v, c.buf = binary.LittleEndian.Uint64(c.buf), c.buf[8:]
}

func (c *codec) float(v *float64) {
	x := math.Float64bits(*v)
	c.bits(&x)
	*v = math.Float64frombits(x)
}

func (c *codec) flag(v *bool) {
	var x uint8
	if *v {
		x = 1
	}
	number(c, &x)
	*v = x == 1
}

func (c *codec) bytes(v *[]byte) {
	n := len(*v)
	number(c, &n)
	if !c.read {
		c.buf = append(c.buf, *v...)
		return
	}
	if n < 0 || n > len(c.buf) {
		c.fail()
		return
	}
	*v, c.buf = append([]byte(nil), c.buf[:n]...), c.buf[n:]
}

// list visits a slice; when reading it is made anew, with at most limit items.
func list[T any](c *codec, v *[]T, limit int, visit func(*T)) {
	n := len(*v)
	number(c, &n)
	if c.read {
		if n < 0 || n > limit || n > len(c.buf) {
			c.fail()
			return
		}
		*v = append((*v)[:0], make([]T, n)...)
	}
	for i := range *v {
		if c.bad {
			return
		}
		visit(&(*v)[i])
	}
}

// Snapshot is all of d but what its decoder remembers: the mapping of time,
// packets that wait, what is rendered and not read, the ledger, the counters. Its
// size is that of the packets that wait and a few kilobytes.
func (d *Deep) Snapshot() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &codec{buf: make([]byte, 0, d.bytes+64*d.count+4096), version: snapshotVersion}
	c.buf = append(c.buf, snapshotVersion)
	d.visit(c)
	return c.buf
}

// RestoreDeep opens a Deep that goes on where Snapshot was taken; Start of cfg
// does not count. Given the same packets it places them at the same positions
// and keeps the same ledger. The decoder begins cold, so the audio agrees from
// some packets on.
func RestoreDeep(cfg DeepConfig, snapshot []byte) (*Deep, error) {
	if len(snapshot) == 0 {
		return nil, fmt.Errorf("restore playout: %w", io.ErrUnexpectedEOF)
	}
	if snapshot[0] == 0 || snapshot[0] > snapshotVersion {
		return nil, fmt.Errorf("restore playout: snapshot of version %d: %w", snapshot[0], errSnapshot)
	}
	d := NewDeep(cfg)
	c := &codec{buf: snapshot[1:], read: true, version: snapshot[0]}
	d.visit(c)
	if c.bad || len(c.buf) > 0 || !d.sane() {
		return nil, fmt.Errorf("restore playout: %w", errSnapshot)
	}
	if short := d.tape.n - len(d.tape.samples); short > 0 { // of an old version
		d.tape.samples = append(d.tape.samples, make([][2]float32, short)...)
	}
	for _, e := range d.epochs {
		for _, p := range e.queue {
			d.count++
			d.bytes += len(p.payload)
		}
	}
	return d, nil
}

// sane checks what the code relies on.
func (d *Deep) sane() bool {
	sum := 0
	for _, r := range d.tape.runs {
		if r.n <= 0 || r.class >= classes && r.class != pending && r.class != absent {
			return false
		}
		sum += r.n
	}
	r := &d.res
	return sum == d.tape.n && sum < tapeMax && d.length > 0 && d.length <= 5760 &&
		(d.line != nil || !d.spurt) &&
		r.filled >= taps && r.filled <= 3*taps && r.at >= behind && r.at <= r.filled+1 &&
		r.frac < unit && r.step > unit-unit/100 && r.step < unit+unit/100
}

func (d *Deep) visit(c *codec) {
	number(c, &d.frame)
	number(c, &d.end)
	number(c, &d.tape.n)
	if c.version > 5 {
		c.tape(&d.tape)
	}
	list(c, &d.tape.runs, 256, func(r *run) { number(c, &r.class); number(c, &r.n) })
	lines := d.lines()
	list(c, &lines, 2*epochsMax, func(l **timeline) {
		if c.read {
			*l = &timeline{clock: newClock()}
		}
		c.timeline(*l)
	})
	list(c, &d.epochs, epochsMax, func(e **epoch) {
		if c.read {
			*e = new(epoch)
		}
		c.epoch(*e)
		pick(c, lines, &(*e).line)
	})
	pick(c, lines, &d.line)
	pick(c, lines, &d.files.line)
	c.flag(&d.spurt)
	c.flag(&d.quiet)
	if c.version > 3 {
		c.flag(&d.fresh)
	}
	number(c, &d.media)
	number(c, &d.seq)
	number(c, &d.length)
	number(c, &d.gap.from)
	number(c, &d.gap.bridged)
	number(c, &d.gap.faded)
	number(c, &d.gap.lost)
	if c.version > 4 {
		number(c, &d.gap.hidden)
	}
	if c.version > 5 {
		number(c, &d.voiced)
	}
	c.flag(&d.files.begun)
	number(c, &d.files.end)
	number(c, &d.files.media)
	number(c, &d.files.cut)
	number(c, &d.res.filled)
	number(c, &d.res.at)
	c.bits(&d.res.frac)
	c.bits(&d.res.step)
	c.flag(&d.res.landing)
	c.book(&d.book)
	if c.version == 5 { // it counted up from the beginning
		d.gap.hidden = d.book.ledger[Paused] + d.book.ledger[Excluded] - d.gap.hidden
	}
	c.quality(&d.quality)
	c.float(&d.jitter.value)
	number(c, &d.jitter.last)
	c.flag(&d.jitter.known)
}

// tape visits what has been rendered and not been read, at 16 bits: it may be the
// last that was said. Silence, and what is not decoded, takes no room.
func (c *codec) tape(t *tape) {
	if c.read && (t.n < 0 || t.n >= tapeMax) {
		c.fail()
		return
	}
	if c.read {
		t.samples = make([][2]float32, max(tapeRoom, t.n))
	}
	waiting := t.samples[t.head : t.head+t.n]
	sounds := slices.ContainsFunc(waiting, func(x [2]float32) bool { return x != [2]float32{} })
	if c.flag(&sounds); !sounds {
		return
	}
	for i := range waiting {
		for k := range 2 {
			v := int16(max(-1, min(waiting[i][k], 1)) * math.MaxInt16)
			if number(c, &v); c.read {
				waiting[i][k] = float32(v) / math.MaxInt16
			}
		}
	}
}

// lines is every timeline that is referred to, once.
func (d *Deep) lines() []*timeline {
	var all []*timeline
	add := func(l *timeline) {
		for _, o := range all {
			if o == l {
				return
			}
		}
		if l != nil {
			all = append(all, l)
		}
	}
	for _, e := range d.epochs {
		add(e.line)
	}
	add(d.line)
	add(d.files.line)
	return all
}

// pick visits a reference into lines.
func pick(c *codec, lines []*timeline, l **timeline) {
	n := 0
	for i, o := range lines {
		if o == *l {
			n = i + 1
		}
	}
	number(c, &n)
	if !c.read || n == 0 {
		return
	}
	if n < 0 || n > len(lines) {
		c.fail()
		return
	}
	*l = lines[n-1]
}

func (c *codec) timeline(l *timeline) {
	c.float(&l.offset)
	c.float(&l.rate)
	c.float(&l.toward)
	k := &l.clock
	dot := func(p *point) { c.float(&p.t); c.float(&p.d) }
	list(c, &k.points, envelope, dot)
	for i := range k.open {
		number(c, &k.open[i].index)
		if k.open[i].index != 0 {
			dot(&k.open[i].p)
		}
	}
	number(c, &k.settled)
	number(c, &k.high)
	c.flag(&k.known)
	for _, v := range []*float64{&k.path, &k.slope, &k.base, &k.origin, &k.noise} {
		c.float(v)
	}
	if k.high < 0 || k.high > len(k.points) {
		c.fail()
	}
	r := &k.reports
	list(c, &r.queue, reportsQueue, func(p *report) { number(c, &p.at); number(c, &p.rtp); c.bits(&p.ntp) })
	list(c, &r.points, reportsKept, dot)
	number(c, &r.strays)
	number(c, &r.last)
	c.bits(&r.origin)
}

func (c *codec) epoch(e *epoch) {
	number(c, &e.ssrc)
	number(c, &e.firstAt)
	number(c, &e.lastAt)
	number(c, &e.least)
	number(c, &e.top)
	number(c, &e.topMedia)
	number(c, &e.seen.top)
	for i := range e.seen.bits {
		c.bits(&e.seen.bits[i])
	}
	list(c, &e.early, reportsKept, func(r *Report) {
		number(c, &r.At)
		number(c, &r.SSRC)
		number(c, &r.RTP)
		c.bits(&r.NTP)
	})
	list(c, &e.queue, entriesMax, func(p **entry) {
		if c.read {
			*p = new(entry)
		}
		number(c, &(*p).seq)
		number(c, &(*p).media)
		number(c, &(*p).at)
		number(c, &(*p).level)
		c.flag(&(*p).top)
		c.flag(&(*p).resent)
		if c.version > 1 {
			c.flag(&(*p).copied)
		}
		c.bytes(&(*p).payload)
	})
}

func (c *codec) book(b *book) {
	for i := range b.ledger {
		number(c, &b.ledger[i])
	}
	number(c, &b.first)
	c.flag(&b.begun)
	c.flag(&b.ended)
	number(c, &b.until)
	if c.version > 2 {
		c.flag(&b.announced)
		number(c, &b.since)
	}
	list(c, &b.causes, causesMax, func(m *mark) {
		number(c, &m.pos)
		if number(c, &m.class); m.class >= classes {
			c.fail()
		}
	})
	list(c, &b.held, heldMax, func(s *span) { number(c, &s.pos); number(c, &s.n) })
}

func (c *codec) quality(q *Quality) {
	for _, v := range []*int64{&q.Packets, &q.Lost, &q.Late, &q.Duplicates, &q.Broken, &q.Dropped} {
		number(c, v)
	}
	number(c, &q.Level)
}
