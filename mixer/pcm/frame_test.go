package pcm_test

import (
	"math"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

func TestAdd(t *testing.T) {
	a := pcmtest.Collect(pcmtest.Noise(1, 0.5), 1)[0]
	b := pcmtest.Collect(pcmtest.Noise(2, 0.5), 1)[0]
	for _, gain := range []float32{1, 0.3, -1, 0} {
		sum := a
		sum.Add(&b, gain)
		for i := range sum {
			want := [2]float32{a[i][0] + b[i][0]*gain, a[i][1] + b[i][1]*gain}
			if sum[i] != want {
				t.Fatalf("gain %v: sample %d is %v, want %v", gain, i, sum[i], want)
			}
		}
	}
}

func TestLevel(t *testing.T) {
	f := pcmtest.Collect(pcmtest.Tone(1000, 0.5), 1)[0]
	f[700][1] = -0.75
	peak, square := f.Level()
	if peak != 0.75 || f.Peak() != 0.75 {
		t.Errorf("peak %v and %v, want 0.75", peak, f.Peak())
	}
	if got := pcm.DB(math.Sqrt(square)); math.Abs(got-(-9.03)) > 0.02 {
		t.Errorf("RMS %.3f dBFS, want -9.03", got)
	}
	f[3][0] = float32(math.NaN())
	if peak, _ := f.Level(); !math.IsNaN(float64(peak)) {
		t.Errorf("peak %v of a frame with NaN", peak)
	}
	f[3][0] = float32(math.Inf(-1))
	if p := f.Peak(); !math.IsInf(float64(p), 1) {
		t.Errorf("peak %v of a frame with -infinity", p)
	}
}

func TestSilent(t *testing.T) {
	var f pcm.Frame
	f[5][1] = float32(math.Copysign(0, -1))
	if !f.Silent() {
		t.Error("zeros are not silent")
	}
	for _, i := range []int{0, 31, 32, 500, pcm.FrameSize - 1} {
		for c := range 2 {
			var f pcm.Frame
			f[i][c] = math.SmallestNonzeroFloat32
			if f.Silent() {
				t.Errorf("sample %d, channel %d was overlooked", i, c)
			}
		}
	}
}

func TestDB(t *testing.T) {
	for amplitude, want := range map[float64]float64{1: 0, 0.1: -20, 0: pcm.MinDB, -1: pcm.MinDB, 1e-9: pcm.MinDB, math.NaN(): pcm.MinDB} {
		if got := pcm.DB(amplitude); math.Abs(got-want) > 1e-12 {
			t.Errorf("DB(%v) = %v, want %v", amplitude, got, want)
		}
	}
}

func TestSamplesAndDuration(t *testing.T) {
	if n := pcm.Samples(pcm.FrameTime); n != pcm.FrameSize {
		t.Errorf("a frame has %d samples", n)
	}
	// Ten years: no overflow, no drift.
	long := 10*365*24*time.Hour + 20*time.Microsecond
	if n := pcm.Samples(long); n != 10*365*24*3600*pcm.Rate {
		t.Errorf("%d samples in ten years", n)
	}
	for _, n := range []int64{0, 1, 959, 960, pcm.Rate + 1, 1e12 + 7} {
		if back := pcm.Samples(pcm.Duration(n) + time.Nanosecond); back != n {
			t.Errorf("%d samples came back as %d", n, back)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	f := pcmtest.Collect(pcmtest.Noise(1, 0.5), 2)
	for b.Loop() {
		f[0].Add(&f[1], 0.5)
	}
}

func BenchmarkLevel(b *testing.B) {
	f := pcmtest.Collect(pcmtest.Noise(1, 0.5), 1)
	for b.Loop() {
		f[0].Level()
	}
}

func BenchmarkSilent(b *testing.B) {
	var f pcm.Frame
	for b.Loop() {
		f.Silent()
	}
}
