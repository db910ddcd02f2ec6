package playout_test

import (
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	libopus "gopkg.in/hraban/opus.v2"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

const frameTime = pcm.FrameTime

// encode turns n frames of r into packets of 20 ms.
func encode(t testing.TB, r pcm.Reader, n int, c opus.EncoderConfig) [][]byte {
	t.Helper()
	enc, err := opus.NewEncoder(c)
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	buf := make([]byte, opus.MaxFrameBytes+1)
	for _, f := range pcmtest.Collect(r, n) {
		k, err := enc.Encode(&f, buf)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, slices.Clone(buf[:k]))
	}
	return packets
}

// Encoding is the slowest part of these tests: it is done once.
var encoded = struct {
	sync.Mutex
	tone, speech [][]byte
}{}

const encodedMax = 1500

// tone64 is n packets, at most encodedMax, of a 997 Hz tone, mono, 64 kbit/s.
func tone64(t testing.TB, n int) [][]byte {
	encoded.Lock()
	defer encoded.Unlock()
	if encoded.tone == nil {
		encoded.tone = encode(t, pcmtest.Tone(997, 0.25), encodedMax, opus.EncoderConfig{Channels: 1, Bitrate: 64000})
	}
	return slices.Clone(encoded.tone[:n])
}

// stream sends payloads of 20 ms each, the first at start, numbers and times
// counted from seq and ts.
func stream(payloads [][]byte, start time.Duration, seq uint16, ts uint32) []playout.Packet {
	packets := make([]playout.Packet, len(payloads))
	for i, p := range payloads {
		packets[i] = playout.Packet{
			At: start + time.Duration(i)*frameTime, SSRC: 1, PT: 111, Level: playout.NoLevel,
			Seq: seq + uint16(i), Timestamp: ts + uint32(i*pcm.FrameSize), Payload: p,
		}
	}
	return packets
}

// jitter delays each packet by up to most, and sorts by arrival.
func jitter(packets []playout.Packet, most time.Duration, seed uint64) []playout.Packet {
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range packets {
		packets[i].At += time.Duration(r.Int64N(int64(most)))
	}
	return byArrival(packets)
}

func byArrival(packets []playout.Packet) []playout.Packet {
	sort.SliceStable(packets, func(i, j int) bool { return packets[i].At < packets[j].At })
	return packets
}

// straight decodes payloads one after the other, without anything between.
func straight(t testing.TB, payloads [][]byte, channels int) [][2]float32 {
	t.Helper()
	dec, err := opus.NewDecoder(channels)
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]float32
	buf := make([]float32, 2*opus.MaxSamples)
	for _, p := range payloads {
		n, err := dec.Decode(p, buf)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			all = append(all, [2]float32{buf[i*channels], buf[i*channels+channels-1]})
		}
	}
	return all
}

// recording drives a Deep as a capture does, depth behind the arrivals.
type recording struct {
	d       *playout.Deep
	packets []playout.Packet
	reports []playout.Report
	depth   time.Duration
	placed  []playout.Placed
	frames  []pcm.Frame
}

func record(packets []playout.Packet) *recording {
	r := &recording{packets: packets, depth: 5 * time.Second}
	r.d = playout.NewDeep(playout.DeepConfig{Placed: r.place})
	return r
}

func (r *recording) place(p playout.Placed) {
	p.Payload = slices.Clone(p.Payload)
	r.placed = append(r.placed, p)
}

// feed pushes what has arrived when frame n is due.
func (r *recording) feed() {
	now := time.Duration(r.d.Frame()+1)*frameTime + r.depth
	for len(r.packets) > 0 && r.packets[0].At <= now {
		r.d.Push(&r.packets[0])
		r.packets = r.packets[1:]
	}
	for len(r.reports) > 0 && r.reports[0].At <= now {
		r.d.Report(r.reports[0])
		r.reports = r.reports[1:]
	}
}

