package capture

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"mixdown/encoder"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/overview"
	"mixdown/storage"
)

// stems are the files of one stream, over all its stays.
type stems struct {
	t      *timeline
	stream joiner.Stream
	stays  int // that write now
	files  []stem
}

// stem is one output of a stream: its own packets, or its samples.
type stem interface {
	base() string // the id of the record entry
	// packet takes a packet as it is placed and says whether it is kept.
	packet(p playout.Placed) (kept bool, err error)
	// frame takes a decoded frame, if decoded says so.
	frame(n int64, f *pcm.Frame) error
	decoded() bool
	// turn comes before each frame at which settings change.
	turn(frame int64) error
	// advance says that nothing before sample pos will come any more.
	advance(pos int64) error
	flush() error
	// close ends the file at sample pos. A later packet begins another.
	close(pos int64) error
}

// stemsOf finds or opens the files of a stream.
func (t *timeline) stemsOf(s joiner.Stream) *stems {
	key := streamKey(s.User.ID, s.ID)
	if st := t.stems[key]; st != nil {
		return st
	}
	st := &stems{t: t, stream: s}
	t.stems[key] = st
	for _, o := range t.at(t.frame - 1).plans("streams") {
		t.fail(st.open(o))
	}
	return st
}

// open opens one output of the stream.
func (s *stems) open(o plan) error {
	base := stemBase{t: s.t, stream: s.stream, id: o.ID}
	o.ID += "/" + streamKey(s.stream.User.ID, s.stream.ID)
	o.StreamID, o.UserID = s.stream.ID, s.stream.User.ID
	dir := path.Join(o.folder("streams"), storage.KeyName(s.stream.User.ID), storage.KeyName(s.stream.ID))
	store, err := s.t.archive.store(o.Output, dir, 0)
	if err != nil {
		return err
	}
	base.store, base.plan, base.peaks = store, o, s.t.peaksOf(o.Output)
	if o.Format == "ogg" {
		s.files = append(s.files, &original{stemBase: base})
	} else {
		s.files = append(s.files, &segmented{stemBase: base, next: -1})
	}
	return nil
}

// drop ends one output of the stream at sample pos.
func (s *stems) drop(id string, pos int64) (err error) {
	s.files = slices.DeleteFunc(s.files, func(f stem) bool {
		if f.base() != id {
			return false
		}
		err = errors.Join(err, f.close(pos))
		return true
	})
	return err
}

// decoded says that somebody wants the stream's samples.
func (s *stems) decoded() bool { return slices.ContainsFunc(s.files, stem.decoded) }

// write passes one packet on and says whether the first file of the stream's
// own packets has it.
func (s *stems) write(p playout.Placed) (kept bool, err error) {
	first := true
	for _, f := range s.files {
		has, e := f.packet(p)
		err = errors.Join(err, e)
		if !f.decoded() && first {
			kept, first = has, false
		}
	}
	return kept, s.wrap(err)
}

func (s *stems) writeFrame(n int64, f *pcm.Frame) error {
	return s.each(func(o stem) error { return o.frame(n, f) })
}

func (s *stems) turn(frame int64) error {
	return s.each(func(o stem) error { return o.turn(frame) })
}

func (s *stems) advance(pos int64) error {
	return s.each(func(o stem) error { return o.advance(pos) })
}

func (s *stems) flush() error { return s.each(stem.flush) }

func (s *stems) close(pos int64) error {
	return s.each(func(o stem) error { return o.close(pos) })
}

func (s *stems) each(do func(stem) error) (err error) {
	for _, f := range s.files {
		err = errors.Join(err, do(f))
	}
	return s.wrap(err)
}

func (s *stems) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
	}
	return nil
}

// stemBase is what both kinds of stem have.
type stemBase struct {
	t      *timeline
	stream joiner.Stream
	id     string
	store  *outputStore
	plan   plan
	peaks  *overview.Peaks
}

func (s *stemBase) base() string { return s.id }

func (s *stemBase) mode(frame int64) PauseMode { return s.t.at(frame).own(s.id, s.stream) }

// gap notes that a pause that skips began or ended before a frame. Close has
// ended the file by then.
func (s *stemBase) gap(frame int64) error {
	if s.mode(frame) == PauseSkip {
		return s.t.archive.pause(s.store.progress, frame*pcm.FrameSize, s.t.at(frame).reason(s.id))
	}
	return s.t.archive.resume(s.store.progress, frame*pcm.FrameSize)
}

// original is a stream's own packets.
type original struct {
	stemBase
	file *encoder.Originals // nil until a packet comes, and in a pause that skips
}

func (o *original) decoded() bool { return false }

// frame only looks at the samples: the file has the packets.
func (o *original) frame(n int64, f *pcm.Frame) error {
	if o.peaks != nil && o.mode(n) == "" {
		o.peaks.Frame(n*pcm.FrameSize, f)
	}
	return nil
}

