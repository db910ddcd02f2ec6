package main

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/s3"
)

// TestRebuild: of a recording only the segments are left, in a folder or in a
// bucket: the manifest that is made of them names the same audio at the same
// time, verifies, and says that it was rebuilt.
func TestRebuild(t *testing.T) {
	t.Parallel()
	edit, server := withBucket(t)
	body := spec("r")
	body["record"] = []any{map[string]any{"what": "mix", "segmentSeconds": 2}, map[string]any{"what": "mix", "format": "wav", "segmentSeconds": 2}, map[string]any{"what": "streams", "segmentSeconds": 2}}
	h := callOfTwo(t, body, edit)
	<-time.After(5 * time.Second)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	was := call[storage.Manifest](t, h.client, http.MethodGet, "/v1/recordings/c", nil)
	from := filepath.Join(h.config.Data, "recordings", "r", "c")
	data := "MIXDOWN_DATA=" + h.config.Data
	if code, _, errs := commandIn(t, []string{data}, "rebuild", from); code != exitUsage || !strings.Contains(errs, "nothing to rebuild") {
		t.Errorf("a sealed one: exit %d: %s", code, errs)
	}

	dir := filepath.Join(t.TempDir(), "r", "c")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{storage.SignatureName, storage.ManifestName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, storage.ManifestName), []byte("{half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := commandIn(t, []string{data}, "rebuild", dir)
	if code != exitOK || !strings.Contains(out, "rebuilt: recording c of room r from segments") {
		t.Fatalf("rebuild: exit %d: %s%s", code, out, errs)
	}
	raw, err := os.ReadFile(filepath.Join(dir, storage.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	sameAudio(t, was, raw)
	code, out, errs = commandIn(t, []string{data}, "verify", dir)
	if code != exitOK || !strings.Contains(out, "was rebuilt") {
		t.Errorf("verify: exit %d: %s%s", code, out, errs)
	}
	breakAndVerify(t, dir, filepath.Join(h.config.Data, "keys", "signing.pub"), was)

	// The same in a bucket.
	bucket, err := s3.New(s3.Config{
		Endpoint: "http://" + server.Endpoint, Region: server.Region, Bucket: server.Bucket, AccessKey: server.AccessKey, SecretKey: server.SecretKey, PathStyle: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range was.Segments {
		b, err := os.ReadFile(filepath.Join(from, filepath.FromSlash(s.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if err := bucket.Put(t.Context(), "left/r/c/"+s.Path, bytes.NewReader(b), storage.PutOptions{Size: int64(len(b)), SHA256: sha256.Sum256(b)}); err != nil {
			t.Fatal(err)
		}
	}
	c := configs.Default()
	c.Data, c.Storages = h.config.Data, h.config.Storages
	config := writeConfig(t, c)
	at := "s3://" + server.Bucket + "/left/r/c"
	if code, out, errs := command(t, "rebuild", at, "--config", config); code != exitOK {
		t.Fatalf("rebuild %s: exit %d: %s%s", at, code, out, errs)
	}
	f, _, err := bucket.Open(t.Context(), "left/r/c/"+storage.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	sameAudio(t, was, b.Bytes())
	if code, out, errs := command(t, "verify", at, "--config", config); code != exitOK {
		t.Errorf("verify %s: exit %d: %s%s", at, code, out, errs)
	}
	if code, _, errs := command(t, "rebuild", t.TempDir()); code != exitUsage || !strings.Contains(errs, "no segments") {
		t.Errorf("rebuild of nothing: exit %d: %s", code, errs)
	}
}

// sameAudio compares a rebuilt manifest with what the capture had sealed.
func sameAudio(t *testing.T, was storage.Manifest, raw []byte) {
	t.Helper()
	m, err := storage.DecodeManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	if m.Rebuilt == nil || len(m.Rebuilt.Left) > 0 || m.ID != "c" || m.Room.RoomID != "r" || len(m.Segments) != len(was.Segments) || len(m.Outputs) != len(was.Outputs) || len(m.Streams) != len(was.Streams) {
		t.Errorf("rebuilt: %s", raw)
	}
	have := map[string]storage.Segment{}
	for _, s := range m.Segments {
		have[s.Path] = s
	}
	for _, s := range was.Segments {
		got := have[s.Path]
		if got.SHA256 != s.SHA256 || got.Samples != s.Samples || got.Output != s.Output || got.Index != s.Index || got.Start.Sub(s.Start.Time).Abs() > time.Millisecond {
			t.Errorf("%s was %+v, is %+v", s.Path, s, got)
		}
	}
	if d := m.End.Sub(was.End.Time); d.Abs() > 25*time.Millisecond {
		t.Errorf("the end is %s, was %s", m.End, was.End)
	}
}
