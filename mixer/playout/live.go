package playout

import (
	"io"
	"sync"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// LiveConfig opens a [Live].
type LiveConfig struct {
	Red uint8 // payload type of redundant audio (RFC 2198); 0 is none
}

// Live is the jitter buffer of the live mix: it plays each packet as early as
// the network's jitter lets it, conceals what is missing and gives up what
// comes too late.
//
// How long the fastest packets wait follows their jitter, from 20 ms to one
// second, and is a packet longer where packets are lost of which the next one
// carries a copy. The buffer is brought there by resampling of 0.08 or 0.2 %,
// by dropping or adding sound where there is next to none; where it is far
// from there by leaving out or repeating up to 15 ms at which the sound
// resembles itself; and after a stall by a jump. Time is counted in frames
// read, and set by the arrivals.
//
// Where the sender sends nothing, sound fades within 20 ms to digital silence.
// Comfort noise is not made here: the noises of many silent inputs would add
// up in the mix, and silence costs the mixer nothing.
type Live struct {
	mu  sync.Mutex
	red uint8

	queue   *epoch // packets of the present sender
	old     uint32 // SSRC before, whose stragglers are not taken
	oldTop  uint16 // its newest number
	changed time.Duration
	free    []*entry
	bytes   int

	delay delay
	now   int64 // capture time of the newest frame, as far as arrivals tell

	tape    tape
	voice   voice
	res     resampler
	other   []float32 // what is blended with the voice, or precedes it
	guess   []float32 // concealment of a packet's length, as far as it is not used
	running bool
	media   int64 // media time at the end of what was decoded
	seq     int64
	length  int
	bridged int  // concealed since the last packet
	stretch int  // of it, not at the cost of media time: nothing else was there
	quiet   bool // the last packet was DTX
	soft    bool // the next packet is faded in
	power   float32
	spliced int           // samples since the last splice
	refused int           // splices in a row that nothing resembled enough for
	repairs float32       // share of packets that were repaired from later ones
	margin  int64         // how much longer packets wait for that
	playing time.Duration // arrival of the packet that was played last
	said    uint8         // what its sender says of its level; of the reader alone
	began   bool          // in the present frame
	fresh   bool          // nothing of this sender has been played
	ended   bool
	ahead   bool // Prepare did what the next read would do

	quality Quality
	jitter  jitter
}

const (
	liveEntries = 600
	liveBytes   = 1 << 20
	liveRate    = 0.0008
	liveHaste   = 0.002          // for what is further off than a frame
	joinTime    = 2 * opus.Grain // fade at a jump
	resync      = pcm.Rate / 2   // excess that is cut off at once
	guard       = pcm.Rate / 200 // what packets wait on top, for the clocks of both sides
	nearly      = pcm.Rate / 300 // excess or lack that is left alone
	far         = pcm.Rate / 25  // excess from which on sound is spliced
	veryFar     = pcm.Rate / 10  // and this often
	tooNear     = pcm.Rate / 66  // lack from which on sound is spliced
	still       = 1e-6           // mean square, -60 dBFS
)

// NewLive opens a Live.
func NewLive(c LiveConfig) *Live {
	l := &Live{
		red:    c.Red,
		delay:  newDelay(),
		tape:   newTape(),
		voice:  newVoice(),
		res:    newResampler(),
		length: pcm.FrameSize,
	}
	l.voice.room(2*pcm.FrameSize + spliceMost)
	l.quality.Level, l.said = NoLevel, NoLevel
	return l
}

// Push takes a packet as it arrives; it copies what it keeps. When 600
// packets wait the oldest gives way.
func (l *Live) Push(p *Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quality.Packets++
	l.quality.Level = p.Level
	if len(p.Payload) > payloadMax {
		l.quality.Broken++
		return
	}
	var r redundancy
	var q Packet
	if !r.unpack(p, &q, l.red) {
		l.quality.Broken++
		return
	}
	seq, media, ok := l.push(&q)
	if ok {
		for i := range r.copies[:r.n] {
			s, m := r.original(i, seq, media)
			l.pushCopy(&q, &r.copies[i], s, m)
		}
	}
	for len(l.queue.queue) > liveEntries || l.bytes > liveBytes {
		l.quality.Dropped++
		l.release(l.queue.remove())
	}
}

// push takes a packet without redundancy and tells where it belongs.
func (l *Live) push(p *Packet) (seq, media int64, ok bool) {
	at := samplesAt(p.At)
	if l.straggles(p) {
		l.quality.Late++
		return 0, 0, false
	}
	if l.queue == nil || p.SSRC != l.queue.ssrc || !l.goesOn(p, at) {
		l.restart(p)
	}
	l.set(at)
	q := l.queue
	q.lastAt = p.At
	seq, media = q.unwrap(p)
	if q.seen.add(seq) {
		l.quality.Duplicates++
		return 0, 0, false
	}
	top := seq >= q.top
	if top {
		q.top, q.topMedia = seq, media
		l.jitter.add(at - media)
	}
	l.delay.add(at, at-media)
	if l.over(seq, media) {
		l.quality.Late++
		return seq, media, true
	}
	e := l.entry(p, seq, media)
	e.top = top
	if c := q.insert(e); c != nil {
		l.release(c)
	}
	return seq, media, true
}

// straggles tells whether p is of the sender that was before the present one,
// and not one that speaks again since the other has stopped.
func (l *Live) straggles(p *Packet) bool {
	q := l.queue
	if q == nil || p.SSRC == q.ssrc || p.SSRC != l.old || p.At >= l.changed+2*time.Second {
		return false
	}
	return int16(p.Seq-l.oldTop) <= 0 || p.At < q.lastAt+100*time.Millisecond
}

// over tells whether the time of a packet has passed.
func (l *Live) over(seq, media int64) bool {
	return !l.fresh && (seq <= l.seq || l.running && media < l.media-slack)
}

// pushCopy takes a copy that p carries of an earlier packet.
func (l *Live) pushCopy(p *Packet, b *block, seq, media int64) {
	q := l.queue
	if l.over(seq, media) || l.fresh && (len(q.queue) == 0 || seq < q.queue[0].seq) || !q.wants(b, seq, media) {
		return
	}
	p.Payload, p.Level = b.payload, NoLevel
	e := l.entry(p, seq, media)
	e.copied = true
	q.insert(e)
}

// goesOn tells whether p belongs to what was before, and not to a new run of
// numbers or times.
func (l *Live) goesOn(p *Packet, at int64) bool {
	q := l.queue
	seq, media := q.unwrap(p)
	numbers, times := seq-q.top, media-q.topMedia
	if numbers > 0 && times < 0 || numbers < 0 && times > 0 || numbers <= -seenSpan || numbers >= seenSpan {
		return false
	}
	late := at - media - l.delay.fastest()
	return late > -earlyLimit && late < 2*staleAfter
}

// restart begins with another sender, whose first packet is p.
func (l *Live) restart(p *Packet) {
	if q := l.queue; q != nil {
		for len(q.queue) > 0 {
			l.release(q.remove())
		}
		if q.ssrc != p.SSRC {
			l.old, l.oldTop, l.changed = q.ssrc, uint16(q.top), p.At
			l.delay = newDelay()
		}
		l.hush()
		l.voice.reset()
	} else {
		// The next frame is read at some time from its arrival on.
		l.now = samplesAt(p.At) - pcm.FrameSize
	}
	seq, media := int64(p.Seq), int64(p.Timestamp)
	l.queue = &epoch{ssrc: p.SSRC, top: seq, topMedia: media}
	l.queue.seen.top = seq - 1
	l.fresh, l.quiet = true, false
	l.delay.restart()
}

// set holds the clock to the arrivals: what is pushed after one frame and
// before the next arrived in between.
func (l *Live) set(at int64) {
	if next := l.now + pcm.FrameSize; at > next {
		l.now += at - next
	} else if at < l.now {
		l.now -= min(l.now-at, pcm.FrameSize/2)
	}
}

func (l *Live) entry(p *Packet, seq, media int64) *entry {
	var q *entry
	if n := len(l.free); n > 0 {
		q, l.free = l.free[n-1], l.free[:n-1]
	} else {
		q = new(entry)
	}
	*q = entry{seq: seq, media: media, at: p.At, level: p.Level, payload: keep(q.payload, p.Payload)}
	l.bytes += len(q.payload)
	return q
}

func (l *Live) release(q *entry) {
	l.bytes -= len(q.payload)
	l.free = append(l.free, q)
}

// End says that the stream left: what has arrived is played, then ReadFrame
// returns io.EOF.
func (l *Live) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// ReadFrame renders the frame that is due now.
func (l *Live) ReadFrame(f *pcm.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ahead && !l.fill() {
		*f = pcm.Frame{}
		return io.EOF
	}
	l.ahead = false
	for off := 0; off < pcm.FrameSize; {
		s, _ := l.tape.take(pcm.FrameSize - off)
		off += copy(f[off:], s)
	}
	return nil
}

// Prepare does the work of the next ReadFrame, which then copies what there is.
// It implements mixer.Preparer: several Lives are prepared at once.
func (l *Live) Prepare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = l.fill()
}

