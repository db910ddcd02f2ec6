package opus_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// voice is something like speech: a buzz of 130 Hz with moving formants, in
// syllables.
func voice(n int64) float32 {
	t := float64(n) / pcm.Rate
	f1, f2 := 600+150*math.Sin(2*math.Pi*1.3*t), 1700+300*math.Sin(2*math.Pi*0.9*t)
	var v float64
	for h := 1; h <= 16; h++ {
		hz := 130 * float64(h)
		level := math.Exp(-math.Pow((hz-f1)/250, 2)) + 0.5*math.Exp(-math.Pow((hz-f2)/300, 2)) + 0.02
		v += level * math.Sin(2*math.Pi*hz*t)
	}
	return float32(0.12 * v * (0.55 + 0.45*math.Sin(2*math.Pi*3.1*t)))
}

func frames(n int, f func(int64) float32) []*pcm.Frame {
	fs := make([]*pcm.Frame, n)
	for i := range fs {
		fs[i] = new(pcm.Frame)
		for k := range fs[i] {
			v := f(int64(i*pcm.FrameSize + k))
			fs[i][k] = [2]float32{v, v}
		}
	}
	return fs
}

func encode(t testing.TB, c opus.EncoderConfig, fs []*pcm.Frame) [][]byte {
	t.Helper()
	e, err := opus.NewEncoder(c)
	if err != nil {
		t.Fatal(err)
	}
	var buf [opus.MaxFrameBytes + 1]byte
	var out [][]byte
	for _, f := range fs {
		n, err := e.Encode(f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(buf[:n]))
	}
	return out
}

func decoder(t testing.TB, channels int) *opus.Decoder {
	t.Helper()
	d, err := opus.NewDecoder(channels)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// energy is the sum of squares of the difference of a and b.
func energy(a, b []float32) (e float64) {
	for i := range a {
		d := float64(a[i])
		if b != nil {
			d -= float64(b[i])
		}
		e += d * d
	}
	return e
}

func TestFECRestoresThePacketBefore(t *testing.T) {
	for _, channels := range []int{1, 2} {
		ps := encode(t, opus.EncoderConfig{Channels: channels, Voice: true, FEC: true, LossPercent: 20, Bitrate: 32000 * channels, Complexity: 9}, frames(150, voice))
		clean, fec, plc := decoder(t, 1), decoder(t, 1), decoder(t, 1)
		a, b, c := make([]float32, opus.MaxSamples), make([]float32, opus.MaxSamples), make([]float32, opus.MaxSamples)
		with, signal, byFEC, byPLC := 0, 0.0, 0.0, 0.0
		for i, p := range ps {
			if _, err := clean.Decode(p, a); err != nil {
				t.Fatal(err)
			}
			if i%7 == 3 && i+1 < len(ps) {
				if opus.HasFEC(ps[i+1]) {
					with++
				}
				if err := fec.DecodeFEC(ps[i+1], b[:960]); err != nil {
					t.Fatal(err)
				}
				if err := plc.Conceal(c[:960]); err != nil {
					t.Fatal(err)
				}
				signal += energy(a[:960], nil)
				byFEC += energy(b[:960], a[:960])
				byPLC += energy(c[:960], a[:960])
				continue
			}
			if _, err := fec.Decode(p, b); err != nil {
				t.Fatal(err)
			}
			if _, err := plc.Decode(p, c); err != nil {
				t.Fatal(err)
			}
		}
		if with < 15 {
			t.Errorf("%d channels: %d of 21 packets carry FEC", channels, with)
		}
		f, p := 10*math.Log10(signal/byFEC), 10*math.Log10(signal/byPLC)
		t.Logf("%d channels: FEC %.1f dB, concealment %.1f dB", channels, f, p)
		if f < 8 || f < p+3 {
			t.Errorf("%d channels: FEC restores to %.1f dB, concealment to %.1f dB", channels, f, p)
		}
	}
	for _, p := range encode(t, opus.EncoderConfig{Channels: 1, Voice: true, Bitrate: 32000}, frames(20, voice)) {
		if opus.HasFEC(p) {
			t.Error("FEC that was not asked for")
		}
	}
}

// TestBuffersEndWhereTheyEnd guards against the binding's use of capacity.
func TestBuffersEndWhereTheyEnd(t *testing.T) {
	p := encode(t, opus.EncoderConfig{Channels: 2, Bitrate: 64000}, frames(3, voice))[2]
	d := decoder(t, 2)
	buf := make([]float32, 4*opus.MaxSamples)
	for i := range buf {
		buf[i] = 7
	}
	check := func(what string, from int) {
		t.Helper()
		for i, v := range buf[from:] {
			if v != 7 {
				t.Fatalf("%s wrote value %d behind its end", what, i)
			}
		}
	}
	if n, err := d.Decode(p, buf[:2*opus.MaxSamples]); n != 960 || err != nil {
		t.Fatal(n, err)
	}
	check("Decode", 2*960)
	if err := d.Conceal(buf[:2*960]); err != nil {
		t.Fatal(err)
	}
	check("Conceal", 2*960)
	if err := d.DecodeFEC(p, buf[:2*960]); err != nil {
		t.Fatal(err)
	}
	check("DecodeFEC", 2*960)
	if err := d.Conceal(buf[:2*360]); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 2, 2*120 + 2, 121} {
		if err := d.Conceal(buf[:n]); !errors.Is(err, opus.ErrBuffer) {
			t.Errorf("conceal into %d values: %v", n, err)
		}
	}
	if _, err := d.Decode(p, buf[:2*959]); !errors.Is(err, opus.ErrBuffer) {
		t.Errorf("decode into a short buffer: %v", err)
	}

	out := make([]byte, 200)
	e, err := opus.NewEncoder(opus.EncoderConfig{Bitrate: 256000})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames(3, voice) {
		n, err := e.Encode(f, out[:50])
		if err != nil || n > 50 || !bytes.Equal(out[50:], make([]byte, 150)) {
			t.Fatalf("%d bytes into 50, %v", n, err)
		}
	}
	if _, err := e.Encode(new(pcm.Frame), nil); !errors.Is(err, opus.ErrBuffer) {
		t.Errorf("encode into nothing: %v", err)
	}
}

