package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/storage"
	"mixdown/storage/file"
)

const second = 48000

// recording makes a sealed recording of two outputs in dir/room/ID and
// returns its manifest.
func recording(t testing.TB, dir, id string, key *storage.Key) *storage.Manifest {
	t.Helper()
	end, leave := storage.At(morning.Add(30*time.Second)), storage.At(morning.Add(22*time.Second))
	m := &storage.Manifest{
		Format: storage.ManifestFormat, ID: id, Room: storage.Room{System: "mixdown", RoomID: "room"},
		Start: storage.At(morning), End: &end, State: "complete",
		Outputs: []storage.Output{
			{ID: "mix", What: "mix", Format: "wav", Storage: []string{"local"}, Channels: 2, SegmentSeconds: 10},
			{ID: "alice", What: "stream", Format: "wav", Storage: []string{"archive"}, Channels: 1, StreamID: "s", UserID: "alice"},
		},
		Streams: []storage.Stream{{StreamID: "s", UserID: "alice", Joins: []storage.Presence{{Join: storage.At(morning.Add(time.Second)), Leave: &leave}}}},
		Ledger:  map[string]storage.Ledger{"alice/s": storage.NewLedger(map[string]int64{"received": 20*second + 5, "lost": 24000, "dtx": 24000})},
	}
	r := rand.New(rand.NewPCG(uint64(len(id)), 7))
	add := func(output string, index int, start, samples int64) {
		at := storage.AtSample(m.Start, start)
		path := fmt.Sprintf("%s/%06d-%s.wav", output, index, at.Format("20060102T150405.000Z"))
		b := binary.LittleEndian.AppendUint64(nil, uint64(samples))
		for range 200 + r.IntN(400) {
			b = append(b, byte(r.Uint32()))
		}
		write(t, filepath.Join(dir, "room", id, path), b)
		must(t, m.Append(storage.Segment{Path: path, Output: output, Index: index, Start: at, StartSample: start, Samples: samples}, sealedOf(b)))
	}
	add("mix", 1, 0, 10*second)
	add("streams/alice/s", 1, second, 10*second)
	add("mix", 2, 10*second, 10*second)
	add("streams/alice/s", 2, 11*second, 11*second+5)
	add("mix", 3, 20*second, 10*second)
	for i := range m.Segments {
		if m.Segments[i].Output != "mix" {
			m.Segments[i].Output = "alice"
		}
	}
	events := []byte(`{"at":"2026-11-23T08:15:01.000Z","event":"userJoined"}` + "\n")
	write(t, filepath.Join(dir, "room", id, storage.EventsName), events)
	m.AppendFile(storage.EventsName, sealedOf(events))
	seal(t, dir, m, key)
	return m
}

// seal writes manifest and signature as they are now.
func seal(t testing.TB, dir string, m *storage.Manifest, key *storage.Key) {
	t.Helper()
	b, sig, err := storage.Seal(m, key)
	must(t, err)
	write(t, filepath.Join(dir, "room", m.ID, storage.ManifestName), b)
	if sig != nil {
		write(t, filepath.Join(dir, "room", m.ID, storage.SignatureName), sig)
	}
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o700))
	must(t, os.WriteFile(name, b, 0o600))
}

func sealedOf(b []byte) storage.Sealed {
	return storage.Sealed{Size: int64(len(b)), SHA256: sha256.Sum256(b)}
}

// probe reads the samples that recording wrote into the first eight bytes.
func probe(_ string, r io.ReadSeeker) (int64, error) {
	var n [8]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(n[:])), nil
}

type fixture struct {
	dir    string
	bucket *file.Bucket
	key    *storage.Key
	m      *storage.Manifest
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{dir: memoryDir(t)}
	var err error
	f.key, err = storage.LoadOrCreateKey(t.TempDir())
	must(t, err)
	f.bucket, err = file.Open(f.dir)
	must(t, err)
	t.Cleanup(func() { f.bucket.Close() })
	f.m = recording(t, f.dir, "call", f.key)
	return f
}

func (f *fixture) verify(t testing.TB) storage.Report {
	t.Helper()
	r, err := storage.Verify(t.Context(), f.bucket, "room/call", storage.VerifyOptions{PublicKeys: f.key.PublicKeys(), Probe: probe})
	must(t, err)
	return r
}

func TestVerifyIntact(t *testing.T) {
	f := newFixture(t)
	r := f.verify(t)
	if !r.Intact || !r.Sealed || r.SignedBy != f.key.ID() || r.Segments != 5 || r.ID != "call" || len(r.Notes) != 0 {
		t.Errorf("%+v", r)
	}
	// Sealing again, as after a crash in between, gives the same bytes.
	before, err := os.ReadFile(filepath.Join(f.dir, "room/call", storage.SignatureName))
	must(t, err)
	seal(t, f.dir, f.m, f.key)
	after, err := os.ReadFile(filepath.Join(f.dir, "room/call", storage.SignatureName))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("sealed again:\n%s\n%s", before, after)
	}
}

