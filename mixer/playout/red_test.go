package playout_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

const redType = 63

// red is a payload of RFC 2198: copies, each with its offset, and the primary.
func red(primary []byte, copies ...playout.Copy) []byte {
	var b []byte
	for _, c := range copies {
		b = append(b, 0x80|111, byte(c.Offset>>6), byte(c.Offset<<2)|byte(len(c.Payload)>>8), byte(len(c.Payload)))
	}
	b = append(b, 111)
	for _, c := range copies {
		b = append(b, c.Payload...)
	}
	return append(b, primary...)
}

// redundant gives each packet copies of the n before it.
func redundant(packets []playout.Packet, n int) []playout.Packet {
	out := slices.Clone(packets)
	for i := range out {
		var copies []playout.Copy
		for k := min(n, i); k > 0; k-- {
			copies = append(copies, playout.Copy{Offset: packets[i].Timestamp - packets[i-k].Timestamp, Payload: packets[i-k].Payload})
		}
		out[i].PT, out[i].Payload = redType, red(packets[i].Payload, copies...)
	}
	return out
}

func recordRed(packets []playout.Packet) *recording {
	r := &recording{packets: packets, depth: 5 * time.Second}
	r.d = playout.NewDeep(playout.DeepConfig{Placed: r.place, Red: redType})
	return r
}

func listenRed(packets []playout.Packet) *listening {
	return &listening{l: playout.NewLive(playout.LiveConfig{Red: redType}), packets: packets}
}

// lossy leaves out packets at random, never the first or the last.
func lossy(packets []playout.Packet, loss float64, seed uint64) []playout.Packet {
	r := rand.New(rand.NewPCG(seed, 2198))
	kept := packets[:0:0]
	for i, p := range packets {
		if i == 0 || i == len(packets)-1 || r.Float64() >= loss {
			kept = append(kept, p)
		}
	}
	return kept
}

// One copy makes of 20 % loss 4 %, two make of 30 % 2.7 %, before concealment.
func TestRedundancyRepairsLoss(t *testing.T) {
	payloads := slices.Concat(tone64(t, 1500), tone64(t, 1500))
	n := len(payloads)
	for _, test := range []struct {
		copies         int
		loss, residual float64
	}{{1, 0.2, 0.045}, {2, 0.3, 0.035}, {1, 0.1, 0.015}} {
		for seed := range uint64(3) {
			packets := lossy(redundant(stream(payloads, 0, 64000, math.MaxUint32-1e6), test.copies), test.loss, seed+1)
			came := len(packets)
			r := recordRed(slices.Clone(packets)).skip(t, int64(n))
			l := r.d.Ledger()
			deep := float64(l[playout.Concealed]+l[playout.Lost]) / float64(n*pcm.FrameSize)
			live := listenRed(packets).read(t, time.Duration(n)*frameTime+time.Second).l.Quality()
			t.Logf("%d copies, %.0f %% lost: residual %.2f %% in the recording, %.2f %% live", test.copies, 100-100*float64(came)/float64(n), 100*deep, 100*float64(live.Lost)/float64(n))
			if deep > test.residual || float64(live.Lost) > test.residual*float64(n) {
				t.Errorf("residual %.4f in the recording, %d of %d packets live", deep, live.Lost, n)
			}
			if want := int64(came * pcm.FrameSize); l[playout.Received] != want || l[playout.Recovered] != l.Span()-want-l[playout.Concealed]-l[playout.Lost] {
				t.Errorf("ledger %v, want %d samples received", l, want)
			}
			if len(r.placed) <= came || live.Late+live.Broken+live.Duplicates != 0 {
				t.Errorf("%d packets placed, live %+v", len(r.placed), live)
			}
		}
	}
}

// What a copy restores is what was sent, bit by bit, over wraps, in the
// recording and live.
func TestRedundancyRestoresBitByBit(t *testing.T) {
	payloads := tone64(t, 400)
	packets := redundant(stream(payloads, 0, 65400, math.MaxUint32-100000), 2)
	var kept []playout.Packet
	for i, p := range packets {
		if i%5 != 2 && i%5 != 3 {
			kept = append(kept, p)
		}
	}
	r := recordRed(slices.Clone(kept)).read(t, 395)
	want := straight(t, payloads, 1)
	first, _ := r.d.First()
	same(t, r.samples(), first, want)
	if l := r.d.Ledger(); l[playout.Recovered] < 150*pcm.FrameSize || l[playout.Concealed]+l[playout.Lost] != 0 {
		t.Errorf("ledger %v", l)
	}
	for i, p := range r.placed {
		if !bytes.Equal(p.Payload, payloads[i]) || p.Pos != first+int64(i*pcm.FrameSize) {
			t.Fatalf("packet %d is another, at %d", i, p.Pos)
		}
	}
}

