package wav_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"mixdown/encoder/wav"
)

// memory is a file of bytes for Repair.
type memory struct {
	b []byte
}

func (m *memory) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekEnd {
		return 0, errors.ErrUnsupported
	}
	return int64(len(m.b)) + off, nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > len(m.b) {
		return 0, io.ErrShortWrite
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Write(p []byte) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) Truncate(size int64) error {
	m.b = m.b[:size]
	return nil
}

// small is a file of two frames.
func small(t testing.TB, c wav.Config) []byte {
	t.Helper()
	m := &memory{}
	w, err := wav.NewWriter(m, c)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		fr := frame(n)
		if err := w.WriteFrame(&fr); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return m.b
}

func TestRepairAtEveryLength(t *testing.T) {
	for _, c := range []wav.Config{{Channels: 1}, {Channels: 2}, {Channels: 1, Encoding: wav.PCM24}, {Channels: 2, Encoding: wav.Float32}} {
		whole := small(t, c)
		header := int(wav.HeaderSize(c.Encoding))
		block := c.Channels * (2 + int(c.Encoding))
		even := block + block%2*block // chunks are even
		for size := range len(whole) + 1 {
			m := &memory{bytes.Clone(whole[:size])}
			for range 2 {
				valid, samples, err := wav.Repair(m)
				if size < header {
					if !errors.Is(err, wav.ErrFormat) || len(m.b) != size {
						t.Fatalf("%d bytes: %v", size, err)
					}
					continue
				}
				data := (size - header) / even * even
				if err != nil || int(valid) != len(m.b) || len(m.b) != header+data || samples != int64(data/block) {
					t.Fatalf("%d bytes: kept %d of %d, %d samples, %v", size, valid, len(m.b), samples, err)
				}
				x, err := read(t, bytes.NewReader(m.b))
				if err != nil || int64(len(x)) != samples {
					t.Fatalf("%d bytes: %d samples, %v", size, len(x), err)
				}
			}
		}
	}
}

func TestRepairLeavesOthersAlone(t *testing.T) {
	whole := small(t, wav.Config{Channels: 2})
	foreign := append(append([]byte("RIFF\x00\x00\x00\x00WAVE"), whole[48:72]...), whole[72:]...)
	for _, b := range [][]byte{foreign, []byte("OggS"), nil, append([]byte("RIFX"), whole[4:]...)} {
		m := &memory{bytes.Clone(b)}
		if _, _, err := wav.Repair(m); !errors.Is(err, wav.ErrFormat) || !bytes.Equal(m.b, b) {
			t.Errorf("%.12q: %v", b, err)
		}
	}
}

func FuzzRepair(f *testing.F) {
	whole := small(f, wav.Config{Channels: 1, Encoding: wav.PCM24})[:wav.HeaderSize(wav.PCM24)+30]
	f.Add(whole)
	f.Add(whole[:wav.HeaderSize(wav.PCM24)-3])
	f.Add(append([]byte("RF64\xff\xff\xff\xffWAVEds64"), whole[16:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := wav.NewReader(bytes.NewReader(b)); err == nil {
			buf := make([][2]float32, 100)
			total := 0
			for {
				n, err := r.Read(buf)
				total += n
				if err != nil {
					break
				}
			}
			if total > len(b) {
				t.Fatalf("%d samples out of %d bytes", total, len(b))
			}
		}
		m := &memory{bytes.Clone(b)}
		valid, samples, err := wav.Repair(m)
		if err != nil {
			if !bytes.Equal(m.b, b) {
				t.Fatal("a hopeless file was changed")
			}
			return
		}
		if int(valid) != len(m.b) || valid > int64(len(b)) || samples < 0 || samples > valid {
			t.Fatalf("%d bytes kept of %d, %d samples", valid, len(m.b), samples)
		}
		once := bytes.Clone(m.b)
		again, same, err := wav.Repair(m)
		if err != nil || again != valid || same != samples || !bytes.Equal(m.b, once) {
			t.Fatalf("second repair: %d bytes, %d samples, %v", again, same, err)
		}
	})
}
