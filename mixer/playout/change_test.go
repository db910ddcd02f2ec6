package playout_test

import (
	"math"
	"testing"
	"time"

	libopus "gopkg.in/hraban/opus.v2"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// A recorder that comes back gets another SSRC for the same publisher, whose
// numbers and times go on: nothing moves, however jittery the new start is.
func TestDeepKeepsTheTimelineOfTheSameSender(t *testing.T) {
	payloads := tone64(t, 600)
	packets := stream(payloads, 0, 65400, math.MaxUint32-1000)
	packets = append(packets[:200:200], packets[350:]...)
	for i := 200; i < len(packets); i++ {
		packets[i].SSRC = 2
		packets[i].At += 90 * time.Millisecond
	}
	r := record(packets)
	r.d.Cause(4*time.Second, playout.Down)
	r.d.Cause(7*time.Second, playout.Received)
	r.read(t, 600)
	want := straight(t, payloads, 1)
	same(t, r.samples()[:200*pcm.FrameSize], 0, want[:200*pcm.FrameSize])
	got := r.samples()
	for i := 360 * pcm.FrameSize; i < len(got); i++ {
		if math.Abs(float64(got[i][0]-want[i][0])) > 0.01 {
			t.Fatalf("sample %d is %v, want %v", i, got[i][0], want[i][0])
		}
	}
	l := r.d.Ledger()
	if l[playout.Received] != 450*pcm.FrameSize || l[playout.Down]+l[playout.Concealed] != 150*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
}

// Another sender, or another run of numbers, is placed by its arrival.
func TestDeepAnchorsAnew(t *testing.T) {
	tone := tone64(t, 300)
	for _, test := range []struct {
		name string
		ssrc uint32
		seq  uint16
		ts   uint32
	}{
		{"another sender", 2, 5, 77},
		{"the same with other numbers and times", 1, 40000, 1 << 31},
		{"times jump ahead", 1, 101, 50 * pcm.Rate},
		{"times jump back", 1, 101, math.MaxUint32 - 10*pcm.Rate},
		{"times stood still for a minute", 1, 101, 100*pcm.FrameSize + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := 4*time.Second + 7*time.Millisecond
			if test.ts == 100*pcm.FrameSize+1 {
				at = 62 * time.Second
			}
			second := stream(tone[100:], at, test.seq, test.ts)
			for i := range second {
				second[i].SSRC = test.ssrc
			}
			second = jitter(second, 30*time.Millisecond, 3)
			r := record(append(stream(tone[:100], 0, 1, 1), second...)).read(t, int64(at/frameTime)+205)
			if len(r.placed) != 300 {
				t.Fatalf("%d packets placed", len(r.placed))
			}
			for i, p := range r.placed[100:] {
				if off := p.Pos - pcm.Samples(at) - int64(i*pcm.FrameSize); off < 0 || ms(off) > 2 {
					t.Fatalf("packet %d is %.2f ms off", i, ms(off))
				}
			}
			if l := r.d.Ledger(); l[playout.Received] != 300*pcm.FrameSize {
				t.Errorf("ledger %v", l)
			}
		})
	}
}

// A stray packet with wild numbers does not disturb the stream.
func TestDeepSurvivesStrays(t *testing.T) {
	payloads := tone64(t, 300)
	packets := stream(payloads, 0, 1, 1)
	for i, stray := range []playout.Packet{
		{SSRC: 1, Seq: 30000, Timestamp: 1 << 30, Payload: []byte{0xf8}},
		{SSRC: 9, Seq: 3, Timestamp: 12345678, Payload: []byte{}},
		{SSRC: 1, Seq: 90, Timestamp: 1 << 20, Payload: []byte{0xf8, 0xff, 0xfe}},
	} {
		stray.At = time.Duration(2+i)*time.Second + time.Millisecond
		packets = append(packets, stray)
	}
	r := record(byArrival(packets)).read(t, 300)
	l := r.d.Ledger()
	if l[playout.Received] < 296*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
	want, got := straight(t, payloads, 1), r.samples()
	for i := 250 * pcm.FrameSize; i < len(got); i++ {
		if math.Abs(float64(got[i][0]-want[i][0])) > 0.02 {
			t.Fatalf("sample %d is %v, want %v", i, got[i][0], want[i][0])
		}
	}
}

