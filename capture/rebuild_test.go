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
		m := rebuilt(t, left, who)
		if len(m.Segments) != len(was.Segments) || len(m.Outputs) != len(was.Outputs) || len(m.Streams) != len(was.Streams) || len(m.Rebuilt.Left) > 0 {
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
		if err := os.Remove(file(bobs)); err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, s := range was.Segments {
			if strings.Contains(s.Output, "bob") {
				lost++
			}
		}
		m = rebuilt(t, left, who)
		if len(m.Segments) != len(was.Segments)-lost || lost == 0 || len(m.Rebuilt.Left) != lost {
			t.Errorf("without bob's key, %d of %d segments, %d of them his; left out: %q", len(m.Segments), len(was.Segments), lost, m.Rebuilt.Left)
		}
	})
}

// rebuilt makes the recording r/c1 of a folder anew and verifies that.
func rebuilt(t *testing.T, dir string, who customer) *storage.Manifest {
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
	if b, err = file.Open(sealed); err != nil {
		t.Fatal(err)
	}
	report, err := storage.Verify(t.Context(), b, "r/c1", storage.VerifyOptions{Probe: ring.Probe(samplesOf)})
	if err != nil || !report.Intact {
		t.Errorf("what was rebuilt verifies as %+v, %v", report, err)
	}
	return m
}
