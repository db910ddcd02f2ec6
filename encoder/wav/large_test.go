package wav_test

import (
	"encoding/binary"
	"io"
	"math"
	"os"
	"testing"

	"mixdown/encoder/wav"
)

// TestCrosses4GiB writes over the border in a sparse file and looks at every
// flush.
func TestCrosses4GiB(t *testing.T) {
	f := open(t, "large.wav")
	c := wav.Config{Channels: 2}
	first, err := wav.NewWriter(f, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	header := wav.HeaderSize(wav.PCM16)
	already := (1<<32 - 3*3840 - header) / 4
	if err := f.Truncate(header + already*4); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	w, err := wav.Resume(f, c, already)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for n := range 6 {
		fr := frame(n)
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		samples := already + int64(n+1)*960
		kinds[checkLarge(t, f, samples)]++
		if n == 0 || n == 5 {
			probe(t, f.Name(), samples)
		}
		r := io.NewSectionReader(f, 0, 1<<40)
		rd, err := wav.NewReader(r)
		if err != nil || rd.Samples() != samples {
			t.Fatalf("reader sees %d samples of %d, %v", rd.Samples(), samples, err)
		}
	}
	if kinds["RIFF"] != 3 || kinds["RF64"] != 3 {
		t.Errorf("headers: %v", kinds)
	}

	// A crash before the header was patched.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 4001)); err != nil {
		t.Fatal(err)
	}
	valid, samples, err := wav.Repair(f)
	if err != nil || valid != size+4000 || samples != already+6*960+1000 {
		t.Fatalf("repair: %d bytes, %d samples, %v", valid, samples, err)
	}
	checkLarge(t, f, samples)
	if err := f.Truncate(header + 4000); err != nil {
		t.Fatal(err)
	}
	if _, samples, err := wav.Repair(f); err != nil || samples != 1000 || checkLarge(t, f, 1000) != "RIFF" {
		t.Errorf("a cut RF64 file: %d samples, %v", samples, err)
	}
	checkTools(t, f.Name(), 1000)
}

// checkLarge holds the header against EBU Tech 3306 and returns its kind.
func checkLarge(t *testing.T, f *os.File, samples int64) string {
	t.Helper()
	le := binary.LittleEndian
	h := make([]byte, wav.HeaderSize(wav.PCM16))
	if _, err := f.ReadAt(h, 0); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data := samples * 4
	if info.Size() != data+wav.HeaderSize(wav.PCM16) {
		t.Fatalf("file of %d bytes for %d samples", info.Size(), samples)
	}
	kind := string(h[:4])
	switch kind {
	case "RIFF":
		if int64(le.Uint32(h[4:])) != info.Size()-8 || string(h[12:16]) != "JUNK" || int64(le.Uint32(h[76:])) != data {
			t.Errorf("RIFF header % x", h)
		}
	case "RF64":
		if le.Uint32(h[4:]) != math.MaxUint32 || string(h[12:16]) != "ds64" || le.Uint32(h[16:]) != 28 ||
			int64(le.Uint64(h[20:])) != info.Size()-8 || int64(le.Uint64(h[28:])) != data ||
			int64(le.Uint64(h[36:])) != samples || le.Uint32(h[44:]) != 0 || le.Uint32(h[76:]) != math.MaxUint32 {
			t.Errorf("RF64 header % x", h)
		}
	default:
		t.Errorf("header of kind %q", kind)
	}
	return kind
}
