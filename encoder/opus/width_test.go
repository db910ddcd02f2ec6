package opus_test

import (
	"bytes"
	"math"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/speech"
)

// spoken is the voices of the repository one after another, mono, in frames.
func spoken(t testing.TB) []*pcm.Frame {
	t.Helper()
	var fs []*pcm.Frame
	for _, v := range speech.Voices() {
		packets, err := speech.Packets(v.Ogg)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder(t, 1)
		out := make([]float32, opus.MaxSamples)
		for _, p := range packets {
			if n, err := d.Decode(p, out); err != nil || n != pcm.FrameSize {
				t.Fatal(n, err)
			}
			f := new(pcm.Frame)
			for i := range f {
				f[i] = [2]float32{out[i], out[i]}
			}
			fs = append(fs, f)
		}
	}
	return fs
}

// apart gives the frames [from, to) of each period a right side of its own.
func apart(fs []*pcm.Frame, period, from, to int, right func(float32) float32) []*pcm.Frame {
	all := make([]*pcm.Frame, len(fs))
	for i, f := range fs {
		g := *f
		if k := i % period; k >= from && k < to {
			for j := range g {
				g[j][1] = right(g[j][0])
			}
		}
		all[i] = &g
	}
	return all
}

// hair is as little as makes the right side another one.
func hair(x float32) float32 { return x + 1e-7 }

// left decodes packets as stereo and gives the left side, where sample n is
// that of the input.
func left(t testing.TB, packets [][]byte) (x []float32) {
	t.Helper()
	d := decoder(t, 2)
	out := make([]float32, 2*opus.MaxSamples)
	for _, p := range packets {
		n, err := d.Decode(p, out)
		if err != nil || n != pcm.FrameSize {
			t.Fatal(n, err)
		}
		for i := range n {
			x = append(x, out[2*i])
		}
	}
	return x[(*opus.Encoder)(nil).Lookahead():]
}

// noise is the energy of signal and coding error in each frame.
func noise(fs []*pcm.Frame, x []float32) (signal, wrong []float64) {
	for i, f := range fs[:len(x)/pcm.FrameSize] {
		s, e := 0.0, 0.0
		for k := range f {
			d := float64(x[i*pcm.FrameSize+k] - f[k][0])
			s += float64(f[k][0]) * float64(f[k][0])
			e += d * d
		}
		signal, wrong = append(signal, s), append(wrong, e)
	}
	return signal, wrong
}

func stereoPackets(packets [][]byte) (n int) {
	for _, p := range packets {
		if opus.Channels(p) == 2 {
			n++
		}
	}
	return n
}

// TestMonoPacketsAreBetter: what is the same on both channels takes mono
// packets, and they are nearer to the original than the stereo packets of the
// same bitrate.
func TestMonoPacketsAreBetter(t *testing.T) {
	fs := spoken(t)
	snr := func(fs []*pcm.Frame, stereo bool) float64 {
		ps := encode(t, opus.EncoderConfig{}, fs)
		if n := stereoPackets(ps); n != 0 && !stereo || n != len(ps) && stereo {
			t.Errorf("%d of %d packets are stereo", n, len(ps))
		}
		signal, wrong := noise(fs, left(t, ps))
		s, e := 0.0, 0.0
		for i := range signal {
			s, e = s+signal[i], e+wrong[i]
		}
		return 10 * math.Log10(s/e)
	}
	mono, stereo := snr(fs, false), snr(apart(fs, 1, 0, 1, hair), true)
	t.Logf("speech at 64 kbit/s: mono packets %.2f dB, stereo packets %.2f dB", mono, stereo)
	if mono < stereo+0.5 {
		t.Errorf("mono packets %.2f dB, stereo packets %.2f dB", mono, stereo)
	}
}

// TestWidthFollows: stereo at once, mono after a second of the same.
func TestWidthFollows(t *testing.T) {
	for _, c := range []opus.EncoderConfig{{}, {Voice: true, Bitrate: 48000}, {FEC: true, LossPercent: 10, Bitrate: 48000}, {Bitrate: 24000}} {
		fs := apart(frames(120, voice), 120, 20, 30, func(x float32) float32 { return -x })
		var got []int
		for _, p := range encode(t, c, fs) {
			got = append(got, opus.Channels(p))
		}
		for i, n := range got {
			want := 1
			if i >= 20 && i < 79 {
				want = 2
			}
			// SILK takes a packet more to come down to one channel.
			if n != want && i != 79 && i != 80 {
				t.Errorf("%+v: packet %d has %d channels", c, i, n)
			}
		}
	}
}

