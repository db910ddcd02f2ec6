package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/storage"

	"pgregory.net/rapid"
)

var morning = time.Date(2026, 11, 23, 8, 15, 0, 120e6, time.UTC)

func TestManifestEncoding(t *testing.T) {
	leave := storage.At(morning.Add(time.Minute))
	m := &storage.Manifest{
		Format: storage.ManifestFormat, ID: "call", Room: storage.Room{System: "mixdown", RoomID: "standup"},
		Start: storage.At(morning), State: "recording",
		Outputs: []storage.Output{{ID: "mix", What: "mix", Format: "ogg", Storage: []string{"local"}, Channels: 2, SegmentSeconds: 60}},
		Users:   []storage.User{{UserID: "alice", UserName: "Alice", Joins: []storage.Presence{{Join: storage.At(morning), Leave: &leave}}}},
		Streams: []storage.Stream{{StreamID: "s", UserID: "alice", Joins: []storage.Presence{{Join: storage.At(morning)}}}},
		Labels:  map[string]string{"case": "A-17"},
	}
	sum := sha256.Sum256([]byte("audio"))
	must(t, m.Append(storage.Segment{Path: "mix/1.ogg", Output: "mix", Index: 1, Start: m.Start, Samples: 48000}, storage.Sealed{Size: 5, SHA256: sum}))
	b, err := m.Encode()
	must(t, err)
	for _, want := range []string{`"format": "mixdown.recording/1"`, `"end": null`, `"start": "2026-11-23T08:15:00.120Z"`, `"roomID": "standup"`,
		`"leave": null`, `"leave": "2026-11-23T08:16:00.120Z"`, `"startSample": 0`, `"samples": 48000`, `"case": "A-17"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	// The chain, worked out by hand: SHA-256 of 32 zero bytes and the file's.
	chain := sha256.Sum256(append(make([]byte, 32), sum[:]...))
	if m.Head() != hex.EncodeToString(chain[:]) {
		t.Errorf("chain is %s", m.Head())
	}
	again, err := storage.DecodeManifest(b)
	must(t, err)
	b2, err := again.Encode()
	if err != nil || !bytes.Equal(b, b2) {
		t.Errorf("decoding and encoding changes it: %v\n%s", err, b2)
	}
	again.Segments[0].Chain = "broken"
	if err := again.Append(storage.Segment{}, storage.Sealed{}); err == nil {
		t.Error("append to a broken chain")
	}
	for _, bad := range []string{"", "null", "[]", `{"format":"other/1"}`, `{"format":"mixdown.recording/1","start":5}`} {
		if _, err := storage.DecodeManifest([]byte(bad)); err == nil {
			t.Errorf("decoded %q", bad)
		}
	}
}

func TestTime(t *testing.T) {
	zone := time.FixedZone("east", 3*3600)
	for in, want := range map[time.Time]string{
		time.Date(2026, 1, 2, 3, 4, 5, 0, zone):           `"2026-01-02T00:04:05.000Z"`,
		time.Date(2026, 1, 2, 3, 4, 5, 999_600_000, zone): `"2026-01-02T00:04:06.000Z"`,
		time.Date(2026, 1, 2, 3, 4, 5, 120_400_000, zone): `"2026-01-02T00:04:05.120Z"`,
	} {
		b, err := json.Marshal(storage.At(in))
		if err != nil || string(b) != want {
			t.Errorf("%v: %s %v, want %s", in, b, err, want)
		}
	}
	// A year of samples does not overflow.
	if got := storage.AtSample(storage.At(morning), 365*24*3600*48000+24); !got.Equal(morning.Add(365*24*time.Hour + time.Millisecond)) {
		t.Errorf("a year later: %v", got)
	}
}

func TestLedgerAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.MapOfN(rapid.StringMatching(`[a-r]{1,8}`), rapid.Int64Range(0, 1e10), 0, 12).Draw(t, "samples")
		l := storage.NewLedger(samples)
		var total int64
		for class, n := range samples {
			total += n
			if off := l[class] - n/48; off < 0 || off > 1 {
				t.Fatalf("%s: %d samples became %d ms", class, n, l[class])
			}
		}
		if l.Sum() != l["span"] || l.Sum() != (total+24)/48 {
			t.Fatalf("sum %d, span %d, samples %d", l.Sum(), l["span"], total)
		}
	})
}

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := storage.LoadOrCreateKey(dir)
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, "signing.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("private key: %v %v", info.Mode(), err)
	}
	again, err := storage.LoadOrCreateKey(dir)
	if err != nil || again.ID() != first.ID() || !slices.Equal(again.PublicKeys(), first.PublicKeys()) || len(again.PublicKeys()) != 1 {
		t.Errorf("loaded %v %v, made %v", again, err, first)
	}
	public, err := os.ReadFile(filepath.Join(dir, "signing.pub"))
	must(t, err)
	keys, err := storage.ParsePublicKeys("# ours\n\n" + string(public))
	if err != nil || !slices.Equal(keys, first.PublicKeys()) {
		t.Errorf("public key file: %q %v", keys, err)
	}
	// Rotation: what the old key signed still verifies, and who has the folder
	// open signs with the new one.
	old := first.ID()
	second, err := storage.RotateKey(dir)
	must(t, err)
	if first.ID() == old || first.ID() != second.ID() || !slices.Equal(first.PublicKeys(), second.PublicKeys()) {
		t.Errorf("a running daemon signs with %s, not %s", first.ID(), second.ID())
	}
	if all, err := storage.ReadPublicKeys(dir); err != nil || len(all) != 2 {
		t.Errorf("public keys of the folder: %q %v", all, err)
	}
	if second.ID() == old || !slices.Contains(second.PublicKeys(), keys[0]) || len(second.PublicKeys()) != 2 {
		t.Errorf("after rotation: %v", second.PublicKeys())
	}
	// The public file is lost: it is made again from the private one.
	must(t, os.Remove(filepath.Join(dir, "signing.pub")))
	third, err := storage.LoadOrCreateKey(dir)
	if err != nil || !slices.Equal(third.PublicKeys(), second.PublicKeys()) {
		t.Errorf("without signing.pub: %v %v", third, err)
	}
	for _, bad := range []string{"", "nonsense", "PRIVATE+KEY+mixdown+00000000+AAAA"} {
		must(t, os.WriteFile(filepath.Join(dir, "signing.key"), []byte(bad), 0o600))
		if _, err := storage.LoadOrCreateKey(dir); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("damaged key %q: %v", bad, err)
		}
	}
	if _, err := storage.ParsePublicKeys("# nothing\n"); err == nil {
		t.Error("no key was accepted as keys")
	}
}