// read reads up to frame end.
func (r *recording) read(t testing.TB, end int64) *recording {
	t.Helper()
	for r.d.Frame() < end {
		r.feed()
		var f pcm.Frame
		if err := r.d.ReadFrame(&f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		r.frames = append(r.frames, f)
	}
	r.check(t)
	return r
}

// skip skips up to frame end; frames are kept as silence.
func (r *recording) skip(t testing.TB, end int64) *recording {
	t.Helper()
	for r.d.Frame() < end {
		r.feed()
		if err := r.d.Skip(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	r.check(t)
	return r
}

// check holds the ledger against the timeline and the placed packets against
// each other.
func (r *recording) check(t testing.TB) {
	t.Helper()
	l := r.d.Ledger()
	first, ok := r.d.First()
	want := int64(0)
	if ok {
		want = r.d.Frame()*pcm.FrameSize - first
	}
	if l.Span() != want {
		t.Fatalf("the ledger holds %d samples of %d: %v", l.Span(), want, l)
	}
	for c, n := range l {
		if n < 0 {
			t.Fatalf("%v: %d samples", playout.Class(c), n)
		}
	}
	for i := 1; i < len(r.placed); i++ {
		if a, b := r.placed[i-1], r.placed[i]; b.Pos < a.Pos+int64(a.Samples) {
			t.Fatalf("packet %d at %d overlaps the one before, which ends at %d", i, b.Pos, a.Pos+int64(a.Samples))
		}
	}
}

func (r *recording) samples() [][2]float32 {
	var all [][2]float32
	for i := range r.frames {
		all = append(all, r.frames[i][:]...)
	}
	return all
}

// same fails unless got equals want from sample at on.
//
//go:norace
func same(t testing.TB, got [][2]float32, at int64, want [][2]float32) {
	t.Helper()
	n := min(len(want), len(got)-int(at))
	if n <= 0 {
		t.Fatalf("nothing to compare: %d samples from %d on", len(got), at)
	}
	for i := range n {
		if got[int(at)+i] != want[i] {
			t.Fatalf("sample %d differs: %v, want %v", i, got[int(at)+i], want[i])
		}
	}
}

func ms(n int64) float64 { return float64(n) * 1000 / pcm.Rate }

// loudest is the greatest magnitude in samples, in dBFS.
//
//go:norace
func loudest(s [][2]float32) float64 {
	var top float64
	for _, x := range s {
		top = max(top, math.Abs(float64(x[0])), math.Abs(float64(x[1])))
	}
	return 20 * math.Log10(top+1e-10)
}

// voice is something like a speaker: pulses of a gliding pitch through three
// formants, in syllables.
type voice struct {
	at    int
	phase float64
	state [3][2]float64
}

func (v *voice) ReadFrame(f *pcm.Frame) error {
	for i := range f {
		t := float64(v.at) / pcm.Rate
		v.at++
		v.phase += (130 + 40*math.Sin(2*math.Pi*0.7*t)) / pcm.Rate
		x := 0.0
		if v.phase >= 1 {
			v.phase--
			x = 1
		}
		sum := 0.0
		for k, hz := range [3]float64{500 + 200*math.Sin(2*math.Pi*1.3*t), 1500 + 400*math.Sin(2*math.Pi*1.9*t), 2500} {
			const radius = 0.99
			s := &v.state[k]
			y := x + 2*radius*math.Cos(2*math.Pi*hz/pcm.Rate)*s[0] - radius*radius*s[1]
			s[0], s[1] = y, s[0]
			sum += y
		}
		gain := 0.02 * (0.55 - 0.45*math.Cos(2*math.Pi*4*t))
		s := float32(gain * sum)
		f[i] = [2]float32{s, s}
	}
	return nil
}

// speech is n packets, at most encodedMax, of such a voice, armed against loss.
func speech(t testing.TB, n int) [][]byte {
	encoded.Lock()
	defer encoded.Unlock()
	if encoded.speech == nil {
		encoded.speech = encode(t, &voice{}, encodedMax, opus.EncoderConfig{Channels: 1, Bitrate: 32000, Voice: true, FEC: true, LossPercent: 20})
	}
	return slices.Clone(encoded.speech[:n])
}

// shortTone is n packets of ms milliseconds of the tone of tone64.
func shortTone(t testing.TB, ms, n int) [][]byte {
	t.Helper()
	enc, err := libopus.NewEncoder(pcm.Rate, 1, libopus.AppAudio)
	if err != nil {
		t.Fatal(err)
	}
	if err := enc.SetBitrate(64000); err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	in, buf := make([]float32, ms*pcm.Rate/1000), make([]byte, opus.MaxFrameBytes+1)
	for i := range n {
		for k := range in {
			in[k] = float32(0.25 * math.Sin(2*math.Pi*997*float64(i*len(in)+k)/pcm.Rate))
		}
		k, err := enc.EncodeFloat32(in, buf)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, slices.Clone(buf[:k]))
	}
	return packets
}
