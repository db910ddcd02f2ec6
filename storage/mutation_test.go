package storage_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixdown/storage"
)

// mutator changes one recording in ways that must be found, and restores it.
type mutator struct {
	t        testing.TB
	r        *rand.Rand
	home     string // the recording
	other    string // another one of the same shape
	original map[string][]byte
	names    []string // of original
}

func newMutator(t testing.TB, home, other string) *mutator {
	m := &mutator{t: t, r: rand.New(rand.NewPCG(1, 2)), home: home, other: other, original: make(map[string][]byte)}
	must(t, filepath.WalkDir(home, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			m.original[name], err = os.ReadFile(name)
		}
		return err
	}))
	m.names = slices.Sorted(maps.Keys(m.original))
	return m
}

func (m *mutator) restore() {
	must(m.t, os.RemoveAll(m.home))
	for name, b := range m.original {
		write(m.t, name, b)
	}
}

// pick chooses a file and gives its content, to be changed.
func (m *mutator) pick() (name string, content []byte) {
	name = m.names[m.r.IntN(len(m.names))]
	return name, bytes.Clone(m.original[name])
}

func (m *mutator) flip() string {
	name, b := m.pick()
	b[m.r.IntN(len(b))] ^= 1 << m.r.IntN(8)
	write(m.t, name, b)
	return name
}

func (m *mutator) truncate() string {
	name, b := m.pick()
	write(m.t, name, b[:m.r.IntN(len(b))])
	return name
}

func (m *mutator) extend() string {
	name, b := m.pick()
	write(m.t, name, append(b, "\x00\n "[m.r.IntN(3)]))
	return name
}

func (m *mutator) remove() string {
	name, _ := m.pick()
	must(m.t, os.Remove(name))
	return name
}

func (m *mutator) swap() string {
	a, first := m.pick()
	b, second := m.pick()
	for bytes.Equal(first, second) {
		b, second = m.pick()
	}
	write(m.t, a, second)
	write(m.t, b, first)
	if filepath.Base(b) == storage.ManifestName {
		return b // without it nothing else is known
	}
	return a
}

// reorder lets two segments of the manifest change places.
func (m *mutator) reorder() string {
	name := filepath.Join(m.home, storage.ManifestName)
	l, err := storage.DecodeManifest(m.original[name])
	must(m.t, err)
	i := m.r.IntN(len(l.Segments) - 1)
	l.Segments[i], l.Segments[i+1] = l.Segments[i+1], l.Segments[i]
	b, err := l.Encode()
	must(m.t, err)
	write(m.t, name, b)
	return name
}

func (m *mutator) exchange() string {
	name, b := m.pick()
	rel, err := filepath.Rel(m.home, name)
	must(m.t, err)
	foreign, err := os.ReadFile(filepath.Join(m.other, rel))
	must(m.t, err)
	if bytes.Equal(foreign, b) {
		return m.flip() // the events are alike
	}
	write(m.t, name, foreign)
	return name
}

func (m *mutator) add() string {
	name := filepath.Join(m.home, fmt.Sprintf("mix/%06d.wav", m.r.IntN(100)))
	write(m.t, name, []byte("x"))
	return name
}

func (m *mutator) splice() string {
	name, b := m.pick()
	i, n := m.r.IntN(len(b)), 1+m.r.IntN(20)
	write(m.t, name, slices.Concat(b[:i], b[min(len(b), i+n):]))
	return name
}

// TestVerifyFindsMutations: whatever is changed in a sealed recording is found,
// and the place is named: the file, and if it is audio its time.
func TestVerifyFindsMutations(t *testing.T) {
	f := newFixture(t)
	recording(t, f.dir, "other-call", f.key)
	m := newMutator(t, filepath.Join(f.dir, "room/call"), filepath.Join(f.dir, "room/other-call"))
	kinds := []struct {
		name   string
		mutate func() string
	}{
		{"flip", m.flip}, {"truncation", m.truncate}, {"extension", m.extend}, {"removal", m.remove}, {"reorder", m.reorder},
		{"swap", m.swap}, {"exchange", m.exchange}, {"addition", m.add}, {"splice", m.splice},
	}
	rounds := 10000
	if raced {
		rounds = 1000
	}
	for i := range rounds {
		kind := kinds[i%len(kinds)]
		what := kind.mutate()
		report := f.verify(t)
		place, err := filepath.Rel(m.home, what)
		must(t, err)
		found := slices.IndexFunc(report.Problems, func(p storage.Problem) bool {
			// A good signature of something else may be the wrong one of the two.
			return p.Segment == place || place == storage.SignatureName && p.Segment == storage.ManifestName
		})
		switch {
		case report.Intact || len(report.Problems) == 0:
			t.Errorf("%s of %s was not found", kind.name, place)
		case found < 0:
			t.Errorf("%s of %s was reported as %v", kind.name, place, report.Problems)
		case strings.HasSuffix(place, ".wav") && kind.name != "addition":
			if p := report.Problems[found]; p.From.IsZero() || !p.To.After(p.From) {
				t.Errorf("%s of %s: no time: %v", kind.name, place, p)
			}
			if kind.name != "swap" && len(report.Problems) != 1 {
				t.Errorf("%s of %s was reported as %v", kind.name, place, report.Problems)
			}
		}
		m.restore()
	}
	if report := f.verify(t); !report.Intact {
		t.Errorf("restored: %v", report.Problems)
	}
}

// TestVerifyKnownHead: who knows a head of the chain finds out when the end is
// cut off and the rest is sealed anew, with the right key.
func TestVerifyKnownHead(t *testing.T) {
	f := newFixture(t)
	heads := []string{f.m.Segments[1].Chain, f.m.Head()}
	check := func(head string) []storage.Problem {
		r, err := storage.Verify(t.Context(), f.bucket, "room/call", storage.VerifyOptions{PublicKeys: f.key.PublicKeys(), Head: head})
		must(t, err)
		return r.Problems
	}
	for _, head := range append(heads, strings.ToUpper(heads[1]), (&storage.Manifest{}).Head()) {
		if p := check(head); len(p) > 0 {
			t.Errorf("head %s of a whole recording: %v", head, p)
		}
	}
	last := len(f.m.Segments) - 1
	must(t, os.Remove(filepath.Join(f.dir, "room/call", f.m.Segments[last].Path)))
	f.m.Segments = f.m.Segments[:last]
	seal(t, f.dir, f.m, f.key)
	if p := check(""); len(p) > 0 {
		t.Errorf("the signer cut the end off, and nobody can know: %v", p)
	}
	if p := check(heads[0]); len(p) > 0 {
		t.Errorf("an earlier head: %v", p)
	}
	if p := check(heads[1]); len(p) != 1 || !strings.Contains(p[0].Text, heads[1]) {
		t.Errorf("a head that was cut off: %v", p)
	}
}
