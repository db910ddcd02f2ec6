package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// spanSlack is how far the first and last instant of a stream's ledger may be
// from when it was announced and withdrawn: setting up media takes a while.
const spanSlack = 5 * time.Second

func problemOf(m *Manifest, s Segment) Problem {
	return Problem{Segment: s.Path, From: s.Start.Time, To: AtSample(m.Start, s.StartSample+s.Samples).Time}
}

// structure checks what the manifest says against itself.
func (v *verification) structure(m *Manifest) {
	v.chain(m)
	seen := make(map[string]bool)
	for _, s := range m.Segments {
		p := problemOf(m, s)
		if seen[s.Path] {
			p.Text = "is named twice in the manifest"
			v.report.Problems = append(v.report.Problems, p)
		}
		seen[s.Path] = true
	}
	for _, d := range m.Files {
		if seen[d.Path] || d.Path == ManifestName || d.Path == SignatureName || d.Path == TimeStampName {
			v.found(d.Path, "is named twice in the manifest")
		}
		seen[d.Path] = true
	}
	outputs := make(map[string]bool)
	for _, o := range m.Outputs {
		if outputs[o.ID] {
			v.found(ManifestName, fmt.Sprintf("output %q is named twice", o.ID))
		}
		outputs[o.ID] = true
	}
	v.order(m, outputs)
	v.ledgers(m)
}

func (v *verification) chain(m *Manifest) {
	var previous [32]byte
	broken := false
	for _, s := range m.Segments {
		p := problemOf(m, s)
		sum, err1 := hex.DecodeString(s.SHA256)
		said, err2 := hex.DecodeString(s.Chain)
		switch {
		case err1 != nil || len(sum) != 32 || err2 != nil || len(said) != 32:
			p.Text = "its sha256 or chain in the manifest is no SHA-256"
			v.report.Problems = append(v.report.Problems, p)
			broken = true
			continue
		// After the first break every later link is wrong: one finding is enough.
		case !broken && chainAfter(previous, [32]byte(sum)) != s.Chain:
			p.Text = "the chain is broken here: this segment, or one before it, was changed, removed, added or moved"
			v.report.Problems = append(v.report.Problems, p)
			broken = true
		}
		previous = [32]byte(said)
	}
	if m.Sealed != nil && m.Sealed.Head != m.Head() {
		v.found(ManifestName, "the head of the chain is not that of the last segment: segments are missing at the end")
	}
	if head := strings.ToLower(v.options.Head); head != "" && head != (&Manifest{}).Head() &&
		!slices.ContainsFunc(m.Segments, func(s Segment) bool { return s.Chain == head }) {
		text := fmt.Sprintf("the chain never had the known head %s: its end was cut off, or it was made anew, or that is of another recording", head)
		if running(m) {
			text += "; it still runs, and its manifest may be some minutes older than its newest segment: try again"
		}
		v.found(ManifestName, text)
	}
}

// order checks that the segments of every output follow each other without a
// gap that the manifest does not declare, and that their times are true.
func (v *verification) order(m *Manifest, outputs map[string]bool) {
	last := make(map[string]Segment)
	for _, s := range m.Segments {
		p := problemOf(m, s)
		report := func(format string, args ...any) {
			p.Text = fmt.Sprintf(format, args...)
			v.report.Problems = append(v.report.Problems, p)
		}
		if !outputs[s.Output] {
			report("its output %q is not in the manifest", s.Output)
		}
		if s.StartSample < 0 || s.Samples <= 0 || s.Bytes < 0 {
			report("impossible figures: start %d, %d samples, %d bytes", s.StartSample, s.Samples, s.Bytes)
		}
		if off := s.Start.Sub(AtSample(m.Start, s.StartSample).Time); off.Abs() > 2*time.Millisecond {
			report("its start is %v off its place at sample %d", off, s.StartSample)
		}
		before, follows := last[s.Output]
		if want := before.Index + 1; s.Index != want {
			report("is segment %d of its output where %d is due", s.Index, want)
		}
		if end := before.StartSample + before.Samples; follows && s.StartSample != end && !declared(m.Gaps, s.Output, end, s.StartSample) {
			p.From, p.To = AtSample(m.Start, min(end, s.StartSample)).Time, AtSample(m.Start, max(end, s.StartSample)).Time
			report("starts at sample %d, but the segment before it ends at %d", s.StartSample, end)
		}
		last[s.Output] = s
	}
}

