package playout

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// chatter is packets of noisy tones in both modes of the codec.
func chatter(t *testing.T, channels int) [][]byte {
	t.Helper()
	var packets [][]byte
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []opus.EncoderConfig{
		{Channels: channels, Bitrate: 24000, Voice: true, FEC: true, LossPercent: 20},
		{Channels: channels, Bitrate: 96000},
	} {
		enc, err := opus.NewEncoder(c)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, opus.MaxFrameBytes+1)
		for n := range 60 {
			var f pcm.Frame
			for i := range f {
				x := 0.2*math.Sin(float64(n*pcm.FrameSize+i)*0.05) + 0.05*r.NormFloat64()
				f[i] = [2]float32{float32(x), float32(x * 0.7)}
			}
			k, err := enc.Encode(&f, buf)
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, bytes.Clone(buf[:k]))
		}
	}
	return packets
}

// What digital silence saves in decoding changes no sample, neither in the
// silence nor behind it, whatever follows: speech, a loss, another length.
func TestDigitalSilenceCostsNoDecode(t *testing.T) {
	for channels := 1; channels <= 2; channels++ {
		packets := chatter(t, channels)
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 11))
			v := newVoice()
			d, err := opus.NewDecoder(channels)
			if err != nil {
				t.Fatal(err)
			}
			if !v.open(channels) {
				t.Fatal("no decoder")
			}
			want := make([]float32, 2*opus.MaxSamples)
			saved := 0
			check := func(n int) {
				t.Helper()
				for i, x := range want[:n*channels] {
					if v.pcm[i] != x {
						t.Fatalf("seed %d, %d channels: sample %d is %v, want %v", seed, channels, i, v.pcm[i], x)
					}
				}
			}
			play := func(p []byte) {
				t.Helper()
				if v.still.knows(p) {
					saved++
				}
				n, ok := v.decode(p)
				m, err := d.Decode(p, want)
				if !ok || err != nil || n != m {
					t.Fatalf("%d samples, want %d, %v", n, m, err)
				}
				check(n)
			}
			for range 12 {
				for range r.IntN(6) {
					play(packets[r.IntN(len(packets))])
				}
				silence := append(bytes.Clone(opus.Silence(120<<r.IntN(4), channels)), make([]byte, r.IntN(2)*3)...)
				for range 1 + r.IntN(60) {
					play(silence)
				}
				if r.IntN(3) == 0 {
					v.conceal(pcm.FrameSize)
					if err := d.Conceal(want[:pcm.FrameSize*channels]); err != nil {
						t.Fatal(err)
					}
					check(pcm.FrameSize)
				}
			}
			if saved < 20 {
				t.Errorf("seed %d: %d packets not decoded", seed, saved)
			}
		}
	}
}

// A packet that only claims to be silent is decoded.
func TestSilenceIsReadFromThePayload(t *testing.T) {
	for _, p := range [][]byte{nil, {0xf8}, {0xf8, 0xff}, {0xf8, 0xff, 0xfd}, {0xf8, 0xfe, 0xff}, {0x78, 0xff, 0xfe}, {0xf9, 0xff, 0xfe}} {
		if silent(p) {
			t.Errorf("% x is silent", p)
		}
	}
	for n := 120; n <= 960; n *= 2 {
		if !silent(opus.Silence(n, 1)) || !silent(opus.Silence(n, 2)) {
			t.Errorf("silence of %d samples is not", n)
		}
	}
}

func BenchmarkDigitalSilence(b *testing.B) {
	v := newVoice()
	for b.Loop() {
		v.decode(opus.Silence(960, 1))
	}
}
