package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// VerifyOptions say what is known from elsewhere than the recording.
type VerifyOptions struct {
	// PublicKeys are verifier keys as [ParsePublicKeys] reads them. Without
	// any, the signature is only compared with what it signs.
	PublicKeys []string
	// Bucket is the configured name of the bucket that is read. Of outputs that
	// are not kept there no segment is expected, unless another one is there;
	// all are with "", or with a name of which the recording knows nothing.
	Bucket string
	// Head is a head of the chain that is known from elsewhere, as from a
	// segment.sealed event: the chain must have had it, so that what was cut
	// off its end is missed. "" leaves that out.
	Head string
	// TimeStamp checks a time stamp of a SHA-256 and says when it is of, and
	// what limits that; nil leaves it out.
	TimeStamp func(stamp []byte, sum [32]byte) (at time.Time, note string, err error)
	// Probe opens an audio file and counts its samples; nil leaves that out.
	// A file that is not audio of a whole form is an error; one that is
	// encrypted and cannot be opened is ErrUnopened.
	Probe func(path string, r io.ReadSeeker) (samples int64, err error)
}

// Report is what [Verify] found.
type Report struct {
	ID       string    `json:"id"`
	Intact   bool      `json:"intact"` // everything was checked and nothing is wrong
	Sealed   bool      `json:"sealed"`
	SignedBy string    `json:"signedBy,omitempty"` // id of the known key that signed it
	Stamped  time.Time `json:"stamped,omitzero"`   // when an authority saw the manifest
	Segments int       `json:"segments"`           // that are whole
	Bytes    int64     `json:"bytes"`
	Problems []Problem `json:"problems"`
	Notes    []string  `json:"notes,omitempty"` // what limits the finding, as "not sealed"
}

// Problem is one thing that is wrong with a recording.
type Problem struct {
	Segment string    `json:"segment,omitempty"` // path of the file; "" for the recording itself
	From    time.Time `json:"from,omitzero"`     // time range of the audio it concerns; zero if none
	To      time.Time `json:"to,omitzero"`
	Text    string    `json:"text"`
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Segment != "" {
		b.WriteString(p.Segment + ": ")
	}
	b.WriteString(p.Text)
	if !p.From.IsZero() {
		fmt.Fprintf(&b, " (%s to %s)", Time{p.From}, Time{p.To})
	}
	return b.String()
}

// maxManifest bounds what is read into memory: a day of 100 streams in
// minute segments is about 50 MB.
const maxManifest = 256 << 20

// Verify checks the recording whose manifest is prefix/manifest.json: every
// file's size and SHA-256, the chain, the signature, that the segments of
// each output join without a gap, that ledgers add up, and that no file is
// missing or unknown. A recording that is not sealed is checked as far as its
// manifest goes; Notes say so.
//
// The error is not about the recording: it says that something could not be
// checked (a bucket that does not answer, no recording there, which wraps
// fs.ErrNotExist). The report holds what was found nevertheless.
func Verify(ctx context.Context, b Browser, prefix string, o VerifyOptions) (Report, error) {
	v := &verification{
		ctx: ctx, browser: b, options: o,
		prefix: strings.Trim(prefix, "/"),
		report: Report{Problems: []Problem{}},
		files:  make(map[string]Object),
		here:   make(map[string]bool),
	}
	err := v.run()
	v.report.Intact = err == nil && len(v.report.Problems) == 0
	return v.report, err
}

type verification struct {
	ctx     context.Context // of the one call of Verify that this lives for
	browser Browser
	options VerifyOptions
	prefix  string
	report  Report
	files   map[string]Object // what is there, by path; checked ones are taken out
	open    []error           // what could not be checked
	here    map[string]bool   // outputs of which a segment is there

	unopened int    // encrypted segments that no key was there for
	late     int    // segments of a running recording that are not there yet
	first    string // of those
}

