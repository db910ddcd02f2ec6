package storage

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rebuilt marks a manifest that was made from the files that were found. What
// it vouches for begins with that moment: of what was there before and is gone,
// or was changed, it knows nothing.
type Rebuilt struct {
	At   Time     `json:"at"`
	From string   `json:"from"`           // what it was made from
	Left []string `json:"left,omitempty"` // what is not in it, and why
}

// RebuildOptions say what the files of a recording do not tell.
type RebuildOptions struct {
	ID, Room string                                                        // of the recording, unless an unsealed manifest tells
	Bucket   string                                                        // the configured name of the bucket that is read
	Probe    func(path string, r io.ReadSeeker) (samples int64, err error) // as in VerifyOptions

	// Recipient is the public key to what a key file holds, empty for one that
	// does not open. It is nil if nobody can open any.
	Recipient func(path string) string
}

// ErrSealed is returned by Rebuild for a recording with a sealed manifest.
var ErrSealed = errors.New("it has a sealed manifest: there is nothing to rebuild, verify checks it")

// segmentName is what a segment's path tells: folder, index, start, format.
var segmentName = regexp.MustCompile(`^(.+)/(\d{6,})-(\d{8}T\d{6}\.\d{3}Z)\.(ogg|wav|flac)(\.age)?$`)

// outputFolder is what an output's folder tells: kind, which of its kind, user
// and stream.
var outputFolder = regexp.MustCompile(`^(mix|dual|streams)(?:-(\d+))?(?:/([^/]+)/([^/]+))?$`)

// Rebuild makes the manifest of the recording below prefix from its segments,
// and from an unsealed manifest if there is one, as after the loss of the
// machine that recorded. It writes nothing. The result can be sealed.
func Rebuild(ctx context.Context, b Browser, prefix string, o RebuildOptions) (*Manifest, error) {
	r := &rebuild{ctx: ctx, browser: b, prefix: strings.Trim(prefix, "/"), options: o, found: map[string]Segment{}, ids: map[string]string{}, outputs: map[string]int{}, keyed: map[string]bool{}}
	if err := r.base(); err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", prefix, err)
	}
	if err := r.files(); err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", prefix, err)
	}
	if err := r.join(); err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", prefix, err)
	}
	return r.m, nil
}

type rebuild struct {
	ctx     context.Context // of the one call of Rebuild that this lives for
	browser Browser
	prefix  string
	options RebuildOptions
	m       *Manifest
	known   []Segment          // of the unsealed manifest
	ids     map[string]string  // of outputs by folder and format, as that tells
	outputs map[string]int     // of m, by id
	keyed   map[string]bool    // by path: a key file is there
	found   map[string]Segment // by path; without place and chain
}

// base begins with what an unsealed manifest says.
func (r *rebuild) base() error {
	from := "segments"
	f, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, ManifestName))
	if err == nil {
		raw, rerr := io.ReadAll(io.LimitReader(f, maxManifest))
		if err := errors.Join(rerr, f.Close()); err != nil {
			return err
		}
		m, derr := DecodeManifest(raw)
		switch {
		case derr == nil && m.Sealed != nil:
			return ErrSealed
		case derr == nil:
			r.m, r.known, from = m, m.Segments, "an unsealed manifest, and segments"
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if r.m == nil {
		r.m = &Manifest{Format: ManifestFormat, ID: r.options.ID, Room: Room{System: "mixdown", RoomID: r.options.Room}}
	}
	for _, k := range r.known { // an output's segments share a folder
		r.ids[path.Dir(k.Path)+path.Ext(strings.TrimSuffix(k.Path, EncryptedExt))] = k.Output
	}
	for i, o := range r.m.Outputs {
		r.outputs[o.ID] = i
	}
	r.m.State, r.m.Segments, r.m.Files = "interrupted", nil, nil
	r.m.Rebuilt = &Rebuilt{At: At(time.Now()), From: from}
	return nil
}

func (r *rebuild) leave(name, format string, args ...any) {
	r.m.Rebuilt.Left = append(r.m.Rebuilt.Left, name+": "+fmt.Sprintf(format, args...))
}

// files reads every file once.
func (r *rebuild) files() error {
	var names []string
	for o, err := range r.browser.List(r.ctx, r.prefix+"/") {
		if err != nil {
			return err
		}
		names = append(names, strings.TrimPrefix(o.Key, r.prefix+"/"))
	}
	if err := r.keys(names); err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case name == ManifestName, name == SignatureName, name == TimeStampName:
		case strings.HasSuffix(name, EncryptedExt) && r.m.Encryption == nil:
			return fmt.Errorf("%s is encrypted, and no manifest says for whom", name)
		case segmentName.MatchString(name):
			if err := r.segment(name); err != nil {
				return err
			}
		case strings.HasPrefix(name, amendmentsDir+"/"), r.m.Encryption != nil && strings.HasPrefix(name, KeysDir+"/"):
			// Encryption vouches for its keys.
		default:
			sealed, _, err := r.read(name, nil)
			if err != nil {
				return err
			}
			r.m.AppendFile(name, sealed)
		}
	}
	if len(r.found) == 0 {
		return fmt.Errorf("there are no segments: %w", fs.ErrNotExist)
	}
	return nil
}

