package encoder

import (
	"errors"
	"fmt"
	"iter"

	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// OriginalsConfig says how [Originals] writes.
type OriginalsConfig struct {
	Every int64 // samples in a segment, at least; 0: no cuts but where mono becomes stereo
	Index int   // of the first segment; 0 means 1
	// Resume is the sample at which the previous segment of this output ended,
	// or -1 if there is none: then the output begins with its first packet.
	Resume   int64
	Comments []string // Vorbis comments, "NAME=value"
}

const (
	frame    = pcm.FrameSize // samples of a packet of 20 ms
	grain    = opus.Grain    // holes are filled in steps of it: 2.5 ms
	maxLap   = 2 * grain     // overlap that is taken, to be made good by the next hole: 5 ms
	dtxBytes = 2             // packets up to this length carry no audio (RFC 6716 section 2.1.9)
)

// Originals writes the Opus packets of one stream through as they were
// received, placed by their time. The time between packets is filled with
// silent packets, so every player keeps the time; a packet lies within 1.25 ms
// of its true position, and as each is placed by its own position, no error
// adds up. Segments are cut between packets, at the first end of a packet at or
// after each multiple of Every since the output's first sample; each begins with
// the last 320 ms of the one before, not heard, and its Start is where the one
// before ended. A file says at its beginning how many channels it has, so where
// a mono stream becomes stereo another segment begins, and stereo it stays.
//
// The newest packet is held back until the next call says how it goes on.
// Errors never move time: what WriteFrame of [Segmenter] promises about lost
// files holds here too.
type Originals struct {
	store    Store
	c        OriginalsConfig
	channels int   // 2 as soon as a packet of stereo was received
	first    int64 // first sample of the output; the grid of cuts hangs on it
	end      int64 // sample up to which the output reaches, the held packet included
	began    bool  // first and end are known
	early    bool  // still before Resume: packets are remembered, not written
	held     bool  // the newest packet is not written yet
	closed   bool
	dropped  int64

	index int // of the open segment, or of the next one
	file  File
	start int64
	width int // its channels
	ogg   *ogg.Writer

	recent recent
}

// NewOriginals opens an output; the first packet, or with Resume the first
// silence, creates a file.
func NewOriginals(store Store, c OriginalsConfig) *Originals {
	o := &Originals{store: store, c: c, index: max(c.Index, 1), channels: 1}
	if c.Resume >= 0 {
		o.first, o.end, o.began, o.early = c.Resume, c.Resume, true, true
	}
	return o
}

// Write takes the packet that begins at sample pos and lasts for this many
// samples; its own head overrules them. The payload is copied. Positions must
// not go back behind the end of the packet before by more than rounding: an
// overlap of up to 5 ms is taken and made good at the next hole, a packet that
// laps further is dropped and counted. A malformed packet is dropped, and one
// of DTX (up to two bytes) is silence.
//
// With Resume, packets from before it may be written first, in order: they are
// not stored but let the new segment go on without a seam.
func (o *Originals) Write(pos int64, samples int, payload []byte) error {
	if o.closed {
		return ErrClosed
	}
	n := int64(samples)
	if len(payload) > 0 {
		d, err := opus.Duration(payload)
		if err != nil {
			o.dropped++
			return nil //nolint:nilerr // no Opus packet: counted, and the hole is silence
		}
		n, o.channels = int64(d), max(o.channels, opus.Channels(payload))
	}
	if !o.began {
		o.first, o.end, o.began = pos, pos, true
	}
	if o.early {
		if pos+n/2 < o.c.Resume {
			o.remember(pos, n, payload)
			return nil
		}
		o.resume()
	}
	if pos < o.end-maxLap {
		o.dropped++
		return nil
	}
	err := o.fill(pos - o.end + grain/2)
	if len(payload) <= dtxBytes {
		err = errors.Join(err, o.fill(n))
	} else {
		err = errors.Join(err, o.put(payload, int(n)))
	}
	if err != nil {
		return fmt.Errorf("write packet at sample %d: %w", pos, err)
	}
	return nil
}

// Advance says that nothing before sample pos will come any more: silence is
// filled in up to there in whole packets of 20 ms, and segments that ended are
// committed. Before the first packet of an output it does nothing.
func (o *Originals) Advance(pos int64) error {
	if o.closed {
		return ErrClosed
	}
	if !o.began || o.early && pos < o.c.Resume {
		return nil
	}
	if o.early {
		o.resume()
	}
	err := o.fill((pos - o.end) / frame * frame)
	if pos >= o.end && o.full() {
		err = errors.Join(err, o.release(), o.commit(0))
	}
	if err != nil {
		return fmt.Errorf("advance to sample %d: %w", pos, err)
	}
	return nil
}

// Flush hands what was written so far, but for the newest packet, to the file,
// which then is readable up to there. It does not sync the disk.
func (o *Originals) Flush() error {
	if o.closed {
		return ErrClosed
	}
	if o.ogg == nil {
		return nil
	}
	if err := o.ogg.Flush(); err != nil {
		return fmt.Errorf("flush: %w", o.abandon(err))
	}
	return nil
}

// Close ends the output at sample pos exactly, with silence or by an end trim
// of the newest packet, and commits the last segment.
func (o *Originals) Close(pos int64) error {
	if o.closed {
		return ErrClosed
	}
	if o.early && pos > o.c.Resume {
		o.resume()
	}
	if !o.began || o.early {
		o.closed = true
		return nil
	}
	err := o.fill(pos - o.end + grain - 1)
	o.closed = true
	if err = errors.Join(err, o.finish(pos)); err != nil {
		return fmt.Errorf("close at sample %d: %w", pos, err)
	}
	return nil
}

// finish commits what is open so that the output ends at sample pos.
func (o *Originals) finish(pos int64) error {
	trim := 0
	if o.held {
		n := o.recent.back(0).samples
		trim = min(max(int(o.end-pos), 0), n)
		if trim == n && o.file == nil {
			// The segment would begin with what does not count: there is none.
			o.held = false
		} else if err := o.release(); err != nil {
			return err
		}
	}
	o.end -= int64(trim)
	if o.file == nil {
		return nil
	}
	return o.commit(trim)
}

// End is the sample up to which the output reaches; 0 before it has begun.
func (o *Originals) End() int64 {
	if o.early {
		return o.c.Resume
	}
	return o.end
}

// Dropped is the number of packets that were malformed or lay over others.
func (o *Originals) Dropped() int64 { return o.dropped }

// fill puts silence of up to n samples; a rest under 2.5 ms stays open. Where no
// file can be written, the time passes all the same and the rest is lost.
func (o *Originals) fill(n int64) (err error) {
	until := o.end + n - n%grain
	for size := range silences(n) {
		if e := o.put(opus.Silence(size, o.channels), size); e != nil {
			err = errors.Join(err, e)
			if o.file == nil {
				o.end = until
				break
			}
		}
	}
	return err
}

// silences is the row of packet lengths for silence of up to n samples: 20 ms
// ones, then shorter ones; a rest under 2.5 ms is left.
func silences(n int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for size := int64(frame); size >= grain; size /= 2 {
			for ; n >= size; n -= size {
				if !yield(int(size)) {
					return
				}
			}
		}
	}
}

