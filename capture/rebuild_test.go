package capture_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage"
	"mixdown/storage/crypt"
	"mixdown/storage/file"
)

// TestRebuildEncrypted: of an encrypted recording the last manifest that was
// stored is older than a voice. The files tell of it, and of its key; where that
// is lost, the others' audio is not.
func TestRebuildEncrypted(t *testing.T) {
	t.Parallel()
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	who := newCustomer(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		c := h.start("c1", h.owner(who), func(s *capture.Spec) {
			for i := range s.Record {
				s.Record[i].SegmentSeconds = 2
			}
		})
		s.enter("a-mic", "ann", 1)
		a.speak(s, 15*time.Second)
		recording := filepath.Join(h.data, "recordings", "r", "c1")
		old, err := os.ReadFile(filepath.Join(recording, storage.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		s.enter("b-mic", "bob/2", 2)
		b.speak(s, 6*time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		was := h.recording("c1")

		left := t.TempDir()
		if err := os.CopyFS(filepath.Join(left, "r", "c1"), os.DirFS(recording)); err != nil {
			t.Fatal(err)
		}
		file := func(name string) string { return filepath.Join(left, "r", "c1", filepath.FromSlash(name)) }
		if err := os.WriteFile(file(storage.ManifestName), old, 0o600); err != nil {
			t.Fatal(err)
		}
		junk := file("keys/streams/eve/x.age")
		if err := os.MkdirAll(filepath.Dir(junk), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := rebuilt(t, left, who)
		if len(m.Segments) != len(was.Segments) || len(m.Outputs) != len(was.Outputs) || len(m.Streams) != len(was.Streams) || len(m.Rebuilt.Left) != 1 {
			t.Errorf("of %d segments, %d outputs and %d streams %d, %d and %d are there again; left out: %q",
				len(was.Segments), len(was.Outputs), len(was.Streams), len(m.Segments), len(m.Outputs), len(m.Streams), m.Rebuilt.Left)
		}
		if len(m.Encryption.Keys) != len(was.Encryption.Keys) {
			t.Errorf("keys %+v, were %+v", m.Encryption.Keys, was.Encryption.Keys)
		}
		for _, k := range was.Encryption.Keys {
			if !slices.Contains(m.Encryption.Keys, k) {
				t.Errorf("%+v is not among %+v", k, m.Encryption.Keys)
			}
		}
		for _, o := range was.Outputs {
			if !slices.ContainsFunc(m.Outputs, func(r storage.Output) bool { return r.ID == o.ID && r.Key == o.Key }) {
				t.Errorf("output %s with key %s is not among %+v", o.ID, o.Key, m.Outputs)
			}
		}

		bobs := was.Encryption.Keys[slices.IndexFunc(was.Encryption.Keys, func(k storage.KeyFile) bool { return k.UserID == "bob/2" })].Path
		of := func(output string) (n int) {
			for _, s := range was.Segments {
				if strings.Contains(s.Output, output) {
					n++
				}
			}
			return n
		}
		for what, spoil := range map[string]func() error{
			"missing": func() error { return os.Remove(file(bobs)) },
			"empty":   func() error { return os.WriteFile(file(bobs), nil, 0o600) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			m = rebuilt(t, left, who)
			if want := len(was.Segments) - of("bob"); len(m.Segments) != want || of("bob") == 0 || len(m.Rebuilt.Left) < of("bob") {
				t.Errorf("bob's key is %s: %d segments, want %d; left out: %q", what, len(m.Segments), want, m.Rebuilt.Left)
			}
		}

		// What the manifest knows needs no key.
		anns := was.Encryption.Keys[slices.IndexFunc(was.Encryption.Keys, func(k storage.KeyFile) bool { return k.UserID == "ann" })].Path
		if err := os.Remove(file(anns)); err != nil {
			t.Fatal(err)
		}
		m = remade(t, left, who)
		n := 0
		for _, s := range m.Segments {
			if strings.Contains(s.Output, "ann") {
				n++
			}
		}
		if n < 3 || n >= of("ann") || !slices.ContainsFunc(m.Encryption.Keys, func(k storage.KeyFile) bool { return k.Path == anns }) {
			t.Errorf("ann's key is missing: %d of her %d segments, keys %+v", n, of("ann"), m.Encryption.Keys)
		}
	})
}

// remade makes the recording r/c1 of a folder anew.
func remade(t *testing.T, dir string, who customer) *storage.Manifest {
	t.Helper()
	b, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := crypt.Unlock(t.Context(), b, "r/c1", crypt.Identities{who})
	if err != nil {
		t.Fatal(err)
	}
	m, err := storage.Rebuild(t.Context(), b, "r/c1", storage.RebuildOptions{ID: "c1", Room: "r", Bucket: "local", Probe: ring.Probe(samplesOf), Recipient: ring.Recipient})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rebuilt is remade, sealed, opened and verified.
func rebuilt(t *testing.T, dir string, who customer) *storage.Manifest {
	t.Helper()
	m := remade(t, dir, who)
	copied := *m // sealing marks it
	raw, _, err := storage.Seal(&copied, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := t.TempDir()
	if err := os.CopyFS(sealed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(sealed, "r", "c1")
	if err := os.Remove(filepath.Join(at, storage.SignatureName)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, storage.ManifestName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := file.Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := crypt.Unlock(t.Context(), b, "r/c1", crypt.Identities{who})
	if err != nil {
		t.Fatal(err)
	}
	report, err := storage.Verify(t.Context(), b, "r/c1", storage.VerifyOptions{Probe: ring.Probe(samplesOf)})
	if err != nil || !report.Intact {
		t.Errorf("what was rebuilt verifies as %+v, %v", report, err)
	}
	return m
}