// Frames of all lengths follow each other without a seam.
func TestDeepTakesFramesOfAllLengths(t *testing.T) {
	enc, err := libopus.NewEncoder(pcm.Rate, 1, libopus.AppAudio)
	if err != nil {
		t.Fatal(err)
	}
	if err := enc.SetBitrate(96000); err != nil {
		t.Fatal(err)
	}
	lengths := []int{960, 120, 240, 480, 960, 1920, 2880, 480, 120}
	var packets []playout.Packet
	var media int
	buf := make([]byte, 1500)
	for i := 0; media < 10*pcm.Rate; i++ {
		n := lengths[i/7%len(lengths)]
		in := make([]float32, n)
		for k := range in {
			in[k] = float32(0.25 * math.Sin(2*math.Pi*997*float64(media+k)/pcm.Rate))
		}
		k, err := enc.EncodeFloat32(in, buf)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, playout.Packet{
			At: pcm.Duration(int64(media + n)), SSRC: 1, Seq: uint16(i), Timestamp: uint32(media),
			Payload: append([]byte(nil), buf[:k]...), Level: playout.NoLevel,
		})
		media += n
	}
	r := record(packets).read(t, 480)
	first, _ := r.d.First()
	if l := r.d.Ledger(); l[playout.Received] != 480*pcm.FrameSize-first {
		t.Errorf("ledger %v", l)
	}
	var payloads [][]byte
	for _, p := range packets {
		payloads = append(payloads, p.Payload)
	}
	same(t, r.samples(), first, straight(t, payloads, 1))
}

func TestDeepTakes120Milliseconds(t *testing.T) {
	one := tone64(t, 300)
	var packets []playout.Packet
	for i := 0; i+6 <= len(one); i += 6 {
		// Six frames of different length in one packet (code 3, VBR).
		long := []byte{one[i][0]&^3 | 3, 0x80 | 6}
		for _, p := range one[i : i+5] {
			n := len(p) - 1
			if n < 252 {
				long = append(long, byte(n))
			} else {
				long = append(long, byte(252+n&3), byte((n-252-n&3)/4))
			}
		}
		for _, p := range one[i : i+6] {
			long = append(long, p[1:]...)
		}
		packets = append(packets, playout.Packet{At: time.Duration(i+6) * frameTime, SSRC: 1, Seq: uint16(i / 6), Timestamp: uint32(i * pcm.FrameSize), Payload: long})
	}
	r := record(packets).read(t, 300)
	first, _ := r.d.First()
	same(t, r.samples(), first, straight(t, one, 1))
	if p := r.placed[3]; p.Samples != 5760 || p.Pos != first+3*5760 {
		t.Errorf("placed %d samples at %d", p.Samples, p.Pos)
	}
}

func TestDeepFollowsMonoAndStereo(t *testing.T) {
	mono := tone64(t, 300)
	stereo := encode(t, pcmtest.Tone(997, 0.25), 300, opus.EncoderConfig{Channels: 2, Bitrate: 96000})
	var payloads [][]byte
	for i := range 300 {
		if i/100%2 == 0 {
			payloads = append(payloads, mono[i])
		} else {
			payloads = append(payloads, stereo[i])
		}
	}
	r := record(stream(payloads, 0, 1, 1)).read(t, 300)
	if l := r.d.Ledger(); l[playout.Received] != 300*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
	for i, s := range r.samples() {
		if math.Abs(float64(s[0]-s[1])) > 0.01 {
			t.Fatalf("sample %d: %v", i, s)
		}
	}
	var worst float64
	bad := 0
	for _, g := range pcmtest.Steps(r.frames[5:], 997) {
		worst = max(worst, math.Abs(g.Phase))
		if math.Abs(g.Phase) > pcmtest.MaxPhaseStep || math.Abs(g.Level) > pcmtest.MaxLevelStep {
			bad++
		}
	}
	if bad > 20 { // two flips, about two frames each
		t.Errorf("%d steps out of bounds, the phase by up to %.1f°", bad, worst)
	}
}

func TestDeepConcealsBrokenPayloads(t *testing.T) {
	packets := stream(tone64(t, 200), 0, 1, 1)
	packets[50].Payload = []byte{0xff, 0x00, 1, 2, 3} // no frames
	packets[51].Payload = []byte{0xfb, 0x3f, 1, 2, 3} // far too many
	packets[52].Payload = make([]byte, 20000)
	packets[150].Payload = nil
	r := record(packets).read(t, 200)
	l := r.d.Ledger()
	if q := r.d.Quality(); q.Broken != 3 {
		t.Errorf("quality %+v", q)
	}
	if l[playout.Concealed] != 3*pcm.FrameSize || l[playout.DTX] != pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
	if len(r.placed) != 196 {
		t.Errorf("%d packets placed", len(r.placed))
	}
}

func TestDeepIsBounded(t *testing.T) {
	d := playout.NewDeep(playout.DeepConfig{})
	payload := make([]byte, 100)
	for i := range 10000 {
		d.Push(&playout.Packet{At: time.Duration(i) * time.Millisecond, SSRC: 1, Seq: uint16(i), Timestamp: uint32(48 * i), Payload: payload})
	}
	if q := d.Quality(); q.Dropped != 6000 {
		t.Errorf("%d packets dropped", q.Dropped)
	}
	d = playout.NewDeep(playout.DeepConfig{})
	for i := range 100 {
		d.Push(&playout.Packet{At: time.Duration(i) * time.Second, SSRC: 1, Seq: uint16(i), Timestamp: uint32(pcm.Rate * i), Payload: payload})
	}
	if q := d.Quality(); q.Dropped != 69 {
		t.Errorf("%d packets dropped", q.Dropped)
	}
}
