package capture

import (
	"fmt"
	"path"
	"slices"

	"mixdown/encoder"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"

	"mixdown/joiner"
)

// plan is an output before it is opened.
type plan struct {
	storage.Output
	bitrate int
	left    []string // of dual
	variant int      // 0 for the first output of its kind and format, then 1, 2, …
}

// outputsOf lists the distinct outputs of one kind that a spec asks for. The
// same files asked for in two storages are one output with two storages.
func outputsOf(spec Spec, what string) []plan {
	var all []plan
	for _, r := range spec.Record {
		if r.What != what {
			continue
		}
		id := what + "-" + r.Format
		same := slices.IndexFunc(all, func(o plan) bool {
			return o.Format == r.Format && o.SegmentSeconds == r.SegmentSeconds && o.bitrate == r.Bitrate && slices.Equal(o.left, r.Left)
		})
		if same >= 0 {
			if !slices.Contains(all[same].Storage, r.Storage) {
				all[same].Storage = append(all[same].Storage, r.Storage)
			}
			continue
		}
		n := 0
		for _, o := range all {
			if o.Format == r.Format {
				n++
			}
		}
		if n > 0 {
			id = fmt.Sprintf("%s-%d", id, n+1)
		}
		channels := spec.Mix.Channels
		if what == "dual" {
			channels = 2
		}
		all = append(all, plan{storage.Output{
			ID: id, What: what, Format: r.Format, Storage: []string{r.Storage},
			Channels: channels, SegmentSeconds: r.SegmentSeconds,
		}, r.Bitrate, r.Left, n})
	}
	return all
}

// folder is the folder of an output: a second output of the same format
// cannot share the first one's.
func (p plan) folder(dir string) string {
	if p.variant == 0 {
		return dir
	}
	return fmt.Sprintf("%s-%d", dir, p.variant+1)
}

// segment is the length of a segment in samples.
func (p plan) segment() int64 { return int64(p.SegmentSeconds) * pcm.Rate }

// mixOutput writes the mix into segments. It leaves out what an earlier life
// of the capture has sealed.
type mixOutput struct {
	t         *timeline
	segmenter *encoder.Segmenter
	next      int64 // frame that comes next
	from      int64 // first frame to write
}

