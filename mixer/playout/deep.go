package playout

import (
	"sync"
	"time"

	"mixdown/mixer/pcm"
)

// DeepConfig opens a [Deep].
type DeepConfig struct {
	Start int64 // number of the first frame on the timeline of the capture
	Red   uint8 // payload type of redundant audio (RFC 2198); 0 is none
	// Placed, if set, is told each packet that is kept, in the order of the
	// timeline and exactly once, during ReadFrame or Skip and before its audio
	// is due; its payload is valid during the call. Packets from before position
	// 0, without a byte, with a broken payload or in a paused or excluded stretch
	// are not told. It must not call the Deep.
	Placed func(Placed)
}

// Deep is the jitter buffer of a recording. It is read some seconds after the
// packets arrive, and everything that has arrived by then counts, in whatever
// order it came.
//
// A packet's position is its RTP timestamp, moved by an offset that the fastest
// packets of the first seconds fix; the jitter of later arrivals moves nothing.
// Where the sender's clock drifts against the capture's, the audio is resampled
// by at most 0.1 %, else it passes bit by bit. Silence lets the offset be
// corrected without resampling.
//
// The result depends on the packets, their arrival times and the calls alone,
// provided that whatever arrived within four seconds after a frame has been
// pushed when the frame is read.
type Deep struct {
	mu      sync.Mutex
	placed  func(Placed)
	red     uint8
	reading bool     // a row
	row     row      // read, and not all handed out
	untold  []Placed // of the row

	epochs []*epoch // the newest last
	free   []*entry
	count  int // entries that wait
	bytes  int // their payloads

	frame  int64 // next to read
	end    int64 // position behind the tape
	tape   tape
	voice  voice
	res    resampler
	spurt  bool      // audio is running; then the resampler holds its phase
	line   *timeline // of the last packet played
	media  int64     // its media time, at its end
	seq    int64     // its number
	length int64     // its samples
	quiet  bool      // it was DTX
	fresh  bool      // the next packet that is placed is the first of its line
	gap    gap
	voiced int64 // position up to which the voice was asked for sound

	book    book
	files   files
	quality Quality
	jitter  jitter
}

const (
	entriesMax = 4000 // 10 s of packets of 2.5 ms
	bytesMax   = 4 << 20
	payloadMax = 8 << 10
	epochsMax  = 8
	// horizon is how far behind a frame arrivals are taken into account for
	// the sender's clock.
	horizon = 4 * pcm.Rate
)

// NewDeep opens a Deep whose first ReadFrame delivers frame c.Start.
func NewDeep(c DeepConfig) *Deep {
	d := &Deep{
		placed: c.Placed,
		red:    c.Red,
		frame:  c.Start,
		end:    c.Start * pcm.FrameSize,
		tape:   newTape(),
		voice:  newVoice(),
		res:    newResampler(),
		length: pcm.FrameSize,
	}
	d.quality.Level = NoLevel
	return d
}

// Push takes a packet as it arrives; it copies what it keeps. At most 4000
// packets or 30 seconds wait, what comes on top is dropped and counted.
func (d *Deep) Push(p *Packet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quality.Packets++
	d.quality.Level = p.Level
	if len(p.Payload) > payloadMax {
		d.quality.Broken++
		return
	}
	var r redundancy
	var q Packet
	if !r.unpack(p, &q, d.red) {
		d.quality.Broken++
		return
	}
	e, seq, media := d.push(&q)
	if e == nil {
		return
	}
	for i := range r.copies[:r.n] {
		b := &r.copies[i]
		s, m := r.original(i, seq, media)
		if d.full(&q) || !e.wants(b, s, m) {
			continue
		}
		q.Payload, q.Level = b.payload, NoLevel
		c := d.entry(&q, s, m)
		c.copied, c.resent = true, true
		e.insert(c)
	}
}

// push takes a packet without redundancy. It returns its epoch and place, or
// nil if the packet is of no use.
func (d *Deep) push(p *Packet) (e *epoch, seq, media int64) {
	if d.full(p) {
		d.quality.Dropped++
		return nil, 0, 0
	}
	at := samplesAt(p.At)
	e, seq, media = d.epochOf(p, at)
	if e == nil {
		d.quality.Dropped++
		return nil, 0, 0
	}
	if e.seen.add(seq) {
		d.quality.Duplicates++
		return nil, 0, 0
	}
	q := d.entry(p, seq, media)
	if seq >= e.top {
		e.top, e.topMedia, q.top = seq, media, true
		d.jitter.add(at - media)
	}
	e.lastAt = p.At
	switch {
	case e.line != nil:
		e.line.clock.add(at, at-media)
	case p.At <= e.firstAt+anchorTime:
		e.least = min(e.least, at-media)
	}
	if c := e.insert(q); c != nil {
		d.release(c)
	}
	return e, seq, media
}

// full tells whether p would be too much.
func (d *Deep) full(p *Packet) bool {
	if d.count >= entriesMax || d.bytes+len(p.Payload) > bytesMax {
		return true
	}
	for _, e := range d.epochs {
		if len(e.queue) > 0 && p.At-e.queue[0].at > oldestKept/pcm.Rate*time.Second {
			return true
		}
	}
	return false
}