// read hashes a file and, if probe is set, counts its samples.
func (r *rebuild) read(name string, probe func(string, io.ReadSeeker) (int64, error)) (s Sealed, samples int64, err error) {
	f, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, name))
	if err != nil {
		return s, 0, err
	}
	defer f.Close()
	s.Key = name
	if s.SHA256, s.Size, err = hashOf(f); err != nil || probe == nil {
		return s, 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return s, 0, err
	}
	samples, err = probe(name, f)
	if err != nil && !errors.Is(err, ErrUnopened) {
		err = &notAudioError{err}
	}
	return s, samples, err
}

type notAudioError struct{ error }

func (r *rebuild) segment(name string) error {
	part := segmentName.FindStringSubmatch(name)
	output, ok := r.outputOf(part[1], part[4])
	if !ok {
		r.leave(name, "is in no output's folder")
		return nil
	}
	sealed, samples, err := r.read(name, r.options.Probe)
	if r.m.Encryption == nil {
		output.Key = ""
	}
	if errors.Is(err, ErrUnopened) && !r.keyed[output.Key] {
		sum := hex.EncodeToString(sealed.SHA256[:])
		i := slices.IndexFunc(r.known, func(k Segment) bool { return k.Path == name && k.SHA256 == sum })
		if i < 0 {
			r.leave(name, "cannot be read: its key file is missing, or does not open")
			r.m.AppendFile(name, sealed)
			return nil
		}
		samples, err = r.known[i].Samples, nil
	}
	var broken *notAudioError
	if errors.As(err, &broken) || err == nil && samples <= 0 {
		r.leave(name, "is no whole audio file: %v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	start, err := time.Parse("20060102T150405.000Z", part[3])
	if err != nil {
		r.leave(name, "no time: %v", err)
		return nil
	}
	index, err := strconv.Atoi(part[2])
	if err != nil {
		r.leave(name, "no index: %v", err)
		return nil
	}
	if id, ok := r.ids[part[1]+"."+part[4]]; ok {
		output.ID = id
	}
	r.found[name] = Segment{
		Path: name, Output: output.ID, Index: index, Start: At(start), Samples: samples,
		Bytes: sealed.Size, SHA256: hex.EncodeToString(sealed.SHA256[:]),
	}
	i, ok := r.outputs[output.ID]
	if !ok {
		if r.options.Bucket != "" {
			output.Storage = []string{r.options.Bucket}
		}
		i = len(r.m.Outputs)
		r.outputs[output.ID] = i
		r.m.Outputs = append(r.m.Outputs, output)
	}
	if r.m.Outputs[i].SegmentSeconds == 0 || r.known == nil {
		r.m.Outputs[i].SegmentSeconds = max(r.m.Outputs[i].SegmentSeconds, int((samples+sampleRate-1)/sampleRate))
	}
	return nil
}

// outputOf is what the folder and the format of a segment tell of its output.
func (r *rebuild) outputOf(folder, format string) (Output, bool) {
	part := outputFolder.FindStringSubmatch(folder)
	if part == nil || (part[1] == "streams") != (part[3] != "") {
		return Output{}, false
	}
	o := Output{ID: part[1] + "-" + format, What: part[1], Format: format, Storage: []string{}}
	o.Key = KeyFileOf(o).Path
	if part[2] != "" {
		o.ID += "-" + part[2]
	}
	if part[3] != "" {
		o.UserID, o.StreamID = r.full(nameOf(part[3])), r.full(nameOf(part[4]))
		o.ID += "/" + o.UserID + "/" + o.StreamID
		o.Key = path.Join(KeysDir, part[1], part[3], part[4]+EncryptedExt)
	}
	return o, true
}

// nameOf is the id that KeyName made an element of; of one that was cut, the
// element.
func nameOf(element string) string {
	if strings.Contains(element, "~") {
		return element
	}
	id, err := url.PathUnescape(strings.ReplaceAll(strings.ReplaceAll(element, "%", "%25"), "=", "%"))
	if err != nil {
		return element
	}
	return id
}

// NameOfKey is the id that [KeyName] made an element of a key of.
func NameOfKey(element string) string { return nameOf(element) }

// join puts the segments in their order and gives each its place: that of the
// unsealed manifest, behind the one before it, or by its time.
func (r *rebuild) join() error {
	if r.known == nil {
		first := slices.MinFunc(values(r.found), func(a, b Segment) int { return a.Start.Compare(b.Start.Time) })
		r.m.Start = first.Start
	}
	ends := map[string]Segment{}
	add := func(s Segment) error {
		sum, err := hex.DecodeString(s.SHA256)
		if err != nil {
			return err
		}
		ends[s.Output] = s
		delete(r.found, s.Path)
		return r.m.Append(s, Sealed{Size: s.Bytes, SHA256: [32]byte(sum)})
	}
	for _, k := range r.known {
		s, ok := r.found[k.Path]
		switch {
		case !ok:
			r.leave(k.Path, "is missing")
		case s.SHA256 != k.SHA256:
			r.leave(k.Path, "is not what the unsealed manifest says")
			delete(r.found, k.Path)
		default:
			if err := add(k); err != nil {
				return err
			}
		}
	}
	rest := values(r.found)
	slices.SortFunc(rest, func(a, b Segment) int {
		return cmp.Or(AtSample(a.Start, a.Samples).Compare(AtSample(b.Start, b.Samples).Time), cmp.Compare(a.Output, b.Output), cmp.Compare(a.Index, b.Index))
	})
	for _, s := range rest {
		s.StartSample = max(0, int64(s.Start.Sub(r.m.Start.Time)/time.Millisecond)*(sampleRate/1000))
		if before, ok := ends[s.Output]; ok && before.Index+1 == s.Index {
			s.StartSample = before.StartSample + before.Samples // its time has no more than milliseconds
		}
		if err := add(s); err != nil {
			return err
		}
	}
	r.close()
	return nil
}

func values(m map[string]Segment) []Segment {
	all := make([]Segment, 0, len(m))
	for _, s := range m {
		all = append(all, s)
	}
	return all
}

// close ends the manifest at the last sample, and names the streams that only
// their files tell of.
func (r *rebuild) close() {
	first, ends := map[string]Segment{}, map[string]int64{}
	last := int64(0)
	for _, s := range r.m.Segments {
		if _, ok := first[s.Output]; !ok {
			first[s.Output] = s
		}
		ends[s.Output] = max(ends[s.Output], s.StartSample+s.Samples)
		last = max(last, s.StartSample+s.Samples)
	}
	for i := range r.m.Outputs {
		o := &r.m.Outputs[i]
		to := AtSample(r.m.Start, ends[o.ID])
		o.DurableSample, o.DurableTo = ends[o.ID], &to
		if o.StreamID == "" || slices.ContainsFunc(r.m.Streams, func(s Stream) bool { return s.StreamID == o.StreamID && s.UserID == o.UserID }) {
			continue
		}
		begin, ok := first[o.ID]
		if !ok {
			continue // nothing of it was found
		}
		stay := []Presence{{Join: begin.Start, Leave: &to}}
		r.m.Streams = append(r.m.Streams, Stream{StreamID: o.StreamID, UserID: o.UserID, Joins: stay})
		if !slices.ContainsFunc(r.m.Users, func(u User) bool { return u.UserID == o.UserID }) {
			r.m.Users = append(r.m.Users, User{UserID: o.UserID, Joins: stay})
		}
	}
	end := AtSample(r.m.Start, last)
	r.m.End = &end
}
