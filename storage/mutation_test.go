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
	return a + " with " + b
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

// TestVerifyFindsMutations: whatever is changed in a sealed recording is found.
func TestVerifyFindsMutations(t *testing.T) {
	f := newFixture(t)
	recording(t, f.dir, "other-call", f.key)
	m := newMutator(t, filepath.Join(f.dir, "room/call"), filepath.Join(f.dir, "room/other-call"))
	kinds := []struct {
		name   string
		mutate func() string
	}{
		{"flip", m.flip}, {"truncation", m.truncate}, {"extension", m.extend}, {"removal", m.remove},
		{"swap", m.swap}, {"exchange", m.exchange}, {"addition", m.add}, {"splice", m.splice},
	}
	const rounds = 1000
	for i := range rounds {
		kind := kinds[i%len(kinds)]
		what := kind.mutate()
		report := f.verify(t)
		if report.Intact || len(report.Problems) == 0 {
			t.Errorf("%s of %s was not found", kind.name, what)
		}
		if kind.name == "flip" && strings.HasSuffix(what, ".wav") {
			p := report.Problems[0]
			if len(report.Problems) != 1 || filepath.Join(m.home, p.Segment) != what || p.From.IsZero() || !p.To.After(p.From) {
				t.Errorf("flip of %s was reported as %v", what, report.Problems)
			}
		}
		m.restore()
	}
	if report := f.verify(t); !report.Intact {
		t.Errorf("restored: %v", report.Problems)
	}
}
