package main

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/cmplx"
	"slices"
	"testing"
	"time"

	"mixdown/encoder/encodertest"
	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/speech"
)

// spoken is what a voice of package speech says, decoded.
func spoken(t testing.TB, name string) [][2]float32 {
	t.Helper()
	for _, v := range speech.Voices() {
		if v.Name == name {
			samples, err := encodertest.Decode(".ogg", v.Ogg)
			if err != nil {
				t.Fatal(err)
			}
			return samples
		}
	}
	t.Fatalf("there is no voice %s", name)
	return nil
}

// microphone is samples as a microphone file wants them.
func microphone(samples [][2]float32) []int16 {
	out := make([]int16, len(samples))
	for i, s := range samples {
		out[i] = int16(max(-1, min(1, s[0])) * math.MaxInt16)
	}
	return out
}

// burst is packets of silence with a tone in them, of one encoder.
func burst(t testing.TB, hz float64, silence, sound, total time.Duration) (packets []sound) {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 64000, Complexity: 5})
	if err != nil {
		t.Fatal(err)
	}
	source := pcmtest.Tone(hz, 0.2)
	for at := time.Duration(0); at < total; at += pcm.FrameTime {
		var f pcm.Frame
		level := uint8(127)
		if at >= silence && at < silence+sound {
			if err := source.ReadFrame(&f); err != nil {
				t.Fatal(err)
			}
			level = 20
		}
		var buf [1500]byte
		n, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, piece(buf[:n], level))
	}
	return packets
}

// sounds is when a tone of the amplitude that burst gives it begins and ends:
// where its level is halved, to 2 ms. ok is false if there is none.
func sounds(samples [][2]float32, hz float64) (from, to time.Duration, ok bool) {
	all := audible(samples, hz)
	if len(all) == 0 {
		return 0, 0, false
	}
	return all[0], all[len(all)-1], true
}

// onsets is where a tone begins after at least 100 ms without it.
func onsets(samples [][2]float32, hz float64) (all []time.Duration) {
	last := time.Duration(-time.Second)
	for _, at := range audible(samples, hz) {
		if at-last > 100*time.Millisecond {
			all = append(all, at)
		}
		last = at
	}
	return all
}

// audible is every instant, 2 ms apart, at which a tone is not below half.
func audible(samples [][2]float32, hz float64) (all []time.Duration) {
	const window, hop = pcm.Rate / 100, pcm.Rate / 500
	var sin, cos [window]float64
	for i := range window {
		sin[i], cos[i] = math.Sincos(2 * math.Pi * hz * float64(i) / pcm.Rate)
	}
	for at := 0; at+window <= len(samples); at += hop {
		var re, im float64
		for i, s := range samples[at : at+window] {
			re, im = re+float64(s[0])*cos[i], im+float64(s[0])*sin[i]
		}
		if math.Hypot(re, im)*2/window < 0.1 {
			continue
		}
		all = append(all, pcm.Duration(int64(at+window/2)))
	}
	return all
}

// coarse is the rate at which voices are compared.
const coarse = 2000

// voiceBand is the left channel below about 800 Hz at the rate coarse: the
// tones of the tests lie above it.
func voiceBand(samples [][2]float32) []float64 {
	const step = pcm.Rate / coarse
	row := make([]float64, len(samples))
	for i, s := range samples {
		row[i] = float64(s[0])
	}
	for range 3 { // three moving averages make a decent low pass
		sum := 0.0
		next := make([]float64, len(row))
		for i := range row {
			sum += row[i]
			if i >= step {
				sum -= row[i-step]
			}
			next[max(0, i-step/2)] = sum / step
		}
		row = next
	}
	out := make([]float64, 0, len(row)/step)
	for i := 0; i < len(row); i += step {
		out = append(out, row[i])
	}
	return out
}

// find is where in hay the needle fits best, and how well: 1 is the same, 0
// nothing in common.
func find(needle, hay []float64) (at int, likeness float64) {
	n := 1
	for n < len(needle)+len(hay) {
		n *= 2
	}
	a, b := make([]complex128, n), make([]complex128, n)
	own, theirs := 0.0, 0.0
	for i, x := range needle {
		a[i] = complex(x, 0)
		own += x * x
		theirs += hay[i] * hay[i]
	}
	for i, x := range hay {
		b[i] = complex(x, 0)
	}
	fourier(a, -1)
	fourier(b, -1)
	for i := range b { // correlation is multiplication with the conjugate
		b[i] *= cmplx.Conj(a[i]) / complex(float64(n), 0)
	}
	fourier(b, 1)
	for lag := 0; lag+len(needle) <= len(hay); lag++ {
		if lag > 0 {
			theirs += hay[lag+len(needle)-1]*hay[lag+len(needle)-1] - hay[lag-1]*hay[lag-1]
		}
		if l := real(b[lag]) / math.Sqrt(own*max(theirs, 1e-9)+1e-18); l > likeness {
			at, likeness = lag, l
		}
	}
	return at, likeness
}

// fourier transforms x in place; its length is a power of two. sign is -1 for
// the transform and 1 for its inverse times the length.
func fourier(x []complex128, sign float64) {
	for i, j := 1, 0; i < len(x); i++ {
		bit := len(x) >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j |= bit
		if i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= len(x); size *= 2 {
		step := cmplx.Rect(1, sign*2*math.Pi/float64(size))
		for at := 0; at < len(x); at += size {
			w := complex(1, 0)
			for i := at; i < at+size/2; i++ {
				even, odd := x[i], x[i+size/2]*w
				x[i], x[i+size/2] = even+odd, even-odd
				w *= step
			}
		}
	}
}

// alike is how much of a voice, over and over as a microphone file gives it,
// is in samples: the best of a few stretches of two seconds.
func alike(samples, voice [][2]float32) float64 {
	hay := voiceBand(slices.Concat(voice, voice[:2*pcm.Rate]))
	band := voiceBand(samples)
	best := 0.0
	for at := 2 * coarse; at+2*coarse <= len(band) && at < 12*coarse; at += 4 * coarse {
		_, likeness := find(band[at:at+2*coarse], hay)
		best = max(best, likeness)
	}
	return best
}

// loudest is where the loudest piece of a row begins.
func loudest(row []float64, from, to, length int) (at int) {
	most := -1.0
	for i := from; i+length <= to; i += length / 4 {
		sum := 0.0
		for _, x := range row[i : i+length] {
			sum += x * x
		}
		if sum > most {
			at, most = i, sum
		}
	}
	return at
}

// level is the level of samples, in dB to a sine of full scale.
func level(samples [][2]float32) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s[0]) * float64(s[0])
	}
	return 10 * math.Log10(2*sum/float64(max(1, len(samples)))+1e-12)
}

// frames cuts samples into frames.
func frames(samples [][2]float32) (all []pcm.Frame) {
	for len(samples) >= pcm.FrameSize {
		all = append(all, pcm.Frame(samples[:pcm.FrameSize]))
		samples = samples[pcm.FrameSize:]
	}
	return all
}

// readOgg decodes a stream of Ogg Opus that may be cut off anywhere.
func readOgg(t testing.TB, b []byte) (samples [][2]float32) {
	t.Helper()
	d := ogg.NewDecoder(bytes.NewReader(b))
	part := make([][2]float32, pcm.Rate)
	for {
		n, err := d.Read(part)
		samples = append(samples, part[:n]...)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Logf("the stream ends with: %v", err)
			}
			return samples
		}
	}
}
