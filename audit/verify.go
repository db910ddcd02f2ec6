package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixdown/storage/lines"
)

const stretchExt = ".jsonl"

// maxLine bounds what is read into memory: no line is longer than a stretch
// with one more entry.
const maxLine = 2 * stretchBytes

// maxProblems is how many problems a report names.
const maxProblems = 20

// Report is what verifying found.
type Report struct {
	Entries  int64    `json:"entries"`
	First    int64    `json:"first"`              // number of the first entry
	Head     Head     `json:"head"`               // where it ends
	SignedBy string   `json:"signedBy,omitempty"` // id of the key that signed the head
	Problems []string `json:"problems"`
	Notes    []string `json:"notes,omitempty"` // what limits the finding
}

// exportEnd is the last line of an export.
type exportEnd struct {
	Checkpoint string `json:"checkpoint"` // the signed head
	After      int64  `json:"after"`      // the act behind which the export begins
}

// noHash is what the first entry has for the hash of the line before.
var noHash = strings.Repeat("0", 64)

type verification struct {
	Report
	line    int    // of the file
	where   string // name of the file
	started bool
	hashes  map[int64]string // of the entries that a checkpoint may be about
	keep    int64            // the entry whose hash is needed; 0 keeps none
}

func (v *verification) found(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// entry checks one line against the one before.
func (v *verification) entry(line []byte) {
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	hash := hashLine(line)
	if err := d.Decode(&e); err != nil {
		v.found("%s line %d: is no entry: %v", v.where, v.line, err)
		v.Head = Head{v.Head.Seq + 1, hash}
		return
	}
	switch {
	case e.Seq < 1:
		v.found("%s line %d: there is no act %d", v.where, v.line, e.Seq)
	case !v.started && e.Seq == 1 && e.Prev != noHash:
		v.found("%s line %d: the first act has one before it", v.where, v.line)
	case !v.started && e.Seq != 1:
		v.Notes = append(v.Notes, fmt.Sprintf("begins after act %d with SHA-256 %s: what was before is not checked", e.Seq-1, e.Prev))
	case v.started && e.Seq > v.Head.Seq+1:
		v.found("%s line %d: acts %d to %d are missing", v.where, v.line, v.Head.Seq+1, e.Seq-1)
	case v.started && e.Seq != v.Head.Seq+1:
		v.found("%s line %d: act %d follows act %d", v.where, v.line, e.Seq, v.Head.Seq)
	case v.started && e.Prev != v.Head.Hash:
		v.found("%s line %d: act %d does not follow from the line before: that one, or this, was changed", v.where, v.line, e.Seq)
	}
	if !v.started {
		v.First = e.Seq
	}
	v.started = true
	v.Entries++
	v.Head = Head{e.Seq, hash}
	if v.keep > 0 && e.Seq == v.keep {
		v.hashes[e.Seq] = hash
	}
}

// VerifyExport checks an export: lines, and the signed head at its end. The
// error says what could not be read.
func VerifyExport(r io.Reader, publicKeys []string) (Report, error) {
	v := verification{where: "export", Report: Report{Head: Head{0, noHash}, Problems: []string{}}}
	var end *exportEnd
	_, torn, err := lines.New(r, maxLine).Each(func(line []byte) error {
		v.line++
		if end != nil {
			v.found("export line %d: follows the signed head", v.line)
			return nil
		}
		if bytes.HasPrefix(line, []byte(`{"checkpoint":`)) {
			end = &exportEnd{}
			if err := json.Unmarshal(line, end); err != nil {
				v.found("export line %d: is no signed head: %v", v.line, err)
			}
			if canonical, _ := json.Marshal(end); !bytes.Equal(canonical, line) {
				v.found("export line %d: is not as it was written", v.line)
			}
			return nil
		}
		v.entry(line)
		return nil
	})
	if torn {
		v.found("export line %d: is cut off", v.line+1)
	}
	if end == nil {
		v.found("the signed head at the end is missing: acts may be, too")
		return v.Report, err
	}
	if v.started && v.First != end.After+1 {
		v.found("acts %d to %d are missing at the beginning", end.After+1, v.First-1)
	}
	head, ok := v.head(end.Checkpoint, publicKeys)
	if !v.started {
		v.Head.Seq = end.After // nothing happened since
		v.Head.Hash = head.Hash
	}
	if ok && head != v.Head {
		v.found("the signed head is act %d with SHA-256 %s; the export ends with act %d, %s", head.Seq, head.Hash, v.Head.Seq, v.Head.Hash)
	}
	return v.Report, err
}

// head reads the signed head and says whether it can be relied on.
func (v *verification) head(note string, publicKeys []string) (Head, bool) {
	h, by, known, err := openCheckpoint(note, publicKeys)
	switch {
	case err != nil:
		v.found("the signed head proves nothing: %v", err)
		return h, false
	case !known && len(publicKeys) > 0:
		v.found("the signed head proves nothing: key %s is none of the given public keys", by)
		return h, false
	case !known:
		v.Notes = append(v.Notes, fmt.Sprintf("signature of key %s not checked: no public key given", by))
	default:
		v.SignedBy = by
	}
	return h, true
}

// VerifyDir checks the folder of a log.
func VerifyDir(dir string, publicKeys []string) (Report, error) {
	r, _, err := verifyDir(dir, publicKeys)
	return r, err
}

// tail is the end of the last stretch.
type tail struct {
	name  string // "" if there is none
	whole int64  // bytes of lines that end
	torn  bool   // a piece of a line follows
}

func verifyDir(dir string, publicKeys []string) (Report, tail, error) {
	v := verification{Report: Report{Head: Head{0, noHash}, Problems: []string{}}, hashes: map[int64]string{}}
	var t tail
	names, err := stretches(dir)
	if err != nil {
		return v.Report, t, err
	}
	note, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return v.Report, t, err
	}
	var head Head
	there, signed := err == nil, false
	if there {
		head, signed = v.head(string(note), publicKeys)
		v.keep = head.Seq
	}
	for i, name := range names {
		if t.torn {
			v.found("%s: ends in the middle of a line", t.name)
		}
		t = tail{name: name}
		v.where, v.line = name, 0
		if want := fmt.Sprintf("%012d%s", v.Head.Seq+1, stretchExt); i > 0 && name != want {
			v.found("%s: follows act %d; %s was expected", name, v.Head.Seq, want)
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return v.Report, t, err
		}
		t.whole, t.torn, err = lines.New(f, maxLine).Each(func(line []byte) error {
			v.line++
			v.entry(line)
			return nil
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return v.Report, t, fmt.Errorf("%s: %w", name, err)
		}
	}
	if t.torn {
		v.Notes = append(v.Notes, fmt.Sprintf("%s: ends in the middle of a line, as a crash leaves it: that act was not acknowledged", t.name))
	}
	v.against(head, signed, there)
	return v.Report, t, nil
}

// against compares a folder's log with its signed head.
func (v *verification) against(head Head, signed, there bool) {
	switch {
	case v.started && v.First != 1:
		v.found("acts 1 to %d are missing", v.First-1)
	case !there && v.Entries > 1:
		v.found("the signed head is missing: acts at the end may be, too")
	case !signed:
	case head.Seq > v.Head.Seq:
		v.found("acts %d to %d are missing at the end: they were signed for", v.Head.Seq+1, head.Seq)
	case head.Seq > 0 && v.hashes[head.Seq] != head.Hash:
		v.found("act %d is not the one that was signed for", head.Seq)
	case head.Seq < v.Head.Seq:
		v.Notes = append(v.Notes, fmt.Sprintf("the last %d acts are not signed for yet", v.Head.Seq-head.Seq))
	}
}

// stretches lists the files of a log in order.
func stretches(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), stretchExt) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
