package capture

import (
	"fmt"
	"slices"

	"mixdown/storage"
)

// Gaps of the archive: a pause that skips ends an output's segment and begins
// another where it ends; what lies between is declared. Both ends are in the
// log before anything that follows them, and are found there again when the
// timeline is made anew: noting them twice changes nothing.

// noteGap takes a line of the log.
func (a *archive) noteGap(p *progress, g storage.Gap) {
	if g.Samples == 0 {
		p.gap, p.reason = g.StartSample, g.Reason
		return
	}
	p.gap, p.behind = -1, g.StartSample+g.Samples
	a.sealed.Gaps = append(a.sealed.Gaps, g)
}

// pause says that an output has nothing from sample at on. It begins where the
// last segment ended, which for a stream that was away is before.
func (a *archive) pause(p *progress, at int64, reason string) error {
	if p.gap >= 0 || at < p.behind || at < p.end || (p.output.What == "streams" && !p.started) {
		return nil
	}
	return a.gap(p, storage.Gap{Output: p.output.ID, StartSample: p.end, Reason: reason})
}

// resume says that the output goes on at sample at.
func (a *archive) resume(p *progress, at int64) error {
	if p.gap < 0 || at <= p.gap {
		return nil
	}
	return a.gap(p, storage.Gap{Output: p.output.ID, StartSample: p.gap, Samples: at - p.gap, Reason: p.reason})
}

func (a *archive) gap(p *progress, g storage.Gap) error {
	if err := a.write(archiveLine{Gap: &g}); err != nil {
		return fmt.Errorf("declare a gap of %s: %w", p.output.ID, err)
	}
	a.noteGap(p, g)
	return nil
}

// retire says that an output was removed.
func (a *archive) retire(p *progress) error {
	if p.retired {
		return nil
	}
	p.retired = true
	return a.write(archiveLine{Retired: p.output.ID})
}

// declared lists the gaps, open ones up to sample now.
func (a *archive) declared(now int64) []storage.Gap {
	all := slices.Clone(a.sealed.Gaps)
	for _, p := range a.outputs {
		if p.gap >= 0 && now > p.gap {
			all = append(all, storage.Gap{Output: p.output.ID, StartSample: p.gap, Samples: now - p.gap, Reason: p.reason})
		}
	}
	slices.SortFunc(all, func(x, y storage.Gap) int {
		if x.StartSample != y.StartSample {
			return int(x.StartSample - y.StartSample)
		}
		return compareIDs(x.Output, y.Output)
	})
	return all
}