// TestVerifyConsistency: a manifest that its own key signed, but that says
// impossible things.
func TestVerifyConsistency(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(m *storage.Manifest)
		want  string
	}{
		"gap":         {func(m *storage.Manifest) { m.Segments[2].Samples -= 960 }, "starts at sample 960000, but the segment before it ends at 959040"},
		"overlap":     {func(m *storage.Manifest) { m.Segments[2].Samples += 960 }, "ends at 960960"},
		"index":       {func(m *storage.Manifest) { m.Segments[2].Index = 3 }, "where 2 is due"},
		"time":        {func(m *storage.Manifest) { m.Segments[1].Start = storage.At(morning) }, "off its place"},
		"output":      {func(m *storage.Manifest) { m.Outputs = m.Outputs[:1] }, `output "alice" is not in the manifest`},
		"ledger":      {func(m *storage.Manifest) { m.Ledger["alice/s"]["received"]++ }, "add up to 21001 ms, not to its span of 21000 ms"},
		"ledger span": {func(m *storage.Manifest) { m.Ledger["alice/s"] = storage.Ledger{"received": 5, "span": 5} }, "was there for 21000 ms"},
		"negative": {func(m *storage.Manifest) {
			m.Ledger["alice/s"] = storage.Ledger{"received": 21001, "lost": -1, "span": 21000}
		}, "-1 ms lost"},
		"no ledger": {func(m *storage.Manifest) { m.Ledger = nil }, "has no ledger"},
		"strange":   {func(m *storage.Manifest) { m.Streams = nil }, "no such stream"},
		"chain":     {func(m *storage.Manifest) { m.Segments[1], m.Segments[2] = m.Segments[2], m.Segments[1] }, "chain is broken here"},
		"short":     {func(m *storage.Manifest) { m.Segments[4].Samples = 5 }, "holds 480000 samples, not 5"},
		"escape":    {func(m *storage.Manifest) { m.Segments[0].Path = "../../etc/passwd" }, "no path within"},
		"absolute":  {func(m *storage.Manifest) { m.Segments[0].Path = "/etc/passwd" }, "no path within"},
		"twice":     {func(m *storage.Manifest) { m.Segments[2].Path = m.Segments[0].Path }, "named twice"},
		"no sum":    {func(m *storage.Manifest) { m.Segments[0].SHA256 = "" }, "no SHA-256"},
		"bytes":     {func(m *storage.Manifest) { m.Segments[0].Bytes++ }, "bytes, not"},
		"samples":   {func(m *storage.Manifest) { m.Segments[0].Samples = -1 }, "impossible figures"},
		"events":    {func(m *storage.Manifest) { m.Files = nil }, "does not vouch"},
		"unknown":   {func(m *storage.Manifest) { m.Segments = m.Segments[:4] }, "unknown file"},
		"undeclared": {func(m *storage.Manifest) {
			m.Gaps = []storage.Gap{{Output: "mix", StartSample: 1, Samples: 2}}
			m.Segments[2].Samples -= 1
		}, "ends at"},
		"output twice":  {func(m *storage.Manifest) { m.Outputs[1].ID = "mix" }, "named twice"},
		"document self": {func(m *storage.Manifest) { m.AppendFile(storage.ManifestName, storage.Sealed{}) }, "named twice"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			test.spoil(f.m)
			seal(t, f.dir, f.m, f.key)
			r := f.verify(t)
			if r.Intact || !slices.ContainsFunc(r.Problems, func(p storage.Problem) bool { return strings.Contains(p.String(), test.want) }) {
				t.Errorf("no problem has %q: %v", test.want, r.Problems)
			}
		})
	}
	t.Run("declared gap", func(t *testing.T) {
		f := newFixture(t)
		f.m.Segments[3].Samples -= 5 // the last of alice: no successor
		f.m.Gaps = []storage.Gap{{Output: "mix", StartSample: 19 * second, Samples: second, Reason: "paused"}}
		f.m.Segments[2].Samples -= second
		seal(t, f.dir, f.m, f.key)
		r, err := storage.Verify(t.Context(), f.bucket, "/room/call/", storage.VerifyOptions{PublicKeys: f.key.PublicKeys()})
		if err != nil || !r.Intact {
			t.Errorf("%v %v", r.Problems, err)
		}
	})
}

func TestVerifySignature(t *testing.T) {
	f := newFixture(t)
	other, err := storage.LoadOrCreateKey(t.TempDir())
	must(t, err)
	with := func(keys []string) storage.Report {
		r, err := storage.Verify(t.Context(), f.bucket, "room/call", storage.VerifyOptions{PublicKeys: keys})
		must(t, err)
		return r
	}
	if r := with(nil); !r.Intact || r.SignedBy != "" || len(r.Notes) != 1 {
		t.Errorf("without keys: %+v", r)
	}
	if r := with(other.PublicKeys()); r.Intact || !strings.Contains(r.Problems[0].Text, f.key.ID()) {
		t.Errorf("with a foreign key: %+v", r)
	}
	if r := with(append(other.PublicKeys(), f.key.PublicKeys()...)); !r.Intact || r.SignedBy != f.key.ID() {
		t.Errorf("with several keys: %+v", r)
	}
	if r := with([]string{"nonsense"}); r.Intact {
		t.Errorf("with nonsense: %+v", r)
	}
	must(t, os.Remove(filepath.Join(f.dir, "room/call", storage.SignatureName)))
	seal(t, f.dir, f.m, nil)
	if r := with(nil); !r.Intact || !strings.Contains(r.Notes[0], "not signed") {
		t.Errorf("unsigned: %+v", r)
	}
	if r := with(f.key.PublicKeys()); r.Intact {
		t.Errorf("unsigned, but a signature is asked for: %+v", r)
	}
	f.m.End = nil
	if _, _, err := storage.Seal(f.m, f.key); err == nil {
		t.Error("a running recording was sealed")
	}
}