// put appends a packet: the one held so far is written, this one is held.
// Whatever happens the packet counts, for time goes on.
func (o *Originals) put(packet []byte, samples int) error {
	err := o.release()
	if err == nil && (o.full() || o.width < o.channels) {
		err = o.commit(0)
	}
	o.recent.push(packet, samples)
	o.end += int64(samples)
	o.held = true
	return err
}

// release writes the held packet, into a new segment if none is open.
func (o *Originals) release() error {
	if !o.held {
		return nil
	}
	o.held = false
	p := o.recent.back(0)
	if o.file == nil {
		start := o.end - int64(p.samples)
		f, err := o.store.Create(Segment{Index: o.index, Start: start})
		if err != nil {
			return fmt.Errorf("create segment %d: %w", o.index, err)
		}
		o.file, o.start, o.width = f, start, o.channels
		o.ogg, err = o.recent.begin(f, Segment{Index: o.index, Start: start}, o.channels, 0, o.c.Comments)
		if err != nil {
			return o.abandon(err)
		}
	}
	if err := o.ogg.WritePacket(p.data, p.samples); err != nil {
		return o.abandon(err)
	}
	return nil
}

// full tells whether the open segment, with the held packet, has reached the
// next cut.
func (o *Originals) full() bool {
	if o.c.Every <= 0 || o.file == nil && !o.held {
		return false
	}
	start := o.start
	if o.file == nil {
		start = o.end - int64(o.recent.back(0).samples)
	}
	return (o.end-o.first)/o.c.Every > (start-o.first)/o.c.Every
}

// commit ends the open segment, trim samples before its last packet does.
func (o *Originals) commit(trim int) error {
	if o.file == nil {
		return nil // it was given up
	}
	if err := o.ogg.Close(trim); err != nil {
		return o.abandon(err)
	}
	f, seg := o.file, Segment{Index: o.index, Start: o.start, Samples: o.end - o.start}
	o.leave()
	if err := o.store.Commit(f, seg); err != nil {
		return fmt.Errorf("commit segment %d: %w", seg.Index, err)
	}
	return nil
}

func (o *Originals) abandon(err error) error {
	if o.file == nil {
		return err
	}
	err = fmt.Errorf("segment %d: %w", o.index, err)
	o.leave()
	return err
}

func (o *Originals) leave() {
	o.file, o.ogg = nil, nil
	o.index++
}

// remember keeps a packet from before Resume for the pre-roll, with the
// silence before it.
func (o *Originals) remember(pos, samples int64, payload []byte) {
	o.quiet(pos)
	if len(payload) > dtxBytes {
		o.recent.push(payload, int(samples))
	} else {
		o.end = pos
		o.quiet(pos + samples)
	}
	o.end = pos + samples
}

// resume ends the time before Resume.
func (o *Originals) resume() {
	o.quiet(o.c.Resume)
	o.early = false
	o.end = o.c.Resume
}

// quiet remembers silence up to sample pos, as much of it as a pre-roll needs,
// if a packet was remembered before.
func (o *Originals) quiet(pos int64) {
	if o.recent.held == 0 {
		return
	}
	for size := range silences(min(pos-o.end+grain/2, 2*convergence)) {
		o.recent.push(opus.Silence(size, o.channels), size)
	}
}
