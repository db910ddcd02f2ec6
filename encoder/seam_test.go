package encoder_test

import (
	"fmt"
	"math"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
)

func TestLosslessSegmentsJoinBitForBit(t *testing.T) {
	for _, format := range []string{"wav", "flac"} {
		for _, channels := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", format, channels), func(t *testing.T) {
				ext, _ := encoder.Ext(format)
				var cut, uncut encodertest.Store
				c := encoder.Config{Format: format, Channels: channels, Start: 960 * 7, Index: 3}
				write(t, &uncut, c, music, 333)
				c.Every = 48000
				write(t, &cut, c, music, 333)
				want, got := read(t, &uncut, ext), read(t, &cut, ext)
				if len(want) != 333*960 || len(cut.Segments()) != 7 {
					t.Fatalf("%d samples, %d segments", len(want), len(cut.Segments()))
				}
				for i := range want {
					if want[i] != got[i] {
						t.Fatalf("sample %d: %v joined, %v uncut", i, got[i], want[i])
					}
					l, r := music(c.Start + int64(i))
					if channels == 1 {
						l, r = (l+r)/2, (l+r)/2
					}
					if d := math.Max(math.Abs(float64(got[i][0])-l), math.Abs(float64(got[i][1])-r)); d > 0.51/32768 {
						t.Fatalf("sample %d is off by %g", i, d)
					}
				}
				first := cut.Segments()[0]
				if first.Index != 3 || first.Start != c.Start || first.Samples != 48000 {
					t.Errorf("first segment is %+v", first)
				}
			})
		}
	}
}

func TestOggSegmentsJoinWithoutSeam(t *testing.T) {
	for channels, bitrates := range map[int][]int{1: {16000, 24000, 32000, 64000}, 2: {64000, 128000}} {
		for _, bitrate := range bitrates {
			t.Run(fmt.Sprintf("%dk/%d", bitrate/1000, channels), func(t *testing.T) {
				var cut, uncut encodertest.Store
				c := encoder.Config{Format: "ogg", Channels: channels, Bitrate: bitrate, Comments: []string{"TITLE=test"}}
				write(t, &uncut, c, music, 312)
				c.Every = 48000
				write(t, &cut, c, music, 312)
				want, got := read(t, &uncut, ".ogg"), read(t, &cut, ".ogg")
				if len(want) != 312*960 || len(got) != len(want) || len(cut.Segments()) != 7 {
					t.Fatalf("%d samples uncut, %d cut, %d segments", len(want), len(got), len(cut.Segments()))
				}
				worst := 0.0
				for i := range want {
					for ch := range 2 {
						worst = math.Max(worst, math.Abs(float64(want[i][ch]-got[i][ch])))
					}
				}
				db := 20 * math.Log10(worst)
				t.Logf("largest difference between cut and uncut: %.1f dBFS", db)
				limit := -90.0
				if bitrate < 24000 {
					limit = -50 // SILK, see TestSpeechRunsThroughCuts
				}
				if db > limit {
					t.Errorf("the cut file differs by %.1f dBFS", db)
				}
			})
		}
	}
}

// glitch is the largest phase step, in degrees from one 5 ms to the next, and
// the largest level deviation, in dB, of a tone: Hann window of 10 ms.
func glitch(x []float64, hz int64, level float64) (degrees, decibel float64) {
	const window, hop = 480, 240
	last := math.NaN()
	for at := 0; at+window <= len(x); at += hop {
		var re, im, sum float64
		for i := range window {
			w := 1 - wave[(int64(2*i+1)*pcm.Rate/(2*window)+pcm.Rate/4)%pcm.Rate]
			k := hz * int64(at+i)
			re += w * x[at+i] * wave[(k+pcm.Rate/4)%pcm.Rate]
			im += w * x[at+i] * wave[k%pcm.Rate]
			sum += w
		}
		phase := math.Atan2(im, re)
		if !math.IsNaN(last) {
			degrees = math.Max(degrees, math.Abs(math.Remainder(phase-last, 2*math.Pi))*180/math.Pi)
		}
		last = phase
		decibel = math.Max(decibel, math.Abs(20*math.Log10(2*math.Hypot(re, im)/sum/level)))
	}
	return degrees, decibel
}

func side(x [][2]float32, ch int) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = float64(x[i][ch])
	}
	return y
}

func TestToneRunsThroughSeams(t *testing.T) {
	var store encodertest.Store
	write(t, &store, encoder.Config{Format: "ogg", Bitrate: 96000, Every: 960 * 13}, tones, 500)
	x := read(t, &store, ".ogg")
	if len(x) != 500*960 {
		t.Fatalf("%d samples", len(x))
	}
	x = x[960 : len(x)-960] // the tone begins and ends abruptly
	for ch, hz := range []int64{397, 997} {
		y := side(x, ch)
		deg, db := glitch(y, hz, 0.25)
		t.Logf("%v Hz: phase step %.2f degrees, level %.2f dB over %d seams", hz, deg, db, len(store.Segments())-1)
		if deg > 2.5 || db > 0.7 {
			t.Errorf("%v Hz: phase step %.2f degrees, level off by %.2f dB", hz, deg, db)
		}
		// The method must see two missing samples.
		if deg, _ := glitch(append(y[:100000:100000], y[100002:]...), hz, 0.25); deg < 2.5 {
			t.Errorf("%v Hz: missing samples show as %.2f degrees only", hz, deg)
		}
	}
}

func TestWarmEncoderGoesOnWithoutSeam(t *testing.T) {
	var uncut, first, second encodertest.Store
	c := encoder.Config{Format: "ogg", Bitrate: 64000}
	write(t, &uncut, c, music, 200)
	write(t, &first, c, music, 100)
	c.Start, c.Index = 100*960, 2
	s, err := encoder.NewSegmenter(&second, c)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(50); i < 100; i++ {
		if err := s.Warm(source(music).frame(i * 960)); err != nil {
			t.Fatal(err)
		}
	}
	for i := int64(100); i < 200; i++ {
		if err := s.WriteFrame(source(music).frame(i * 960)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := read(t, &uncut, ".ogg")[100*960:]
	got := read(t, &second, ".ogg")
	if len(got) != len(want) || second.Segments()[0] != (encoder.Segment{Index: 2, Start: 96000, Samples: 96000}) {
		t.Fatalf("%d samples, segments %v", len(got), second.Segments())
	}
	var noise, signal float64
	for i := range 4800 {
		d := float64(got[i][0] - want[i][0])
		noise += d * d
		signal += float64(want[i][0]) * float64(want[i][0])
	}
	if snr := 10 * math.Log10(signal/noise); snr < 25 {
		t.Errorf("the first 100 ms differ from the uncut file, %.1f dB below the signal", snr)
	}
}