func declared(gaps []Gap, output string, from, to int64) bool {
	return slices.ContainsFunc(gaps, func(g Gap) bool {
		return g.Output == output && g.StartSample == from && g.StartSample+g.Samples == to && g.Samples > 0
	})
}

// ledgers checks that the classes of every stream add up to its span.
func (v *verification) ledgers(m *Manifest) {
	streams := make(map[string]Stream)
	for _, s := range m.Streams {
		streams[s.Key()] = s
		if _, ok := m.Ledger[s.Key()]; !ok && m.Sealed != nil && m.Rebuilt == nil {
			v.found(ManifestName, fmt.Sprintf("stream %s has no ledger", s.Key()))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.Ledger)) {
		l := m.Ledger[key]
		s, ok := streams[key]
		if !ok {
			v.found(ManifestName, fmt.Sprintf("there is a ledger of %s, but no such stream", key))
			continue
		}
		for class, ms := range l {
			if ms < 0 {
				v.found(ManifestName, fmt.Sprintf("ledger of %s: %d ms %s", key, ms, class))
			}
		}
		span, ok := l[ledgerSpan]
		if !ok || l.Sum() != span {
			v.found(ManifestName, fmt.Sprintf("ledger of %s: the classes add up to %d ms, not to its span of %d ms", key, l.Sum(), span))
			continue
		}
		if m.Sealed == nil || m.Rebuilt != nil || len(s.Joins) == 0 || s.Joins[len(s.Joins)-1].Leave == nil {
			continue
		}
		stay := s.Joins[len(s.Joins)-1].Leave.Sub(s.Joins[0].Join.Time)
		if off := time.Duration(span)*time.Millisecond - stay; off.Abs() > spanSlack {
			v.found(ManifestName, fmt.Sprintf("ledger of %s spans %d ms, but the stream was there for %d ms", key, span, stay.Milliseconds()))
		}
	}
}

// file checks that one file is there and is what the manifest says. With
// samples it is audio.
func (v *verification) file(p Problem, size int64, sum string, samples *int64) (whole bool) {
	report := func(format string, args ...any) {
		p.Text = fmt.Sprintf(format, args...)
		v.report.Problems = append(v.report.Problems, p)
	}
	name := p.Segment
	if !validPath(name) {
		report("is no path within the recording")
		return false
	}
	delete(v.files, name)
	f, _, err := v.browser.Open(v.ctx, v.key(name))
	if errors.Is(err, fs.ErrNotExist) {
		report("is missing")
		return false
	}
	if err != nil {
		v.open = append(v.open, fmt.Errorf("open %s: %w", name, err))
		return false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		v.open = append(v.open, fmt.Errorf("read %s: %w", name, err))
		return false
	}
	v.report.Bytes += n
	if n != size {
		report("has %d bytes, not %d", n, size)
		return false
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		report("its content was changed: SHA-256 is %s, not %s", got, sum)
		return false
	}
	if samples == nil || v.options.Probe == nil {
		return true
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		v.open = append(v.open, fmt.Errorf("rewind %s: %w", name, err))
		return false
	}
	switch got, err := v.options.Probe(name, f); {
	case errors.Is(err, ErrUnopened):
		v.unopened++
		return true
	case err != nil:
		report("does not open as audio: %v", err)
	case got != *samples:
		report("holds %d samples, not %d", got, *samples)
	default:
		return true
	}
	return false
}