func TestVerifyUnsealed(t *testing.T) {
	f := newFixture(t)
	home := filepath.Join(f.dir, "room/call")
	f.m.Sealed, f.m.End, f.m.State, f.m.Files = nil, nil, "interrupted", nil
	f.m.Segments = f.m.Segments[:4]
	b, err := f.m.Encode()
	must(t, err)
	write(t, filepath.Join(home, storage.ManifestName), b)
	must(t, os.Remove(filepath.Join(home, storage.SignatureName)))
	r := f.verify(t)
	if !r.Intact || r.Sealed || len(r.Notes) != 2 || r.Segments != 4 {
		t.Errorf("%+v", r)
	}
	must(t, os.Remove(filepath.Join(home, f.m.Segments[1].Path)))
	if r := f.verify(t); r.Intact || r.Problems[0].Segment != f.m.Segments[1].Path {
		t.Errorf("%+v", r)
	}
	f.m.State = "complete"
	b, err = f.m.Encode()
	must(t, err)
	write(t, filepath.Join(home, storage.ManifestName), b)
	if r := f.verify(t); !strings.Contains(r.Problems[0].Text, "not sealed") {
		t.Errorf("%+v", r)
	}
}

// A bucket that holds only some of the outputs is judged by those.
func TestVerifyBucketOfSomeOutputs(t *testing.T) {
	f := newFixture(t)
	must(t, os.RemoveAll(filepath.Join(f.dir, "room/call/streams")))
	r, err := storage.Verify(t.Context(), f.bucket, "room/call", storage.VerifyOptions{PublicKeys: f.key.PublicKeys(), Bucket: "local"})
	if err != nil || !r.Intact || r.Segments != 3 || len(r.Notes) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if r := f.verify(t); len(r.Problems) != 2 {
		t.Errorf("%+v", r)
	}
}

// broken is a browser that fails at what it is told.
type broken struct {
	storage.Browser
	list bool
	open string
}

var errDown = errors.New("bucket is down")

func (b *broken) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	if b.list {
		return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, errDown) }
	}
	return b.Browser.List(ctx, prefix)
}

func (b *broken) Open(ctx context.Context, key string) (io.ReadSeekCloser, storage.Object, error) {
	if b.open != "" && strings.HasSuffix(key, b.open) {
		return nil, storage.Object{}, errDown
	}
	return b.Browser.Open(ctx, key)
}

func TestVerifyCouldNotCheck(t *testing.T) {
	f := newFixture(t)
	options := storage.VerifyOptions{PublicKeys: f.key.PublicKeys()}
	for _, b := range []*broken{{list: true}, {open: storage.ManifestName}, {open: storage.SignatureName}, {open: ".wav"}, {open: storage.EventsName}} {
		b.Browser = f.bucket
		r, err := storage.Verify(t.Context(), b, "room/call", options)
		if !errors.Is(err, errDown) || r.Intact || len(r.Problems) != 0 {
			t.Errorf("%+v: %+v %v", b, r, err)
		}
	}
	if _, err := storage.Verify(t.Context(), f.bucket, "room/nobody", options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no recording: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := storage.Verify(ctx, f.bucket, "room/call", options); err == nil || r.Intact {
		t.Errorf("cancelled: %+v %v", r, err)
	}
}

func FuzzVerifyManifest(f *testing.F) {
	x := newFixture(f)
	signed, err := x.m.Encode()
	must(f, err)
	f.Add(signed)
	f.Add([]byte(`{"format":"mixdown.recording/1","segments":[{"path":"a","startSample":9223372036854775807,"samples":9223372036854775807}]}`))
	f.Add([]byte(`{"format":"mixdown.recording/1","start":"9999-12-31T23:59:59Z","segments":[{"startSample":-9223372036854775808}],"sealed":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		write(t, filepath.Join(x.dir, "room/call", storage.ManifestName), b)
		r, err := storage.Verify(t.Context(), x.bucket, "room/call", storage.VerifyOptions{PublicKeys: x.key.PublicKeys(), Probe: probe})
		if err == nil && r.Intact && !bytes.Equal(b, signed) {
			t.Errorf("a manifest that nobody signed is intact: %s", b)
		}
		for _, p := range r.Problems {
			_ = p.String()
		}
	})
}