func newMixOutput(t *timeline, o plan) (*mixOutput, error) {
	s, err := t.archive.store(o.Output, o.folder(o.What))
	if err != nil {
		return nil, err
	}
	p := s.progress
	seg, err := encoder.NewSegmenter(s, encoder.Config{
		Format: o.Format, Channels: o.Channels, Bitrate: o.bitrate, Every: o.segment(),
		Start: p.end, Index: p.index + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", o.ID, err)
	}
	return &mixOutput{t: t, segmenter: seg, next: t.frame, from: p.end / pcm.FrameSize}, nil
}

// WriteFrame implements pcm.Writer. Its errors are the timeline's.
func (m *mixOutput) WriteFrame(f *pcm.Frame) error {
	write := m.segmenter.WriteFrame
	if m.next < m.from {
		write = m.segmenter.Warm // sealed; the encoder should have heard it
	}
	if err := write(f); err != nil {
		m.t.fail(fmt.Errorf("record the mix: %w", err))
	}
	m.next++
	return nil
}

// stems are the files of one stream, over all its stays.
type stems struct {
	t         *timeline
	stream    joiner.Stream
	stays     int // that write now
	originals []*encoder.Originals
	segmented []*segmented
}

// segmented is a stream decoded into segments of PCM. Its segmenter begins
// with the stream's first packet.
type segmented struct {
	store     *outputStore
	plan      plan
	segmenter *encoder.Segmenter
	next      int64 // frame that the segmenter waits for
}

// stemsOf finds or opens the files of a stream.
func (t *timeline) stemsOf(s joiner.Stream) *stems {
	key := streamKey(s.User.ID, s.ID)
	if st := t.stems[key]; st != nil {
		return st
	}
	st := &stems{t: t, stream: s}
	t.stems[key] = st
	for _, o := range outputsOf(t.spec, "streams") {
		t.fail(st.open(o))
	}
	return st
}

func (s *stems) open(o plan) error {
	o.ID += "/" + streamKey(s.stream.User.ID, s.stream.ID)
	o.StreamID, o.UserID = s.stream.ID, s.stream.User.ID
	dir := path.Join(o.folder("streams"), storage.KeyName(s.stream.User.ID), storage.KeyName(s.stream.ID))
	store, err := s.t.archive.store(o.Output, dir)
	if err != nil {
		return err
	}
	p := store.progress
	if o.Format != "ogg" {
		s.segmented = append(s.segmented, &segmented{store: store, plan: o, next: -1})
		return nil
	}
	resume := int64(-1)
	if p.started {
		resume = p.end
	}
	s.originals = append(s.originals, encoder.NewOriginals(store, encoder.OriginalsConfig{
		Every: o.segment(), Index: p.index + 1, Resume: resume,
	}))
	return nil
}

// decoded says that somebody wants the stream's samples.
func (s *stems) decoded() bool { return len(s.segmented) > 0 }

// write passes one packet on.
func (s *stems) write(p playout.Placed) error {
	for _, o := range s.originals {
		if err := o.Write(p.Pos, p.Samples, p.Payload); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
	}
	for _, o := range s.segmented {
		if err := o.begin(p.Pos / pcm.FrameSize); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
	}
	return nil
}

// begin opens the segmenter at the frame of the first packet, or where the
// last stay ended.
func (o *segmented) begin(frame int64) error {
	if o.segmenter != nil {
		return nil
	}
	p := o.store.progress
	o.next = max(frame, 0)
	if p.started {
		o.next = p.end / pcm.FrameSize
	}
	var err error
	o.segmenter, err = encoder.NewSegmenter(o.store, encoder.Config{
		Format: o.plan.Format, Channels: o.plan.Channels, Every: o.plan.segment(),
		Start: o.next * pcm.FrameSize, Index: p.index + 1,
	})
	return err
}

// writeFrame passes one decoded frame on, after silence for the time since
// the last.
func (s *stems) writeFrame(frame int64, f *pcm.Frame) error {
	for _, o := range s.segmented {
		if o.segmenter == nil || frame < o.next {
			continue
		}
		if err := o.fill(frame); err != nil {
			return err
		}
		if err := o.segmenter.WriteFrame(f); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
		o.next++
	}
	return nil
}

func (o *segmented) fill(frame int64) error {
	var silence pcm.Frame
	for ; o.next < frame; o.next++ {
		if err := o.segmenter.WriteFrame(&silence); err != nil {
			return fmt.Errorf("record stream %s: %w", o.plan.StreamID, err)
		}
	}
	return nil
}

// advance says that nothing before pos will come any more.
func (s *stems) advance(pos int64) error {
	for _, o := range s.originals {
		if err := o.Advance(pos); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
	}
	return nil
}

func (s *stems) flush() error {
	for _, o := range s.originals {
		if err := o.Flush(); err != nil {
			return fmt.Errorf("flush stream %s: %w", s.stream.ID, err)
		}
	}
	for _, o := range s.segmented {
		if o.segmenter == nil {
			continue
		}
		if err := o.segmenter.Flush(); err != nil {
			return fmt.Errorf("flush stream %s: %w", s.stream.ID, err)
		}
	}
	return nil
}

// close ends the files at sample pos.
func (s *stems) close(pos int64) error {
	for _, o := range s.originals {
		if err := o.Close(pos); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
	}
	for _, o := range s.segmented {
		if o.segmenter == nil {
			continue
		}
		if err := o.fill(pos / pcm.FrameSize); err != nil {
			return err
		}
		if err := o.segmenter.Close(); err != nil {
			return fmt.Errorf("record stream %s: %w", s.stream.ID, err)
		}
		o.segmenter = nil
	}
	return nil
}
