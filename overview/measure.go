package overview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"mixdown/encoder"
	"mixdown/storage"
)

// Opener opens a file of a recording.
type Opener func(ctx context.Context, path string) (io.ReadCloser, error)

// Measure makes the overview of a recording that was sealed without one: of its
// event log, and of its audio, of which it decodes so many samples at most, mixes
// first. Outputs for which that was too little are named as unmeasured. A
// stream that was recorded in several formats is decoded once. Files that are missing
// or broken are silence; verify is what tells of them.
func Measure(ctx context.Context, m *storage.Manifest, open Opener, most int64) (*Overview, error) {
	o := empty(m)
	f, err := open(ctx, storage.EventsName)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was lost, or rebuilt without
	case err != nil:
		return nil, fmt.Errorf("measure: %w", err)
	default:
		o, err = Digest(m, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("measure: %w", err)
		}
	}
	order := make([]*Wave, len(o.Waves))
	for i := range o.Waves {
		order[i] = &o.Waves[i]
	}
	slices.SortStableFunc(order, func(a, b *Wave) int { return rank(a.What) - rank(b.What) })
	for _, w := range order {
		if len(w.Peaks) > 0 || o.seen(w) {
			continue
		}
		for _, s := range m.Segments {
			if s.Output != w.Output {
				continue
			}
			if most -= s.Samples; most < 0 {
				o.Unmeasured = append(o.Unmeasured, w.Output)
				break
			}
			if err := w.measure(ctx, s, open, formatOf(m, w.Output)); err != nil {
				return nil, fmt.Errorf("measure %s: %w", s.Path, err)
			}
		}
	}
	return o, nil
}

// rank is the order in which outputs are worth their decoding.
func rank(what string) int { return slices.Index([]string{"mix", "dual", "streams"}, what) }

// seen says that the stream of a wave has one already.
func (o *Overview) seen(w *Wave) bool {
	return w.StreamID != "" && slices.ContainsFunc(o.Waves, func(x Wave) bool {
		return x.StreamID == w.StreamID && x.UserID == w.UserID && len(x.Peaks) > 0
	})
}

func formatOf(m *storage.Manifest, output string) string {
	if i := slices.IndexFunc(m.Outputs, func(o storage.Output) bool { return o.ID == output }); i >= 0 {
		return m.Outputs[i].Format
	}
	return ""
}

// measure lays the peaks of one segment.
func (w *Wave) measure(ctx context.Context, s storage.Segment, open Opener, format string) error {
	f, err := open(ctx, s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	read, err := encoder.Reader(format, f)
	if err != nil {
		return nil //nolint:nilerr // not audio: silence, and verify tells
	}
	var buf [Step][2]float32
	end := s.StartSample + s.Samples
	for pos := s.StartSample; pos < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := read(buf[:min(Step-pos%Step, end-pos)])
		if n > 0 {
			w.lay(pos/Step, []byte{code(loudest(buf[:n]))}, pos/Step+1)
			pos += int64(n)
		}
		if err != nil || n == 0 {
			return nil // broken or short: silence from here
		}
	}
	return nil
}

func loudest(samples [][2]float32) (peak float32) {
	for _, v := range samples {
		peak = max(peak, float32(math.Abs(float64(v[0]))), float32(math.Abs(float64(v[1]))))
	}
	return peak
}
