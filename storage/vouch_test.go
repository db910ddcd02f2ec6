package storage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixdown/storage"
)

// TestVerifyCopy: in a copy under another name, and in a bucket that was given
// one, no segment may be missing; in one that is not meant to have an output,
// and has none of it, all of it may.
func TestVerifyCopy(t *testing.T) {
	for name, test := range map[string]struct {
		bucket string
		remove string
		whole  bool
	}{
		"a copy of it":                    {"local", "000002", true},
		"renamed":                         {"renamed", "000002", true},
		"nobody knows the bucket":         {"", "000002", true},
		"another output's, one is there":  {"elsewhere", "000002", true},
		"another output's, none is there": {"elsewhere", "00000", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.m.Sealed = nil
			for i := range f.m.Outputs {
				f.m.Outputs[i].Storage = []string{"archive"}
			}
			f.m.Outputs[slices.IndexFunc(f.m.Outputs, func(o storage.Output) bool { return o.ID != "alice" })].Storage = []string{"archive", "elsewhere"}
			seal(t, f.dir, f.m, f.key)
			for _, s := range f.m.Segments {
				if s.Output == "alice" && strings.Contains(s.Path, test.remove) {
					must(t, os.Remove(filepath.Join(f.dir, "room", "call", s.Path)))
				}
			}
			r, err := storage.Verify(t.Context(), f.bucket, "room/call", storage.VerifyOptions{PublicKeys: f.key.PublicKeys(), Bucket: test.bucket, Probe: probe})
			must(t, err)
			if r.Intact == test.whole {
				t.Errorf("intact %v, problems %v, notes %q", r.Intact, r.Problems, r.Notes)
			}
		})
	}
}

// TestVerifyRunning: what a running recording's manifest names may still be on
// its way; in one that does not run it is missing.
func TestVerifyRunning(t *testing.T) {
	for state, intact := range map[string]bool{"recording": true, "paused": true, "interrupted": false} {
		f := newFixture(t)
		f.m.Sealed, f.m.End, f.m.State = nil, nil, state
		writeManifest(t, f)
		must(t, os.Remove(filepath.Join(f.dir, "room", "call", storage.SignatureName)))
		must(t, os.Remove(filepath.Join(f.dir, "room", "call", f.m.Segments[len(f.m.Segments)-1].Path)))
		if r := f.verify(t); r.Intact != intact {
			t.Errorf("%s: intact %v, problems %v, notes %q", state, r.Intact, r.Problems, r.Notes)
		}
	}
}

// TestVerifySealTaken: a seal that was taken away is missed where anything is
// left that only a sealed recording has.
func TestVerifySealTaken(t *testing.T) {
	for left, broken := range map[string]bool{
		"": false, storage.TimeStampName: true, storage.OverviewName: true, storage.EventsName: false, "amendments/000001.json": true,
	} {
		f := newFixture(t)
		base := filepath.Join(f.dir, "room", "call")
		must(t, os.Remove(filepath.Join(base, storage.SignatureName)))
		for _, d := range f.m.Files {
			must(t, os.Remove(filepath.Join(base, d.Path)))
		}
		f.m.Sealed, f.m.State, f.m.Files = nil, "interrupted", nil
		writeManifest(t, f)
		if left != "" {
			write(t, filepath.Join(base, left), []byte("{}\n"))
		}
		r := f.verify(t)
		if (len(r.Problems) > 0) != broken || r.Sealed {
			t.Errorf("with %q: problems %v, notes %q", left, r.Problems, r.Notes)
		}
	}
}

// TestSignAfterRotation: a process that runs on signs everything with the key
// that another one made.
func TestSignAfterRotation(t *testing.T) {
	dir := t.TempDir()
	running, err := storage.LoadOrCreateKey(dir)
	must(t, err)
	fresh, err := storage.RotateKey(dir)
	must(t, err)
	b, err := running.Sign("x\n")
	must(t, err)
	_, by, _, err := storage.OpenNote(b, running.PublicKeys())
	must(t, err)
	if by != fresh.ID() || running.ID() != fresh.ID() {
		t.Errorf("signed by %s, the key is %s", by, fresh.ID())
	}
}

// TestSpooledAnywhere: what waits is seen, whatever the folder is called.
func TestSpooledAnywhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rec[1]*?")
	write(t, filepath.Join(dir, "out", "local", "room", "call", "keys", "mix.age"), []byte("k"))
	waiting, err := storage.Spooled(dir, "room/call")
	if err != nil || len(waiting) != 1 {
		t.Errorf("waiting %q, %v", waiting, err)
	}
}

// TestEraseRefused: an erasure that is held up after the mix was made anew
// leaves nothing behind.
func TestEraseRefused(t *testing.T) {
	f := newFixture(t)
	f.m.Sealed = nil
	f.m.Encryption = &storage.Encryption{Scheme: "age", Keys: []storage.KeyFile{}}
	for _, k := range []storage.KeyFile{
		{Of: storage.KeyOfStream, UserID: "alice", StreamID: "s", Document: storage.Document{Path: "keys/s.age"}},
		{Of: storage.KeyOfMix, Document: storage.Document{Path: "keys/mix.age"}},
	} {
		write(t, filepath.Join(f.dir, "room", "call", k.Path), []byte("key"))
		sum := sha256.Sum256([]byte("key"))
		k.Bytes, k.SHA256 = 3, hex.EncodeToString(sum[:])
		f.m.Encryption.Keys = append(f.m.Encryption.Keys, k)
	}
	seal(t, f.dir, f.m, f.key)
	held, failed := errors.New("held"), errors.New("no space")
	for _, want := range []error{held, failed} {
		e := storage.Erasure{
			Places: map[string]storage.Place{"local": f.bucket}, Base: "room/call", Key: f.key, UserID: "alice", By: "a", Reason: "b",
			Remix: func(_ *storage.SealedRecording, _ []storage.KeyFile, _ *storage.Amendment, put func(string, []byte) error) error {
				must(t, put("mix-v2/000001-20261123T081500.000Z.wav.age", []byte("new")))
				if want == failed {
					return failed
				}
				return put("keys/mix-v2.age", []byte("new"))
			},
			Guard: func(func() error) error { return held },
		}
		if _, err := e.Run(t.Context()); !errors.Is(err, want) {
			t.Fatal(err)
		}
		if r := f.verify(t); !r.Intact {
			t.Errorf("%v: %v", want, r.Problems)
		}
	}
}

func writeManifest(t *testing.T, f *fixture) {
	t.Helper()
	b, err := f.m.Encode()
	must(t, err)
	write(t, filepath.Join(f.dir, "room", "call", storage.ManifestName), b)
}
