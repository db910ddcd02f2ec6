package opus_test

import (
	"math"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// TestLookahead finds the delay by correlation: the binding does not tell it.
func TestLookahead(t *testing.T) {
	// A chirp in a window has one sharp peak.
	chirp := func(n int64) float32 {
		if n < 9600 || n >= 28800 {
			return 0
		}
		x := float64(n-9600) / pcm.Rate
		return float32(0.5 * math.Sin(2*math.Pi*(200*x+0.5*17000*x*x)) * math.Sin(math.Pi*x/0.4))
	}
	fs := frames(50, chirp)
	var x []float32
	for n := range int64(28800) {
		x = append(x, chirp(n))
	}
	for _, c := range []opus.EncoderConfig{
		{Channels: 1, Bitrate: 96000}, {Channels: 2, Bitrate: 128000}, {Channels: 1, Bitrate: 32000, Voice: true, Complexity: 10},
	} {
		e, err := opus.NewEncoder(c)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder(t, 1)
		var y []float32
		buf := make([]float32, opus.MaxSamples)
		for _, p := range encode(t, c, fs) {
			n, err := d.Decode(p, buf)
			if err != nil {
				t.Fatal(err)
			}
			y = append(y, buf[:n]...)
		}
		best, at := 0.0, -1
		for lag := 200; lag < 420; lag++ {
			sum := 0.0
			for n := 9600; n < 28800; n++ {
				sum += float64(x[n]) * float64(y[n+lag])
			}
			if sum > best {
				best, at = sum, lag
			}
		}
		if off := at - e.Lookahead(); off < -2 || off > 2 {
			t.Errorf("%+v: audio is late by %d samples, Lookahead says %d", c, at, e.Lookahead())
		}
	}
}

func TestEncoderSurvivesBadSamples(t *testing.T) {
	for _, channels := range []int{1, 2} {
		e, err := opus.NewEncoder(opus.EncoderConfig{Channels: channels, Bitrate: 64000})
		if err != nil {
			t.Fatal(err)
		}
		d := decoder(t, 1)
		out := make([]byte, 1500)
		y := make([]float32, opus.MaxSamples)
		fs := frames(60, voice)
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		for i, f := range fs {
			if i < 10 {
				f[i] = [2]float32{nan, nan}
				f[i+1] = [2]float32{inf, inf}
				f[i+2] = [2]float32{inf, -inf}
				f[i+3] = [2]float32{1e30, -1e30}
			}
			n, err := e.Encode(f, out)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(out[:n], y); err != nil {
				t.Fatal(err)
			}
			if e := energy(y[:960], nil); math.IsNaN(e) || e > 960 {
				t.Fatalf("frame %d decodes with energy %g", i, e)
			}
		}
		if energy(y[:960], nil) < 0.1 {
			t.Error("the voice does not come back")
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []opus.EncoderConfig{{Channels: 3}, {Bitrate: 100}, {Complexity: 11}, {LossPercent: 101}} {
		if _, err := opus.NewEncoder(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	for _, n := range []int{0, 3} {
		if _, err := opus.NewDecoder(n); err == nil {
			t.Errorf("decoder of %d channels", n)
		}
	}
	small := 0
	for i, p := range encode(t, opus.EncoderConfig{Channels: 1, Voice: true, DTX: true, Bitrate: 24000}, frames(100, func(int64) float32 { return 0 })) {
		if i > 50 && len(p) <= 2 {
			small++
		}
	}
	if small < 30 {
		t.Errorf("DTX sends %d of 49 packets empty", small)
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, c := range map[string]opus.EncoderConfig{
		"mono audio 5": {Channels: 1}, "stereo audio 5": {Channels: 2}, "mono voice 10": {Channels: 1, Voice: true, Complexity: 10},
	} {
		b.Run(name, func(b *testing.B) {
			fs := frames(50, voice)
			e, err := opus.NewEncoder(c)
			if err != nil {
				b.Fatal(err)
			}
			out := make([]byte, 1500)
			b.ReportAllocs()
			for b.Loop() { // one stream-second
				for _, f := range fs {
					if _, err := e.Encode(f, out); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