func (o *original) packet(p playout.Placed) (bool, error) {
	frame := p.Pos / pcm.FrameSize
	if o.mode(frame) != "" {
		return false, nil
	}
	if o.file == nil {
		if err := o.gap(frame); err != nil {
			return false, err
		}
		o.open()
	}
	if o.t.mix == nil && p.Level != playout.NoLevel { // nobody decodes it
		o.peaks.Level(p.Pos, p.Samples, p.Level&127)
	}
	return true, o.file.Write(p.Pos, p.Samples, p.Payload)
}

// open goes on where the last segment ended, or a gap.
func (o *original) open() {
	p := o.store.progress
	resume := int64(-1)
	if p.started {
		resume = max(p.end, p.behind)
	}
	o.file = encoder.NewOriginals(o.store, encoder.OriginalsConfig{Every: o.plan.segment(), Index: p.index + 1, Resume: resume})
}

func (o *original) turn(frame int64) error {
	if o.mode(frame) == PauseSkip {
		if err := o.close(frame * pcm.FrameSize); err != nil {
			return err
		}
	}
	return o.gap(frame)
}

func (o *original) advance(pos int64) error {
	if o.file == nil {
		return o.begin(pos)
	}
	return o.file.Advance(pos)
}

// begin lets a file that was there go on in silence.
func (o *original) begin(pos int64) error {
	if p := o.store.progress; !p.started || p.gap >= 0 || pos <= max(p.end, p.behind) {
		return nil
	}
	o.open()
	return o.file.Advance(pos)
}

func (o *original) flush() error {
	if o.file == nil {
		return nil
	}
	return o.file.Flush()
}

func (o *original) close(pos int64) error {
	if o.file == nil {
		if err := o.begin(pos); err != nil || o.file == nil {
			return err
		}
	}
	file := o.file
	o.file = nil
	return file.Close(pos)
}

// segmented is a stream decoded into segments of PCM. Its segmenter begins
// with the stream's first packet.
type segmented struct {
	stemBase
	segmenter *encoder.Segmenter
	next      int64 // frame that the segmenter waits for
	covered   pcm.Frame
}

func (o *segmented) decoded() bool { return true }

// packet begins the file at the frame of the first packet, or where the last
// stay ended.
func (o *segmented) packet(p playout.Placed) (bool, error) {
	frame := p.Pos / pcm.FrameSize
	if o.segmenter != nil || o.mode(frame) == PauseSkip {
		return false, nil
	}
	if err := o.gap(frame); err != nil {
		return false, err
	}
	return false, o.open(frame)
}

func (o *segmented) open(frame int64) (err error) {
	p := o.store.progress
	o.next = max(frame, 0)
	if p.started {
		o.next = max(p.end, p.behind) / pcm.FrameSize
	}
	o.segmenter, err = encoder.NewSegmenter(o.store, encoder.Config{
		Format: o.plan.Format, Channels: o.plan.Channels, Every: o.plan.segment(),
		Start: o.next * pcm.FrameSize, Index: p.index + 1,
	})
	return err
}

// frame passes one decoded frame on, after silence for the time since the
// last.
func (o *segmented) frame(n int64, f *pcm.Frame) error {
	if o.peaks != nil && o.mode(n) == "" { // also of what is sealed: its lines may have been cut off
		o.peaks.Frame(n*pcm.FrameSize, f)
	}
	if o.segmenter == nil {
		// After a pause the file goes on without waiting for a packet.
		p := o.store.progress
		if !p.started || p.gap >= 0 || n*pcm.FrameSize < max(p.end, p.behind) || o.mode(n) == PauseSkip {
			return nil
		}
		if err := o.open(n); err != nil {
			return err
		}
	}
	if n < o.next {
		return nil
	}
	if err := o.fill(n); err != nil {
		return err
	}
	mode := o.mode(n)
	if mode == PauseTone {
		mode = PauseSilence
	}
	f = cover(f, &o.covered, o.mode(n-1), mode, o.mode(n+1), ToneSpec{}, 0)
	if err := o.segmenter.WriteFrame(f); err != nil {
		return err
	}
	o.next++
	return nil
}

func (o *segmented) turn(frame int64) error {
	if o.mode(frame) == PauseSkip {
		if err := o.close(frame * pcm.FrameSize); err != nil {
			return err
		}
	}
	return o.gap(frame)
}

func (o *segmented) fill(frame int64) error {
	var silence pcm.Frame
	for ; o.next < frame; o.next++ {
		if err := o.segmenter.WriteFrame(&silence); err != nil {
			return err
		}
	}
	return nil
}

func (o *segmented) advance(int64) error { return nil }

func (o *segmented) flush() error {
	if o.segmenter == nil {
		return nil
	}
	return o.segmenter.Flush()
}

func (o *segmented) close(pos int64) error {
	if o.segmenter == nil {
		return nil
	}
	err := o.fill(pos / pcm.FrameSize)
	if err == nil {
		err = o.segmenter.Close()
	}
	o.segmenter = nil
	return err
}
