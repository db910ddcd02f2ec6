package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixdown/storage"
)

// TestRebuildOnUnsealed: what an unsealed manifest knows is kept, and what came
// after it is added; what is missing or changed is named.
func TestRebuildOnUnsealed(t *testing.T) {
	f := newFixture(t)
	o := storage.RebuildOptions{ID: "call", Room: "room", Bucket: "local", Probe: probe}
	if _, err := storage.Rebuild(t.Context(), f.bucket, "room/call", o); !errors.Is(err, storage.ErrSealed) {
		t.Errorf("of a sealed one: %v", err)
	}
	all := slices.Clone(f.m.Segments)
	f.m.Sealed, f.m.End, f.m.State, f.m.Segments, f.m.Files = nil, nil, "recording", all[:3], nil
	f.m.Labels = map[string]string{"case": "A-17"}
	b, err := f.m.Encode()
	must(t, err)
	write(t, filepath.Join(f.dir, "room/call", storage.ManifestName), b)
	must(t, os.Remove(filepath.Join(f.dir, "room/call", storage.SignatureName)))
	m, err := storage.Rebuild(t.Context(), f.bucket, "room/call", o)
	must(t, err)
	if !slices.Equal(m.Segments[:3], all[:3]) || len(m.Segments) != len(all) || m.Labels["case"] != "A-17" || len(m.Rebuilt.Left) > 0 || len(m.Files) != 1 {
		t.Errorf("rebuilt: %+v", m)
	}
	seal(t, f.dir, m, f.key)
	if r := f.verify(t); !r.Intact || len(r.Notes) != 1 {
		t.Errorf("it verifies as %+v", r)
	}
	// One known segment is gone, another is another.
	write(t, filepath.Join(f.dir, "room/call", storage.ManifestName), b)
	must(t, os.Remove(filepath.Join(f.dir, "room/call", all[0].Path)))
	whole, err := os.ReadFile(filepath.Join(f.dir, "room/call", all[1].Path))
	must(t, err)
	whole[len(whole)-1] ^= 1
	write(t, filepath.Join(f.dir, "room/call", all[1].Path), whole)
	write(t, filepath.Join(f.dir, "room/call", all[2].Path), []byte("short"))
	if m, err = storage.Rebuild(t.Context(), f.bucket, "room/call", o); err != nil {
		t.Fatal(err)
	}
	left := strings.Join(m.Rebuilt.Left, "\n")
	for _, want := range []string{all[0].Path + ": is missing", all[1].Path + ": is not what", all[2].Path + ": is no whole audio"} {
		if !strings.Contains(left, want) {
			t.Errorf("left out: %s, want %s", left, want)
		}
	}
	if r := f.verify(t); r.Intact {
		t.Error("what is gone is not missed")
	}
}
