package capture

import (
	"fmt"
	"path"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/overview"
	"mixdown/storage"
)

// waveKind is the type of the lines that hold an output's levels.
const waveKind = "wave"

// wave is what one output looks like since the last line about it.
type wave struct {
	output string
	peaks  overview.Peaks
}

// peaksOf is where an output's levels go. An encrypted recording has none: its
// event log would tell them to somebody who has the key of no voice in it, and
// keep them when a voice is erased.
func (t *timeline) peaksOf(o storage.Output) *overview.Peaks {
	if t.archive.encryption.on() {
		return nil
	}
	for _, w := range t.waves {
		if w.output == o.ID {
			return &w.peaks
		}
	}
	w := &wave{output: o.ID}
	t.waves = append(t.waves, w)
	return &w.peaks
}

// noteWaves writes the levels that are worth a line, or all. A checkpoint has
// none of them, so all must be written before one: what is rendered after it is
// rendered again, and its lines are cut off.
func (t *timeline) noteWaves(all bool) {
	for _, w := range t.waves {
		if !all && !w.peaks.Due(t.frame*pcm.FrameSize) {
			continue
		}
		if pos, peaks := w.peaks.Take(); len(peaks) > 0 {
			t.events.note(pcm.Duration(pos), event{Type: waveKind, Who: Scope{Output: w.output}, Peaks: peaks})
		}
	}
}

// time is that of the present frame.
func (t *timeline) time() time.Duration { return time.Duration(t.frame) * pcm.FrameTime }

// sealOverview stores what the recording looks like, so that no player has to
// read all of it to show it. The manifest m is what is sealed with it.
func (c *Capture) sealOverview(m *storage.Manifest, buckets []string) error {
	if m.Encryption != nil {
		return nil
	}
	events, err := c.timeline.events.reader()
	if err != nil {
		return err
	}
	o, err := overview.Digest(m, events)
	if err != nil {
		return err
	}
	b, err := o.Encode()
	if err != nil {
		return err
	}
	sealed, err := c.env.Spool.Put(path.Join(c.Base(), storage.OverviewName), b, buckets)
	if err != nil {
		return fmt.Errorf("store %s: %w", storage.OverviewName, err)
	}
	m.AppendFile(storage.OverviewName, sealed)
	return nil
}
