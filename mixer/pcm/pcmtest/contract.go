package pcmtest

import (
	"io"
	"math"
	"testing"

	"mixdown/mixer/pcm"
)

// TestReader holds what make gives against the contract of [pcm.Reader]. At
// most ten seconds are read of each reader; if it ends before, its end is
// tested too.
func TestReader(t *testing.T, open func() pcm.Reader) {
	t.Helper()
	t.Run("overwrites the whole frame", func(t *testing.T) { testOverwrite(t, open()) })
	t.Run("ends once and for all", func(t *testing.T) { testEnd(t, open()) })
	t.Run("allocates nothing", func(t *testing.T) {
		r := open()
		var f pcm.Frame
		for range 50 {
			_ = r.ReadFrame(&f)
		}
		if n := testing.AllocsPerRun(200, func() { _ = r.ReadFrame(&f) }); n > 0 {
			t.Errorf("%v allocations per frame", n)
		}
	})
}

const tenSeconds = int(10 * pcm.Rate / pcm.FrameSize)

func testOverwrite(t *testing.T, r pcm.Reader) {
	nan := float32(math.NaN())
	for n := range tenSeconds {
		var f pcm.Frame
		for i := range f {
			f[i] = [2]float32{nan, nan}
		}
		err := r.ReadFrame(&f)
		for i, s := range f {
			if x := float64(s[0]) + float64(s[1]); math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("frame %d: sample %d is %v", n, i, s)
			}
		}
		if err != nil {
			return
		}
	}
}

func testEnd(t *testing.T, r pcm.Reader) {
	var end error
	for n := range tenSeconds {
		f := pcm.Frame{{1, 1}}
		err := r.ReadFrame(&f)
		if end != nil && err != end {
			t.Fatalf("frame %d: %v after the end, which was %v", n, err, end)
		}
		if err == io.EOF && !f.Silent() {
			t.Fatalf("frame %d: sound along with io.EOF", n)
		}
		end = err
	}
}

// TestWriter holds what open gives against the contract of [pcm.Writer], by
// two seconds of sound. Under the race detector it also finds writers that
// keep the frame for another goroutine.
func TestWriter(t *testing.T, open func() pcm.Writer) {
	t.Helper()
	t.Run("leaves the frame alone", func(t *testing.T) {
		w := open()
		for n, want := range Collect(Noise(1, 0.5), 100) {
			f := want
			if err := w.WriteFrame(&f); err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
			if f != want {
				t.Fatalf("frame %d was changed", n)
			}
			f = pcm.Frame{} // a race with a writer that kept it
		}
	})
	t.Run("allocates nothing", func(t *testing.T) {
		w := open()
		f := Collect(Tone(997, 0.5), 1)[0]
		write := func() {
			if err := w.WriteFrame(&f); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			write()
		}
		if n := testing.AllocsPerRun(50, write); n > 0 {
			t.Errorf("%v allocations per frame", n)
		}
	})
}
