package wav_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/encoder/wav"
	"mixdown/mixer/pcm"
)

// frame is noise that is different at every sample.
func frame(n int) (f pcm.Frame) {
	for i := range f {
		h := uint64(n*pcm.FrameSize+i+1) * 0x9e3779b97f4a7c15
		f[i] = [2]float32{float32(int16(h>>48)) / 32768, float32(int16(h>>32)) / 32768}
	}
	return f
}

func open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t testing.TB, r io.Reader) ([][2]float32, error) {
	t.Helper()
	w, err := wav.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]float32
	buf := make([][2]float32, 777)
	for {
		n, err := w.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestSamplesComeBack(t *testing.T) {
	for _, e := range []wav.Encoding{wav.PCM16, wav.PCM24, wav.Float32} {
		for _, channels := range []int{1, 2} {
			f := open(t, "a.wav")
			w, err := wav.NewWriter(f, wav.Config{Channels: channels, Encoding: e})
			if err != nil {
				t.Fatal(err)
			}
			for n := range 40 {
				fr := frame(n)
				if err := w.WriteFrame(&fr); err != nil {
					t.Fatal(err)
				}
			}
			if w.Samples() != 40*960 {
				t.Errorf("%d samples", w.Samples())
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			x, err := read(t, bytes.NewReader(b))
			if err != nil || len(x) != 40*960 {
				t.Fatalf("%d samples, %v", len(x), err)
			}
			for n := range 40 {
				fr := frame(n)
				for i, v := range fr {
					want := v
					if channels == 1 {
						m := (v[0] + v[1]) / 2
						if e == wav.PCM16 {
							m = float32(wav.Int16(m)) / 32768
						}
						want = [2]float32{m, m}
					}
					if x[n*960+i] != want {
						t.Fatalf("encoding %d, %d channels, sample %d: %v instead of %v", e, channels, n*960+i, x[n*960+i], want)
					}
				}
			}
			checkTools(t, f.Name(), 40*960)
		}
	}
}

// probe checks the length with ffprobe, which reads the header only.
func probe(t *testing.T, path string, samples int64) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "warning", "-of", "csv=p=0", "-show_entries", "stream=sample_rate,duration_ts", path).CombinedOutput()
	if want := fmt.Sprintf("48000,%d", samples); err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("ffprobe: %v: %s instead of %s", err, out, want)
	}
}

func checkTools(t *testing.T, path string, samples int64) {
	t.Helper()
	probe(t, path, samples)
	out, err := exec.Command("sox", "--i", "-s", path).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(samples) {
		t.Errorf("sox: %v: %s samples instead of %d", err, out, samples)
	}
}

func TestInt16(t *testing.T) {
	for v := math.MinInt16; v <= math.MaxInt16; v++ {
		if got := wav.Int16(float32(v) / 32768); int(got) != v {
			t.Fatalf("%d comes back as %d", v, got)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for v, want := range map[float32]int16{1: 32767, 1.5: 32767, -1: -32768, -1.5: -32768, inf: 32767, -inf: -32768,
		0.4 / 32768: 0, 0.6 / 32768: 1, -0.4 / 32768: 0, -0.6 / 32768: -1, 1e-20: 0} {
		if got := wav.Int16(v); got != want {
			t.Errorf("%v becomes %d instead of %d", v, got, want)
		}
	}
	if got := wav.Int16(nan); got != 0 {
		t.Errorf("NaN becomes %d", got)
	}
}

// TestHeaderIsTrueAfterEveryFlush reads the growing file.
func TestHeaderIsTrueAfterEveryFlush(t *testing.T) {
	f := open(t, "grow.wav")
	w, err := wav.NewWriter(f, wav.Config{Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 80 {
		fr := frame(n)
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if x, err := read(t, bytes.NewReader(b)); err != nil {
			t.Fatalf("between flushes: %d samples, %v", len(x), err)
		}
		if n%7 != 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if b, err = os.ReadFile(f.Name()); err != nil {
			t.Fatal(err)
		}
		if x, err := read(t, bytes.NewReader(b)); err != nil || len(x) != (n+1)*960 {
			t.Fatalf("%d samples after %d frames, %v", len(x), n+1, err)
		}
		if riff := binary.LittleEndian.Uint32(b[4:]); int(riff) != len(b)-8 {
			t.Fatalf("RIFF size %d of a file of %d", riff, len(b))
		}
	}
}

func TestReaderTellsShortFiles(t *testing.T) {
	whole := small(t, wav.Config{Channels: 2})
	x, err := read(t, bytes.NewReader(whole[:len(whole)-10]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(x) != 2*960-3 {
		t.Errorf("%d samples, %v", len(x), err)
	}
}

func TestReaderTakesOtherWriters(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"s16.wav":  {"-b", "16"},
		"s24.wav":  {"-b", "24"}, // sox writes it as WAVE_FORMAT_EXTENSIBLE
		"f32.wav":  {"-b", "32", "-e", "floating-point"},
		"mono.wav": {"-c", "1", "-b", "16"},
	} {
		p := filepath.Join(dir, name)
		args = append(append([]string{"-n", "-r", "48000"}, args...), p, "synth", "0.5", "sine", "440", "gain", "-6")
		if out, err := exec.Command("sox", args...).CombinedOutput(); err != nil {
			t.Fatalf("sox: %v %s", err, out)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		x, err := read(t, bytes.NewReader(b))
		if err != nil || len(x) != 24000 {
			t.Fatalf("%s: %d samples, %v", name, len(x), err)
		}
		peak := float32(0)
		for _, v := range x {
			peak = max(peak, v[0])
		}
		if peak < 0.49 || peak > 0.51 {
			t.Errorf("%s: peak %v", name, peak)
		}
	}
}

// full is a disk that fills up.
type full struct {
	left int
}

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (f *full) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestErrorsStay(t *testing.T) {
	w, err := wav.NewWriter(&full{left: 5000}, wav.Config{Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	fr := frame(0)
	for range 3 {
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.Flush(); !errors.Is(err, errFull) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := w.WriteFrame(&fr); !errors.Is(err, errFull) {
		t.Errorf("write after an error: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: %v", err)
	}
	if _, err := wav.NewWriter(&full{}, wav.Config{Channels: 2}); !errors.Is(err, errFull) {
		t.Errorf("header: %v", err)
	}
	for _, c := range []wav.Config{{}, {Channels: 3}, {Channels: 1, Encoding: 7}} {
		if _, err := wav.NewWriter(&memory{}, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	for _, channels := range []int{1, 2} {
		b.Run(fmt.Sprint(channels), func(b *testing.B) {
			w, err := wav.NewWriter(&full{left: math.MaxInt}, wav.Config{Channels: channels})
			if err != nil {
				b.Fatal(err)
			}
			fr := frame(0)
			b.ReportAllocs()
			for b.Loop() { // one stream-second
				for range 50 {
					if err := w.WriteFrame(&fr); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
