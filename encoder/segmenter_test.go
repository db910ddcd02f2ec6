package encoder_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
)

// source makes the frames of a test signal, sample by sample.
type source func(n int64) (left, right float64)

func (s source) frame(start int64) *pcm.Frame {
	f := new(pcm.Frame)
	for i := range f {
		l, r := s(start + int64(i))
		f[i] = [2]float32{float32(l), float32(r)}
	}
	return f
}

// wave is one second of 1 Hz.
var wave = func() (w [pcm.Rate]float64) {
	for i := range w {
		w[i] = math.Sin(2 * math.Pi * float64(i) / pcm.Rate)
	}
	return w
}()

func sine(hz int64, level float64, n int64) float64 { return level * wave[hz*n%pcm.Rate] }

// tones is a pure tone on each side, -12 dBFS.
func tones(n int64) (float64, float64) { return sine(397, 0.25, n), sine(997, 0.25, n) }

// music is a chord with a moving level and noise, far from stationary.
func music(n int64) (float64, float64) {
	level := 0.15 + sine(1, 0.1, n)
	h := uint64(n) * 0x9e3779b97f4a7c15
	noise := (float64(h>>40)/(1<<24) - 0.5) * 0.02
	return sine(220, level, n) + sine(331, 0.1, n) + noise, sine(440, level, n) - sine(1203, 0.05, n) - noise
}

// write pushes frames [from, to) of src through a new segmenter.
func write(t *testing.T, store encoder.Store, c encoder.Config, src source, frames int) {
	t.Helper()
	s, err := encoder.NewSegmenter(store, c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(frames) {
		if err := s.WriteFrame(src.frame(c.Start + i*pcm.FrameSize)); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// read decodes every segment on its own, checks its length, and joins them.
func read(t *testing.T, store *encodertest.Store, ext string) [][2]float32 {
	t.Helper()
	var all [][2]float32
	next := int64(-1)
	for i, seg := range store.Segments() {
		pcm, err := encodertest.Decode(ext, store.Bytes(seg.Index))
		if err != nil {
			t.Fatalf("segment %d: %v", seg.Index, err)
		}
		if int64(len(pcm)) != seg.Samples {
			t.Fatalf("segment %d decodes to %d samples, it has %d", seg.Index, len(pcm), seg.Samples)
		}
		if next >= 0 && seg.Start != next {
			t.Fatalf("segment %d starts at %d, the one before ends at %d", seg.Index, seg.Start, next)
		}
		if i > 0 && seg.Index != store.Segments()[i-1].Index+1 {
			t.Fatalf("segment %d follows %d", seg.Index, store.Segments()[i-1].Index)
		}
		next = seg.Start + seg.Samples
		all = append(all, pcm...)
	}
	return all
}

func TestNoSegmentForZeroSamples(t *testing.T) {
	for _, format := range []string{"ogg", "wav", "flac"} {
		var store encodertest.Store
		write(t, &store, encoder.Config{Format: format, Every: 9600}, tones, 0)
		if len(store.Segments()) != 0 || store.Bytes(1) != nil {
			t.Errorf("%s: a file without a frame", format)
		}
		write(t, &store, encoder.Config{Format: format, Every: 9600}, tones, 20)
		if n := len(store.Segments()); n != 2 || store.Bytes(3) != nil {
			t.Errorf("%s: %d segments of 2, or a third file", format, n)
		}
	}
}

// TestFlushIsReadable cuts the file after every flush, as a crash would.
func TestFlushIsReadable(t *testing.T) {
	for _, format := range []string{"ogg", "wav", "flac"} {
		t.Run(format, func(t *testing.T) {
			ext, _ := encoder.Ext(format)
			var store encodertest.Store
			s, err := encoder.NewSegmenter(&store, encoder.Config{Format: format, Bitrate: 64000})
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(130) {
				if err := s.WriteFrame(source(tones).frame(i * 960)); err != nil {
					t.Fatal(err)
				}
				if i%13 != 5 {
					continue
				}
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				x, err := encodertest.Decode(ext, bytes.Clone(store.Bytes(1)))
				if err != nil {
					t.Fatalf("after frame %d: %v", i, err)
				}
				want := int(i+1) * 960
				if format == "ogg" {
					want -= 312
				}
				if len(x) != want {
					t.Errorf("after frame %d: %d samples readable, %d flushed", i, len(x), want)
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []encoder.Config{
		{Format: "mp3"}, {Format: "wav", Channels: 3}, {Format: "wav", Every: 1}, {Format: "ogg", Start: 100},
		{Format: "ogg", Start: -960}, {Format: "ogg", Bitrate: 1},
	} {
		if _, err := encoder.NewSegmenter(&encodertest.Store{}, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	var store encodertest.Store
	s, err := encoder.NewSegmenter(&store, encoder.Config{Format: "wav"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFrame(new(pcm.Frame)); !errors.Is(err, encoder.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

// discard is a store that keeps nothing.
type discard struct{}

func (discard) Create(encoder.Segment) (encoder.File, error) { return discard{}, nil }

func (discard) Commit(encoder.File, encoder.Segment) error { return nil }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestSegmenterAllocatesNothing(t *testing.T) {
	for _, format := range []string{"ogg", "wav"} {
		s, err := encoder.NewSegmenter(discard{}, encoder.Config{Format: format})
		if err != nil {
			t.Fatal(err)
		}
		f := source(music).frame(0)
		n := 0
		step := func() {
			if err := s.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
			if n++; n%50 == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 500 {
			step()
		}
		if a := testing.AllocsPerRun(500, step); a != 0 {
			t.Errorf("%s: %v allocations a frame", format, a)
		}
	}
}

func BenchmarkSegmenter(b *testing.B) {
	frames := make([]*pcm.Frame, 50)
	for i := range frames {
		frames[i] = source(music).frame(int64(i) * 960)
	}
	for _, c := range []encoder.Config{{Format: "ogg", Channels: 1, Bitrate: 32000}, {Format: "ogg", Bitrate: 64000}, {Format: "wav"}, {Format: "wav", Channels: 1}, {Format: "flac"}} {
		b.Run(fmt.Sprintf("%s/%d", c.Format, c.Channels), func(b *testing.B) {
			s, err := encoder.NewSegmenter(discard{}, c)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() { // one stream-second
				for _, f := range frames {
					if err := s.WriteFrame(f); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