// A packet that comes late takes the place of its copy, and of copies in the
// packets of others nothing is taken.
func TestRedundancyGivesWay(t *testing.T) {
	payloads, coarse := tone64(t, 200), speech(t, 200)
	packets := stream(payloads, 0, 1, 1)
	out := slices.Clone(packets)
	for i := 1; i < len(out); i++ {
		out[i].PT = redType
		out[i].Payload = red(payloads[i], playout.Copy{Offset: 960, Payload: coarse[i-1]})
	}
	out[50].At += time.Second // sent again
	out = append(out[:100], out[101:]...)
	out[149].Payload[0] = 0x80 | 13 // a copy of comfort noise, of packet 149
	out = append(out[:148], out[149:]...)
	r := recordRed(byArrival(out)).read(t, 200)
	if !bytes.Equal(r.placed[50].Payload, payloads[50]) || !bytes.Equal(r.placed[100].Payload, coarse[100]) {
		t.Error("the packet itself does not count, or its copy does not")
	}
	l := r.d.Ledger()
	if len(r.placed) != 199 || l[playout.Recovered] != 2*pcm.FrameSize || l[playout.Concealed] != pcm.FrameSize {
		t.Errorf("%d packets placed, ledger %v", len(r.placed), l)
	}
	if q := r.d.Quality(); q.Duplicates+q.Late+q.Broken != 0 {
		t.Errorf("quality %+v", q)
	}
}

// Without its payload type nothing is taken apart; with it, what is no
// redundancy counts as broken and leaves the stream alone.
func TestRedundancyRefusesNonsense(t *testing.T) {
	good := []byte{0xf8, 0xff, 0xfe}
	long := bytes.Repeat([]byte{0x80 | 111, 0, 0, 0}, 33)
	for _, payload := range [][]byte{
		nil, {0x80 | 111}, {0x80 | 111, 0, 0}, {0x80 | 111, 0xff, 0xff, 0xff}, {0x80 | 111, 15 << 2, 3, 255, 111},
		{0x80 | 111, 15, 0, 4, 111, 1, 2, 3}, {0x80 | 111, 15, 0, 1}, append(long, 111), {redType},
		red(good, playout.Copy{Offset: 960, Payload: make([]byte, 1023)})[:1000],
	} {
		packets := stream(tone64(t, 200), 0, 1, 1)
		bad := packets[99]
		bad.PT, bad.Payload = redType, payload
		packets[99] = bad
		r := recordRed(slices.Clone(packets)).read(t, 200)
		l := listenRed(packets).read(t, 4*time.Second)
		if q := r.d.Quality(); q.Broken != 1 || q.Lost != 1 || len(r.placed) != 199 {
			t.Errorf("% x: quality %+v, %d packets placed", payload, q, len(r.placed))
		}
		if q := l.l.Quality(); q.Broken != 1 || q.Lost != 1 {
			t.Errorf("% x: quality %+v live", payload, q)
		}
	}
	if _, _, ok := playout.SplitRed(red(good)); !ok {
		t.Error("a packet with only itself is refused")
	}
}

// Offsets and numbers of copies that contradict what has come are not used.
func TestRedundancyTakesNoLies(t *testing.T) {
	payloads := tone64(t, 300)
	packets := stream(payloads, 0, 1, 1)
	want := straight(t, payloads, 1)
	r := rand.New(rand.NewPCG(1, 1))
	for i := 1; i < len(packets); i++ {
		var copies []playout.Copy
		for range r.IntN(4) {
			copies = append(copies, playout.Copy{Offset: r.Uint32N(1 << 14), Payload: payloads[r.IntN(300)]})
		}
		packets[i].PT, packets[i].Payload = redType, red(payloads[i], copies...)
	}
	// Copies before the first packet could be of what was sent before.
	packets[1].PT, packets[1].Payload = 111, payloads[1]
	packets[2].PT, packets[2].Payload = 111, payloads[2]
	packets[3].PT, packets[3].Payload = 111, payloads[3]
	rec := recordRed(packets).read(t, 300)
	first, _ := rec.d.First()
	same(t, rec.samples(), first, want)
	if l := rec.d.Ledger(); l[playout.Received] != 300*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
}

func FuzzRedundancy(f *testing.F) {
	f.Add(red([]byte{0xf8, 0xff, 0xfe}, playout.Copy{Offset: 960, Payload: []byte{0xf8, 1, 2, 3}}))
	f.Add([]byte{0x80 | 111, 15 << 2, 3, 255, 111})
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, payload []byte) {
		primary, copies, ok := playout.SplitRed(payload)
		if ok {
			n := 1 + 4*len(copies) + len(primary)
			for _, c := range copies {
				n += len(c.Payload)
				if c.Offset >= 1<<14 {
					t.Errorf("offset %d", c.Offset)
				}
			}
			if n > len(payload) {
				t.Errorf("%d bytes out of %d", n, len(payload))
			}
		}
		r, l := recordRed(nil), playout.NewLive(playout.LiveConfig{Red: redType})
		for i := range 12 {
			p := playout.Packet{At: time.Duration(i) * frameTime, SSRC: 1, Seq: uint16(i), Timestamp: uint32(i * 960), PT: redType, Payload: payload}
			if i%3 == 0 {
				p.PT, p.Payload = 111, []byte{0xf8, 0xff, 0xfe}
			}
			r.d.Push(&p)
			l.Push(&p)
			var frame pcm.Frame
			if err := l.ReadFrame(&frame); err != nil {
				t.Fatal(err)
			}
		}
		r.read(t, 20)
	})
}
