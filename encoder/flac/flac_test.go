package flac_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/encoder/encodertest"
	"mixdown/encoder/flac"
	"mixdown/encoder/wav"
	"mixdown/mixer/pcm"
)

// memory is a file of bytes.
type memory struct{ b []byte }

func (m *memory) Write(p []byte) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > len(m.b) {
		return 0, io.ErrShortWrite
	}
	return copy(m.b[off:], p), nil
}

// signals are hard in different ways: the smallest and largest values, noise,
// silence, a constant, sides that agree and that do not.
var signals = map[string]func(n int) (l, r float32){
	"silence":  func(int) (float32, float32) { return 0, 0 },
	"constant": func(int) (float32, float32) { return -1, 0.25 },
	"noise": func(n int) (float32, float32) {
		h := uint64(n+1) * 0x9e3779b97f4a7c15
		return float32(int16(h>>48)) / 32768, float32(int16(h>>32)) / 32768
	},
	"square": func(n int) (float32, float32) {
		v := float32(1)
		if n/50%2 == 0 {
			v = -1
		}
		return v, -v
	},
	"tone": func(n int) (float32, float32) {
		v := float32(0.9 * math.Sin(float64(n)/20))
		return v, v
	},
	"quiet": func(n int) (float32, float32) { return float32(n%3-1) / 32768, float32(n%5-2) / 32768 },
	"step": func(n int) (float32, float32) {
		if n%7777 < 5000 {
			return 0, 0
		}
		return float32(math.Sin(float64(n) / 3)), 1
	},
}

func written(t testing.TB, m *memory, channels, frames int, f func(int) (float32, float32)) *flac.Writer {
	t.Helper()
	w, err := flac.NewWriter(m, channels)
	if err != nil {
		t.Fatal(err)
	}
	for n := range frames {
		var fr pcm.Frame
		for i := range fr {
			l, r := f(n*pcm.FrameSize + i)
			fr[i] = [2]float32{l, r}
		}
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func TestLossless(t *testing.T) {
	for name, f := range signals {
		for _, channels := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", name, channels), func(t *testing.T) {
				var m memory
				w := written(t, &m, channels, 20, f)
				if w.Samples() != 20*960 {
					t.Errorf("%d samples", w.Samples())
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err == nil {
					t.Error("flush after close")
				}
				x, err := encodertest.Decode(".flac", m.b)
				if err != nil || len(x) != 20*960 {
					t.Fatalf("%d samples, %v", len(x), err)
				}
				sum := md5.New()
				for n, v := range x {
					l, r := f(n)
					want := [2]int16{wav.Int16(l), wav.Int16(r)}
					if channels == 1 {
						want[0] = wav.Int16((l + r) / 2)
						want[1] = want[0]
					}
					if v != [2]float32{float32(want[0]) / 32768, float32(want[1]) / 32768} {
						t.Fatalf("sample %d is %v instead of %v", n, v, want)
					}
					for _, s := range want[:channels] {
						sum.Write([]byte{byte(s), byte(s >> 8)})
					}
				}
				if !bytes.Equal(m.b[26:42], sum.Sum(nil)) {
					t.Error("the MD5 sum in the header is another")
				}
				outside(t, m.b, channels, 20*960, sum.Sum(nil))
			})
		}
	}
}

// TestCompression holds the size against that of 16-bit PCM.
func TestCompression(t *testing.T) {
	for name, most := range map[string]float64{"silence": 0.03, "constant": 0.03, "quiet": 0.25, "tone": 0.5, "noise": 1.02} {
		var m memory
		if err := written(t, &m, 2, 50, signals[name]).Close(); err != nil {
			t.Fatal(err)
		}
		ratio := float64(len(m.b)) / (50 * 960 * 4)
		t.Logf("%s: %.3f of PCM", name, ratio)
		if ratio > most {
			t.Errorf("%s takes %.3f of PCM", name, ratio)
		}
	}
}

// outside lets ffmpeg decode the file and compares what it hears.
func outside(t *testing.T, file []byte, channels, samples int, sum []byte) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "a.flac")
	if err := os.WriteFile(p, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffmpeg", "-v", "warning", "-err_detect", "crccheck", "-i", p, "-f", "s16le", "-").Output()
	if err != nil || len(out) != 2*channels*samples {
		t.Fatalf("ffmpeg: %v, %d bytes", err, len(out))
	}
	if got := md5.Sum(out); !bytes.Equal(got[:], sum) {
		t.Error("ffmpeg hears something else")
	}
	out, err = exec.Command("sox", "--i", "-s", p).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(samples) {
		t.Errorf("sox: %v, %s samples", err, out)
	}
}

// TestGrowingFileIsReadable decodes what lies on the disk at each flush, and a
// file that was cut anywhere.
func TestGrowingFileIsReadable(t *testing.T) {
	var m memory
	w := written(t, &m, 2, 0, nil)
	for n := range 10 {
		var fr pcm.Frame
		for i := range fr {
			l, r := signals["noise"](n*960 + i)
			fr[i] = [2]float32{l, r}
		}
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		x, err := encodertest.Decode(".flac", m.b)
		if err != nil || len(x) != (n+1)*960 {
			t.Fatalf("%d samples after %d frames, %v", len(x), n+1, err)
		}
	}
	for _, cut := range []int{1, 2, 100, 5000} {
		x, err := encodertest.Decode(".flac", m.b[:len(m.b)-cut])
		if err == nil || len(x)%960 != 0 || len(x) < 8*960 {
			t.Errorf("cut by %d: %d samples, %v", cut, len(x), err)
		}
	}
	p := filepath.Join(t.TempDir(), "a.flac")
	if err := os.WriteFile(p, m.b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffmpeg", "-v", "warning", "-i", p, "-f", "s16le", "-").Output()
	if err != nil || len(out) != 4*10*960 {
		t.Errorf("ffmpeg reads %d bytes, %v", len(out), err)
	}
}

// broken fails after some bytes.
type broken struct{ left int }

var errDisk = errors.New("disk on fire")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func (b *broken) WriteAt([]byte, int64) (int, error) { return 0, errDisk }

func TestErrorsStay(t *testing.T) {
	if _, err := flac.NewWriter(&broken{}, 2); !errors.Is(err, errDisk) {
		t.Errorf("header: %v", err)
	}
	if _, err := flac.NewWriter(&memory{}, 3); err == nil {
		t.Error("three channels are taken")
	}
	w, err := flac.NewWriter(&broken{left: 100}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFrame(new(pcm.Frame)); err != nil {
		t.Fatal(err)
	}
	f := new(pcm.Frame)
	for i := range f {
		l, r := signals["noise"](i)
		f[i] = [2]float32{l, r}
	}
	if err := w.WriteFrame(f); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Flush(); !errors.Is(err, errDisk) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := w.WriteFrame(f); !errors.Is(err, errDisk) {
		t.Errorf("write after an error: %v", err)
	}
	w, err = flac.NewWriter(&broken{left: 1 << 20}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close: %v", err)
	}
}

func FuzzReadAll(f *testing.F) {
	var m memory
	if err := written(f, &m, 1, 1, signals["quiet"]).Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(m.b)
	f.Add(m.b[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		_, _ = encodertest.Decode(".flac", b)
	})
}