// TestToneThroughWidths: a tone on both channels runs through many changes
// without a step in phase or level.
func TestToneThroughWidths(t *testing.T) {
	const hz = 400
	tone := func(hz, level float64) func(n int64) float32 {
		return func(n int64) float32 { return float32(level * math.Sin(2*math.Pi*hz*float64(n)/pcm.Rate)) }
	}
	fs := frames(1500, tone(hz, 0.3))
	second := tone(1100, 0.2)
	for i, f := range fs {
		if i%130 >= 60 && i%130 < 70 {
			for k := range f {
				f[k][1] += second(int64(i*pcm.FrameSize + k))
			}
		}
	}
	ps := encode(t, opus.EncoderConfig{}, fs)
	if n := stereoPackets(ps); n < 500 || n > 900 {
		t.Fatalf("%d of %d packets are stereo", n, len(ps))
	}
	x := left(t, ps)
	last, level, degrees := math.NaN(), math.NaN(), 0.0
	for at := 4800; at+pcm.FrameSize < len(x); at += pcm.FrameSize / 2 {
		var re, im float64
		for k := range pcm.FrameSize { // eight periods
			p := 2 * math.Pi * hz * float64(at+k) / pcm.Rate
			re += float64(x[at+k]) * math.Cos(p)
			im += float64(x[at+k]) * math.Sin(p)
		}
		phase, size := math.Atan2(re, im)*180/math.Pi, math.Hypot(re, im)
		if !math.IsNaN(last) {
			degrees = max(degrees, math.Abs(math.Remainder(phase-last, 360)))
			if db := 20 * math.Log10(size/level); math.Abs(db) > 0.7 {
				t.Errorf("level steps by %.2f dB in frame %d", db, at/pcm.FrameSize)
			}
		}
		last, level = phase, size
	}
	t.Logf("largest phase step %.2f degrees", degrees)
	if degrees > 2.5 {
		t.Errorf("phase steps by %.2f degrees", degrees)
	}
}

// TestSpeechThroughWidths: where the width changes, speech is no worse than
// where it stays.
func TestSpeechThroughWidths(t *testing.T) {
	fs := apart(spoken(t), 83, 30, 33, func(x float32) float32 { return 0.7 * x })
	ps := encode(t, opus.EncoderConfig{}, fs)
	ref := encode(t, opus.EncoderConfig{}, apart(fs, 1, 0, 1, hair))
	signal, wrong := noise(fs, left(t, ps))
	_, always := noise(fs, left(t, ref))
	var s, e, a float64
	turns := 0
	for i := 1; i < len(signal); i++ {
		if opus.Channels(ps[i-1]) == opus.Channels(ps[i]) {
			continue
		}
		turns++
		for k := i - 1; k <= min(i+1, len(signal)-1); k++ {
			s, e, a = s+signal[k], e+wrong[k], a+always[k]
			if signal[k] > 0.1 && wrong[k] > 0.1*signal[k] && wrong[k] > 4*always[k] {
				t.Errorf("frame %d: error %.1f dB below the voice, %.1f dB if all is stereo", k, 10*math.Log10(signal[k]/wrong[k]), 10*math.Log10(signal[k]/always[k]))
			}
		}
	}
	here, there := 10*math.Log10(s/e), 10*math.Log10(s/a)
	t.Logf("%d changes: %.2f dB around them, %.2f dB there if all is stereo", turns, here, there)
	if turns < 40 || here < there-0.5 {
		t.Errorf("%d changes: %.2f dB around them, %.2f dB there if all is stereo", turns, here, there)
	}
}

// TestEncodersFindIntoLine: an encoder that starts in the middle, while the
// width changes, makes the widths of one that was always there after a second
// and its sound after two.
func TestEncodersFindIntoLine(t *testing.T) {
	fs := apart(spoken(t)[:900], 170, 70, 90, func(x float32) float32 { return 0.5 * x })
	all := encode(t, opus.EncoderConfig{}, fs)
	whole := left(t, all)
	for start := 100; start < 500; start += 67 {
		late := encode(t, opus.EncoderConfig{}, fs[start:start+250])
		for i := start + 50; i < start+250; i++ {
			if all[i][0]&4 != late[i-start][0]&4 {
				t.Fatalf("started at %d, packet %d has another width", start, i)
			}
		}
		x := left(t, late)
		var s, e float64
		for k := 100 * pcm.FrameSize; k < 110*pcm.FrameSize; k++ {
			d := float64(x[k] - whole[start*pcm.FrameSize+k])
			s += float64(x[k]) * float64(x[k])
			e += d * d
		}
		if snr := 10 * math.Log10(s/(e+1e-9)); s > 1 && snr < 20 {
			t.Errorf("started at %d: %.1f dB from the other after 2 s", start, snr)
		}
	}
	again := encode(t, opus.EncoderConfig{}, fs)
	for i := range all {
		if !bytes.Equal(all[i], again[i]) {
			t.Fatalf("packet %d is another one the second time", i)
		}
	}
}
