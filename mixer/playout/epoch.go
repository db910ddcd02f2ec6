package playout

import (
	"math"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// entry is one packet that waits for its time.
type entry struct {
	seq     int64 // unwrapped
	media   int64 // unwrapped timestamp
	at      time.Duration
	level   uint8
	top     bool // had the highest number when it arrived
	resent  bool // filled a gap that had shown
	copied  bool // a copy out of a later packet (RFC 2198)
	payload []byte
}

// payloadStep is by how much the room for a payload grows: packets of one
// stream differ by less, so that entries soon go round without growing.
const payloadStep = 128

// keep copies a payload into the room of an earlier one.
func keep(room, payload []byte) []byte {
	if len(payload) > cap(room) {
		room = make([]byte, 0, (len(payload)+payloadStep-1)/payloadStep*payloadStep)
	}
	return append(room[:0], payload...)
}

// quiet packets carry no audio: the sender has nothing to say (RFC 6716,
// section 2.1.9).
func (p *entry) quiet() bool { return len(p.payload) <= 2 }

// reach is how far behind its time a packet is still of use: as long as some of
// it sounds.
func (p *entry) reach() int64 {
	if length, err := opus.Duration(p.payload); err == nil && !p.quiet() {
		return max(slack, int64(length)-1)
	}
	return slack
}

// timeline is the mapping of media time to positions. Epochs of one sender
// share it as long as its timestamps go on.
type timeline struct {
	offset float64 // position less media time, as applied
	rate   float64 // stretch as applied; 0 passes bit by bit
	toward float64 // sign of the error that rate makes good
	clock  clock
}

const (
	anchorTime = 3 * time.Second // arrivals that anchor a timeline
	jump       = pcm.Rate / 5    // a mapping that errs by less is kept
	deadBand   = pcm.Rate / 200  // 5 ms: an offset that errs by less is left alone
	maxRate    = 1000e-6
	haste      = 400e-6
	staleAfter = 4800 * pcm.Rate / 1000 // a contiguous packet that comes later opens an epoch
	earlyLimit = 2 * pcm.Rate
	oldestKept = 30 * pcm.Rate
)

// steer decides how far to stretch the audio that starts at pos. As long as the
// error is small the audio is not touched; then it is made good in one go, at
// haste beyond what the clock drifts, so that most of a recording passes bit
// by bit.
func (l *timeline) steer(pos int64) float64 {
	target, ok := l.clock.target(pos)
	if !ok {
		return l.rate
	}
	off, slope := target-l.offset, l.clock.slope
	if l.rate != 0 && off*l.toward <= 0 {
		l.rate = 0
	}
	limit := float64(deadBand)
	if math.Abs(slope) > l.clock.band() {
		limit /= 2
	}
	if l.rate == 0 && math.Abs(off) < limit {
		return 0
	}
	if l.rate == 0 {
		l.toward = math.Copysign(1, off)
	}
	l.rate = min(max(slope+l.toward*haste, -maxRate), maxRate)
	if l.rate*l.toward < haste/4 {
		l.rate = l.toward * haste / 4
	}
	return l.rate
}

// place is where media belongs when nothing before it is in the way. Through
// silence the timeline is moved freely, but not so that what was ahead of
// position end falls behind it.
func (l *timeline) place(media, end int64) int64 {
	pos := media + int64(math.Round(l.offset))
	target, ok := l.clock.target(pos)
	if !ok || math.Abs(target-l.offset) < pcm.Rate/1000 {
		return pos
	}
	moved := media + int64(math.Round(target))
	if pos >= end {
		moved = max(moved, end)
	}
	l.offset = float64(moved - media)
	return moved
}

// epoch is a run of packets whose numbers and timestamps belong together.
type epoch struct {
	ssrc     uint32
	firstAt  time.Duration
	lastAt   time.Duration
	least    int64     // least transit of the packets that anchor
	top      int64     // highest number
	topMedia int64     // its media time
	line     *timeline // nil until the first audio is due
	queue    []*entry  // by number
	seen     seen
	early    []Report // before line was there
}

// offset is the mapping as far as it is known.
func (e *epoch) offset() float64 {
	if e.line != nil {
		return e.line.offset
	}
	return float64(e.least)
}

// unwrap gives the numbers of p in the epoch's counting.
func (e *epoch) unwrap(p *Packet) (seq, media int64) {
	return e.top + int64(int16(p.Seq-uint16(e.top))), e.topMedia + int64(int32(p.Timestamp-uint32(e.topMedia)))
}

// late is by how much a packet is off the time at which it was to come.
func (e *epoch) late(media, at int64) int64 {
	l := at - media - int64(e.offset())
	return max(l, -l)
}

// fits tells whether a packet that arrived at sample at goes on in the epoch.
func (e *epoch) fits(seq, media, at int64) bool {
	numbers, times := seq-e.top, media-e.topMedia
	late := at - media - int64(e.offset())
	switch {
	case numbers <= 0:
		return times <= 0 && times > -2*oldestKept && numbers > -seenSpan && (numbers == 0) == (times == 0)
	case times < 0:
		return false
	case times <= numbers*5760 && numbers < seenSpan:
		return late < staleAfter && late > -earlyLimit
	default:
		return late < jump && late > -jump
	}
}

// insert puts p where its number belongs and notes whether the gap that it
// fills had been known for 15 ms. It returns the copy whose place p takes, if
// there was one.
func (e *epoch) insert(p *entry) (replaced *entry) {
	i := len(e.queue)
	for i > 0 && e.queue[i-1].seq > p.seq {
		i--
	}
	if i > 0 && e.queue[i-1].seq == p.seq && e.queue[i-1].copied {
		i--
		replaced, e.queue[i] = e.queue[i], p
		e.date(p, i)
		return replaced
	}
	e.queue = append(e.queue, nil)
	copy(e.queue[i+1:], e.queue[i:])
	e.queue[i] = p
	e.date(p, i)
	return nil
}

// date notes whether p, which waits at place i, was sent again.
func (e *epoch) date(p *entry, i int) {
	if p.top || p.copied {
		return
	}
	for _, q := range e.queue[i+1:] {
		if q.top {
			p.resent = e.top-p.seq > 1 && p.at-q.at >= 15*time.Millisecond
			return
		}
	}
}

// remove takes the head of the queue.
func (e *epoch) remove() *entry {
	p := e.queue[0]
	n := copy(e.queue, e.queue[1:])
	e.queue[n] = nil
	e.queue = e.queue[:n]
	return p
}

// parent is the one of the lines so far that goes on, because it says nearly
// the same as the anchoring; nil if none does.
func (e *epoch) parent(others []*epoch) *timeline {
	var line *timeline
	best := float64(jump)
	for _, o := range others {
		if o.line == nil {
			continue
		}
		if off := math.Abs(o.line.offset - float64(e.least)); off <= best {
			best, line = off, o.line
		}
	}
	return line
}

// fix ends the anchoring: the first audio is due.
func (e *epoch) fix(others []*epoch) {
	if e.line = e.parent(others); e.line == nil {
		e.line = &timeline{offset: float64(e.least), clock: newClock()}
	}
	for _, p := range e.queue {
		at := samplesAt(p.at)
		e.line.clock.add(at, at-p.media)
	}
	for _, r := range e.early {
		e.line.clock.reports.add(r.At, r.RTP, r.NTP)
	}
	e.early = nil
}
