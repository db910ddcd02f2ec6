package capture

import (
	"fmt"
	"slices"

	"mixdown/encoder"
	"mixdown/mixer/pcm"
	"mixdown/overview"
	"mixdown/storage"
)

// plan is an output before it is opened.
type plan struct {
	storage.Output
	bitrate int
	left    []string // of dual
	variant int      // 1 for the first output of its kind and format, then 2, 3, …
}

// plans lists the distinct outputs that the settings ask for. The same files
// asked for in two storages are one output with two storages.
func (s *settings) plans(what ...string) []plan {
	var all []plan
	for _, r := range s.Record {
		if !slices.Contains(what, r.What) {
			continue
		}
		if same := slices.IndexFunc(all, func(o plan) bool { return o.ID == r.ID }); same >= 0 {
			if !slices.Contains(all[same].Storage, r.Storage) {
				all[same].Storage = append(all[same].Storage, r.Storage)
			}
			continue
		}
		channels := s.Mix.Channels
		if r.What == "dual" {
			channels = 2
		}
		all = append(all, plan{storage.Output{
			ID: r.ID, What: r.What, Format: r.Format, Storage: []string{r.Storage},
			Channels: channels, SegmentSeconds: r.SegmentSeconds,
		}, r.Bitrate, r.Left, r.number()})
	}
	return all
}

// folder is the folder of an output: a second output of the same format
// cannot share the first one's.
func (p plan) folder(dir string) string {
	if p.variant <= 1 {
		return dir
	}
	return fmt.Sprintf("%s-%d", dir, p.variant)
}

// segment is the length of a segment in samples.
func (p plan) segment() int64 { return int64(p.SegmentSeconds) * pcm.Rate }

// mixOutput writes the mix into segments. It leaves out what an earlier life
// of the capture has sealed.
type mixOutput struct {
	t         *timeline
	plan      plan
	store     *outputStore
	segmenter *encoder.Segmenter // nil in a pause that skips
	next      int64              // frame that comes next
	from      int64              // first frame to write
	covered   pcm.Frame
	peaks     *overview.Peaks
	remove    func() // from the mixer
}

func newMixOutput(t *timeline, o plan) (*mixOutput, error) {
	s, err := t.archive.store(o.Output, o.folder(o.What), t.frame*pcm.FrameSize)
	if err != nil {
		return nil, err
	}
	return &mixOutput{t: t, plan: o, store: s, next: t.frame, from: max(s.progress.end, s.progress.behind) / pcm.FrameSize, peaks: t.peaksOf(o.Output)}, nil
}

// WriteFrame implements pcm.Writer. Its errors are the timeline's.
func (m *mixOutput) WriteFrame(f *pcm.Frame) error {
	if err := m.write(f); err != nil {
		m.t.fail(fmt.Errorf("record the mix: %w", err))
	}
	m.next++
	return nil
}

func (m *mixOutput) write(f *pcm.Frame) error {
	mode := func(frame int64) PauseMode { return m.t.at(frame).output(m.plan.ID) }
	now := mode(m.next)
	if now == PauseSkip {
		return m.skip()
	}
	if err := m.open(); err != nil {
		return err
	}
	f = cover(f, &m.covered, mode(m.next-1), now, mode(m.next+1), m.t.at(m.next).Tone, m.next*pcm.FrameSize)
	m.peaks.Frame(m.next*pcm.FrameSize, f)
	if m.next < m.from { // sealed; the encoder should have heard it
		return m.segmenter.Warm(f)
	}
	return m.segmenter.WriteFrame(f)
}

// skip leaves the next frame out.
func (m *mixOutput) skip() error {
	if m.segmenter == nil {
		return m.t.archive.pause(m.store.progress, m.next*pcm.FrameSize, m.t.at(m.next).reason(m.plan.ID))
	}
	seg := m.segmenter
	m.segmenter = nil
	if m.next >= m.from {
		if err := seg.Close(); err != nil {
			return err
		}
	}
	return m.skip()
}

// open begins to write, at first and after a pause that skipped.
func (m *mixOutput) open() error {
	if m.segmenter != nil {
		return nil
	}
	p := m.store.progress
	if err := m.t.archive.resume(p, m.next*pcm.FrameSize); err != nil {
		return err
	}
	var err error
	m.segmenter, err = encoder.NewSegmenter(m.store, encoder.Config{
		Format: m.plan.Format, Channels: m.plan.Channels, Bitrate: m.plan.bitrate, Every: m.plan.segment(),
		Start: max(m.next, m.from) * pcm.FrameSize, Index: p.index + 1,
	})
	if err != nil {
		return fmt.Errorf("output %s: %w", m.plan.ID, err)
	}
	return nil
}

func (m *mixOutput) flush() error {
	if m.segmenter == nil {
		return nil
	}
	return m.segmenter.Flush()
}

func (m *mixOutput) close() error {
	if m.segmenter == nil {
		return nil
	}
	return m.segmenter.Close()
}