// epochOf finds where p belongs, or opens an epoch. It is nil when there is no
// room for another.
func (d *Deep) epochOf(p *Packet, at int64) (e *epoch, seq, media int64) {
	for i := len(d.epochs) - 1; i >= 0; i-- {
		o := d.epochs[i]
		if o.ssrc != p.SSRC {
			continue
		}
		n, m := o.unwrap(p)
		// A straggler of before a jump fits both sides of it: it belongs where it
		// is least late.
		if o.fits(n, m, at) && (e == nil || o.late(m, at) < e.late(media, at)) {
			e, seq, media = o, n, m
		}
		if e != nil && seq > e.top {
			break
		}
	}
	if e != nil {
		return e, seq, media
	}
	seq, media = int64(p.Seq), int64(p.Timestamp)
	if n := len(d.epochs); n > 0 {
		// Numbers go on from those before, in case the sender's do.
		seq, media = d.epochs[n-1].unwrap(p)
	}
	if len(d.epochs) == epochsMax && !d.forget() {
		return nil, 0, 0
	}
	e = &epoch{ssrc: p.SSRC, firstAt: p.At, lastAt: p.At, least: at - media, top: seq, topMedia: media}
	e.seen.top = seq - 1
	d.epochs = append(d.epochs, e)
	return e, seq, media
}

// forget drops the epoch that has been silent for the longest time, unless all
// have packets waiting.
func (d *Deep) forget() bool {
	oldest := -1
	for i, e := range d.epochs {
		if len(e.queue) == 0 && (oldest < 0 || e.lastAt < d.epochs[oldest].lastAt) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	d.epochs = append(d.epochs[:oldest], d.epochs[oldest+1:]...)
	return true
}

// entry keeps a copy of p.
func (d *Deep) entry(p *Packet, seq, media int64) *entry {
	var q *entry
	if n := len(d.free); n > 0 {
		q, d.free = d.free[n-1], d.free[:n-1]
	} else {
		q = new(entry)
	}
	*q = entry{seq: seq, media: media, at: p.At, level: p.Level, payload: keep(q.payload, p.Payload)}
	d.count++
	d.bytes += len(q.payload)
	return q
}

// release takes back an entry that is out of its queue.
func (d *Deep) release(q *entry) {
	d.count--
	d.bytes -= len(q.payload)
	d.free = append(d.free, q)
}

// Report takes a sender report of the stream as it arrives.
func (d *Deep) Report(r Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.epochs) - 1; i >= 0; i-- {
		e := d.epochs[i]
		if e.ssrc != r.SSRC {
			continue
		}
		if e.line != nil {
			e.line.clock.reports.add(r.At, r.RTP, r.NTP)
		} else if len(e.early) < reportsKept {
			e.early = append(e.early, r)
		}
		return
	}
}

// Cause says that from capture time at on, whatever is missing is missing
// because of c: it counts as c instead of lost, stalled or DTX. Received ends
// it. While c is Paused or Excluded nothing is rendered or told to Placed, and
// all counts as c; what is heard before and after it fades over 20 ms. While c
// is Muted all counts as c too, but is rendered and told. A cause from before
// Frame still explains a gap that has not ended.
func (d *Deep) Cause(at time.Duration, c Class) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.cause(samplesAt(at), c)
}

// Announce says that the stream is there from position at on: the ledger begins
// there, or with the first packet if that belongs before.
func (d *Deep) Announce(at time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.announced, d.book.since = true, samplesAt(at)
}

// End says that the stream left: at position at, or where the last packet
// placed before it ends, rounded up to a frame, ReadFrame returns io.EOF.
func (d *Deep) End(at time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.ended, d.book.until = true, samplesAt(at)
}

// Frame is the number of the frame that is read next.
func (d *Deep) Frame() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frame
}

// Ledger is what became of every sample from First to Frame. The samples of a
// gap that has not ended count as stalled until it is clear what they are.
func (d *Deep) Ledger() Ledger {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.total()
}

// Missed is what was found lost or had to be concealed since the last call: how
// many samples, and the position of the first. A gap counts when it is clear what
// it is, at its end. Snapshots do not have it.
func (d *Deep) Missed() (pos, samples int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.book.missed
	d.book.missed = span{}
	return m.pos, m.n
}

// First is the position of the first packet, or of the announcement before it,
// once its frame is being read.
func (d *Deep) First() (pos int64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.first, d.book.begun
}

// Drift is by how much the sender's clock runs fast against the capture's, in
// parts per million, once that is known.
func (d *Deep) Drift() (ppm float64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line == nil || !d.line.clock.known {
		return 0, false
	}
	return -d.line.clock.slope * 1e6, true
}

// Quality is how the stream has arrived so far.
func (d *Deep) Quality() Quality {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.quality
	q.Jitter, q.Cut = d.jitter.ms(), d.files.cut
	return q
}