func TestResetForgets(t *testing.T) {
	ps := encode(t, opus.EncoderConfig{Channels: 1}, frames(10, voice))
	d := decoder(t, 1)
	first, again := make([]float32, opus.MaxSamples), make([]float32, opus.MaxSamples)
	if _, err := d.Decode(ps[0], first); err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if _, err := d.Decode(p, again); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(ps[0], again); err != nil || energy(first, again) != 0 {
		t.Errorf("decoder remembers after Reset: %v", err)
	}
}

func TestNoAllocations(t *testing.T) {
	fs := frames(10, voice)
	e, err := opus.NewEncoder(opus.EncoderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	d := decoder(t, 2)
	packet := make([]byte, opus.MaxFrameBytes+1)
	out := make([]float32, 2*opus.MaxSamples)
	bad := []byte{31<<3 | 3, 0}
	if a := testing.AllocsPerRun(100, func() {
		n, err := e.Encode(fs[3], packet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(packet[:n], out); err != nil {
			t.Fatal(err)
		}
		if err := d.Conceal(out[:2*960]); err != nil {
			t.Fatal(err)
		}
		if err := d.DecodeFEC(packet[:n], out[:2*960]); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(bad, out); err == nil {
			t.Fatal("a bad packet is taken")
		}
		opus.HasFEC(packet[:n])
		opus.Silence(960, 2)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, c := range map[string]opus.EncoderConfig{
		"mono voice 32k": {Channels: 1, Voice: true, Bitrate: 32000}, "mono audio 32k": {Channels: 1, Bitrate: 32000}, "stereo audio 64k": {Channels: 2, Bitrate: 64000},
	} {
		b.Run(name, func(b *testing.B) {
			ps := encode(b, c, frames(50, voice))
			d := decoder(b, c.Channels)
			out := make([]float32, 2*opus.MaxSamples)
			b.ReportAllocs()
			for b.Loop() { // one stream-second
				for _, p := range ps {
					if _, err := d.Decode(p, out); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