// fill puts the frame that is due now on the tape, or says that there is none.
func (l *Live) fill() bool {
	if l.ended && !l.running && l.tape.n == 0 && (l.queue == nil || len(l.queue.queue) == 0) {
		return false
	}
	l.now += pcm.FrameSize
	l.began = false
	l.balance()
	for l.tape.n < pcm.FrameSize {
		l.advance(pcm.FrameSize - l.tape.n)
	}
	return true
}

// Delay is how much sound is buffered at present.
func (l *Live) Delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	if q == nil {
		return 0
	}
	switch {
	case l.running:
		return pcm.Duration(max(q.topMedia+int64(l.length)-l.cursor(), 0))
	case len(q.queue) > 0:
		return pcm.Duration(q.topMedia + int64(l.length) - q.queue[0].media)
	default:
		return 0
	}
}

// Playing is the arrival of the packet that began to sound last in the frame
// read last, if one did.
func (l *Live) Playing() (at time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.playing, l.began
}

// AudioLevel is the level that the sender gave to what was read last (RFC 6464):
// 0 to 127 dB below overload, 127 for what is made up, [NoLevel] where nothing
// is known. It implements mixer.AudioLeveler and is for whoever reads, between two
// reads: nobody else touches it, so it takes no lock.
func (l *Live) AudioLevel() uint8 { return l.said }

// Target is how long the fastest packets are to wait.
func (l *Live) Target() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return pcm.Duration(l.delay.target + l.margin)
}

// Quality is how the stream has arrived so far.
func (l *Live) Quality() Quality {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.quality
	q.Jitter = l.jitter.ms()
	return q
}

// cursor is the media time of the next sample to be read. Sound that was made
// up while nothing came stands for no media time.
func (l *Live) cursor() int64 {
	return l.media - max(int64(l.res.lag())+int64(l.tape.n)-int64(l.stretch), 0)
}

// excess is by how much sound from media time head on is behind the time at which
// it is to be heard, as far as there is more of it than the target asks for. When
// the path gets longer all is behind, for two seconds, by the fastest packets of
// before; then nothing can be cut.
func (l *Live) excess(head int64) int64 {
	excess := l.now - l.due(head)
	if excess <= 0 {
		return excess
	}
	spare := l.queue.topMedia + int64(l.length) - head - l.delay.target - l.margin
	return max(min(excess, spare), 0)
}

// due is when media is to be heard.
func (l *Live) due(media int64) int64 {
	return media + l.delay.fastest() + l.delay.target + l.margin + guard
}