func (v *verification) run() error {
	for o, err := range v.browser.List(v.ctx, v.key("")) {
		if err != nil {
			return fmt.Errorf("list recording %s: %w", v.prefix, err)
		}
		v.files[strings.TrimPrefix(o.Key, v.key(""))] = o
	}
	if len(v.files) == 0 {
		return fmt.Errorf("verify %s: no recording there: %w", v.prefix, fs.ErrNotExist)
	}
	raw, err := v.read(ManifestName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.found(ManifestName, "is missing, but there are other files")
		return nil
	case errors.Is(err, errTooLarge):
		v.found(ManifestName, err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("read manifest: %w", err)
	}
	delete(v.files, ManifestName)
	m, err := DecodeManifest(raw)
	if err != nil {
		v.found(ManifestName, err.Error())
		return nil
	}
	v.report.ID, v.report.Sealed = m.ID, m.Sealed != nil
	v.signature(m, raw)
	v.timeStamp(raw)
	if m.Rebuilt != nil {
		v.note("the manifest was rebuilt %s from %s: it proves nothing about what was changed, or went missing, before", m.Rebuilt.At, m.Rebuilt.From)
		for _, left := range m.Rebuilt.Left {
			v.note("left out when it was rebuilt: %s", left)
		}
	}
	r := v.amendments(m, raw)
	m = r.Manifest
	v.structure(m)
	for _, s := range m.Segments {
		if _, there := v.files[s.Path]; there {
			v.here[s.Output] = true
		}
	}
	for _, s := range m.Segments {
		v.segment(m, s)
	}
	if v.late > 0 {
		v.note("it is still being recorded, and %d segments are not there yet, the first of them %s", v.late, v.first)
	}
	for _, d := range m.Files {
		v.file(Problem{Segment: d.Path}, d.Bytes, d.SHA256, nil)
	}
	v.keyFiles(r)
	v.unknown(m)
	if err := v.ctx.Err(); err != nil {
		return err
	}
	return errors.Join(v.open...)
}

func (v *verification) key(name string) string {
	if v.prefix == "" {
		return name
	}
	return v.prefix + "/" + name
}

func (v *verification) found(segment, text string) {
	v.report.Problems = append(v.report.Problems, Problem{Segment: segment, Text: text})
}

func (v *verification) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

var errTooLarge = errors.New("is too large to be what its name says")

func (v *verification) read(name string) ([]byte, error) {
	f, o, err := v.browser.Open(v.ctx, v.key(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Size > maxManifest {
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(f, maxManifest))
}

// signature checks manifest.json.sig against the manifest.
func (v *verification) signature(m *Manifest, raw []byte) {
	sig, err := v.read(SignatureName)
	delete(v.files, SignatureName)
	switch {
	case errors.Is(err, fs.ErrNotExist) && m.Sealed == nil:
		v.note("not sealed: checked as far as the manifest goes, for which nobody vouches")
		if m.State == "complete" {
			v.found(ManifestName, "the recording is complete but not sealed")
		}
		if m.Rebuilt == nil { // which is from what was found
			v.unsealed(running(m))
		}
		return
	case errors.Is(err, fs.ErrNotExist) && m.Sealed.KeyID == "" && len(v.options.PublicKeys) == 0:
		v.note("sealed but not signed")
		return
	case errors.Is(err, fs.ErrNotExist):
		v.found(SignatureName, "is missing: the recording is not signed")
		return
	case errors.Is(err, errTooLarge):
		v.found(SignatureName, err.Error())
		return
	case err != nil:
		v.open = append(v.open, fmt.Errorf("read %s: %w", SignatureName, err))
		return
	}
	text, signedBy, err := openSignature(sig, v.options.PublicKeys)
	switch {
	case errors.Is(err, errUnknownKey) && len(v.options.PublicKeys) == 0:
		v.note("signature of key %s not checked: no public key given", signedBy)
	case errors.Is(err, errUnknownKey):
		v.found(SignatureName, fmt.Sprintf("its key is %s: %v", signedBy, err))
	case err != nil:
		v.found(SignatureName, "signature does not verify: "+err.Error())
		return
	default:
		v.report.SignedBy = signedBy
	}
	if m.Sealed == nil {
		v.found(ManifestName, "is signed but not sealed")
		return
	}
	if text != statement(ManifestFormat, m.ID, raw, m.Sealed.Head) {
		v.found(ManifestName, "is not what the signature signs: it was changed, or belongs to another recording")
	}
	if m.Sealed.KeyID != signedBy {
		v.found(ManifestName, fmt.Sprintf("says key %s, but %s signed", m.Sealed.KeyID, signedBy))
	}
}

// unsealed looks for files that only a sealed recording has: without its seal
// it was changed. An overview comes a moment before the seal.
func (v *verification) unsealed(running bool) {
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		early := name == OverviewName
		if name == TimeStampName || strings.HasPrefix(name, amendmentsDir+"/") || early && !running {
			v.found(ManifestName, fmt.Sprintf("is not sealed, though %s is there, which only a sealed recording has: the seal was taken away", name))
			return
		}
	}
}

// segment checks one audio file.
func (v *verification) segment(m *Manifest, s Segment) {
	p := problemOf(m, s)
	if _, there := v.files[s.Path]; !there {
		if !v.expected(m, s) {
			return
		}
		if running(m) { // the manifest may overtake what it names
			if v.late == 0 {
				v.first = s.Path
			}
			v.late++
			return
		}
	}
	if v.file(p, s.Bytes, s.SHA256, &s.Samples) {
		v.report.Segments++
	}
}

// running says that by its manifest a recording goes on.
func running(m *Manifest) bool {
	return m.Sealed == nil && m.End == nil && m.State != "interrupted"
}

// expected says whether a segment that is not there should be.
func (v *verification) expected(m *Manifest, s Segment) bool {
	bucket := v.options.Bucket
	i := slices.IndexFunc(m.Outputs, func(o Output) bool { return o.ID == s.Output })
	known := func(o Output) bool { return slices.Contains(o.Storage, bucket) || slices.Contains(o.Backup, bucket) }
	switch {
	case bucket == "" || i < 0 || slices.Contains(m.Outputs[i].Storage, bucket) || !slices.ContainsFunc(m.Outputs, known):
		return true
	case slices.Contains(m.Outputs[i].Backup, bucket):
		return false // it got what another one could not be given
	case v.here[s.Output]:
		return true
	}
	if s.Index == 1 {
		v.note("output %s is kept in %s, not in %s", s.Output, strings.Join(m.Outputs[i].Storage, ", "), bucket)
	}
	return false
}

// unknown reports what is left: files that the manifest does not name.
func (v *verification) unknown(m *Manifest) {
	left := make([]string, 0, len(v.files))
	for name := range v.files {
		left = append(left, name)
	}
	slices.Sort(left)
	for _, name := range left {
		switch {
		case m.Sealed != nil && name == EventsName:
			v.found(name, "the manifest does not vouch for it")
		case m.Sealed != nil:
			v.found(name, "unknown file: the manifest does not name it")
		case name != EventsName:
			v.note("%s is not in the manifest yet", name)
		}
	}
}

// validPath tells whether a manifest's path can be a file of a recording.
func validPath(p string) bool {
	return fs.ValidPath(p) && p != "." && path.Clean(p) == p && !strings.ContainsAny(p, "\x00\\")
}
