package ogg_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/encoder/ogg"
)

func TestRepairAtEveryLength(t *testing.T) {
	ps := packets(12)
	whole := stream(t, mono, ps, 3, 100)
	pages := walk(t, whole)
	for size := range len(whole) + 1 {
		f := &memory{bytes.Clone(whole[:size])}
		valid, samples := 0, int64(0)
		count := 0
		for _, g := range pages {
			if g.at+g.size <= size {
				valid, samples, count = g.at+g.size, max(0, g.granule-312), count+1
			}
		}
		for range 2 {
			kept, got, err := ogg.Repair(f)
			if count < 2 {
				if !errors.Is(err, ogg.ErrNoStream) || len(f.b) != size {
					t.Fatalf("%d bytes: %v, %d left", size, err, len(f.b))
				}
			} else if err != nil || int(kept) != valid || got != samples {
				t.Fatalf("%d bytes: kept %d of %d bytes, %d of %d samples, %v", size, kept, valid, got, samples, err)
			}
		}
		if count < 2 {
			continue
		}
		if n := decoded(t, f.b); n != int(samples) || len(walk(t, f.b)) != count {
			t.Fatalf("%d bytes: repaired file has %d samples instead of %d", size, n, samples)
		}
	}
}

func TestFilesContentTools(t *testing.T) {
	whole := stream(t, mono, tonePackets(t, 100), 25, 0)
	if n := length(t, whole); n != 100*960-312 {
		t.Errorf("ffmpeg hears %d samples of the whole file", n)
	}
	m := &memory{bytes.Clone(whole[:len(whole)-100])}
	if _, samples, err := ogg.Repair(m); err != nil || samples != 75*960-312 {
		t.Fatalf("%d samples, %v", samples, err)
	}
	if n := length(t, m.b); n != 75*960-312 {
		t.Errorf("ffmpeg hears %d samples of the repaired file", n)
	}
	var b bytes.Buffer
	w, err := ogg.NewWriter(&b, mono)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tonePackets(t, 10) {
		if err := w.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(1); !errors.Is(err, ogg.ErrTrim) {
		t.Errorf("trim of flushed packets: %v", err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if n := length(t, b.Bytes()); n != 10*960-312 {
		t.Errorf("ffmpeg hears %d samples of a file closed after a flush", n)
	}
}

// length is the number of samples ffmpeg decodes; it and opusinfo must have
// nothing to complain about.
func length(t *testing.T, file []byte) int {
	t.Helper()
	p := filepath.Join(t.TempDir(), "a.ogg")
	if err := os.WriteFile(p, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("opusinfo", p).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("opusinfo: %v\n%s", err, out)
	}
	var complaints strings.Builder
	cmd := exec.Command("ffmpeg", "-v", "warning", "-i", p, "-f", "s16le", "-")
	cmd.Stderr = &complaints
	out, err = cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, complaints.String())
	}
	return len(out) / 2
}

// memory is a file of bytes for Repair.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > len(m.b) {
		return 0, io.ErrShortWrite
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Truncate(size int64) error {
	if size > int64(len(m.b)) {
		return io.ErrUnexpectedEOF
	}
	m.b = m.b[:size]
	return nil
}

func FuzzRepair(f *testing.F) {
	whole := stream(f, mono, packets(4), 2, 100)
	f.Add(whole)
	f.Add(whole[:len(whole)-20])
	f.Add(append(bytes.Clone(whole), "OggS\x00\x04"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &memory{bytes.Clone(b)}
		valid, samples, err := ogg.Repair(m)
		if err != nil {
			if !bytes.Equal(m.b, b) {
				t.Fatal("a hopeless file was changed")
			}
			return
		}
		if valid != int64(len(m.b)) || samples < 0 {
			t.Fatalf("%d bytes kept, file has %d; %d samples", valid, len(m.b), samples)
		}
		once := bytes.Clone(m.b)
		again, same, err := ogg.Repair(m)
		if err != nil || again != valid || same != samples || !bytes.Equal(m.b, once) {
			t.Fatalf("second repair: %d bytes, %d samples, %v", again, same, err)
		}
	})
}
