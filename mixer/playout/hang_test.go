package playout_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/playout"
)

// Wherever a burst is lost of a stream whose clock is being corrected, FEC is
// asked for once, and what it answers counts.
func TestDeepGoesOnAfterBurstsWithDrift(t *testing.T) {
	var fec [][]byte
	for _, p := range speech(t, 1500) {
		if opus.HasFEC(p) {
			fec = append(fec, p)
		}
	}
	for _, ppm := range []float64{-400, -200, -130, 200} {
		src := newSource(sender{ppm: ppm, length: 960, ntp: math.NaN()}, fec)
		for src.media < 40*48000 {
			src.send()
		}
		for _, lost := range []int{8, 12} {
			for at := 600; at < 700; at++ {
				r := record(slices.Concat(src.held[:at], src.held[at+lost:at+lost+300]))
				goesOn(t, r, int64(at+40))
			}
		}
	}
}

// goesOn reads a recording to a frame, which takes no time.
func goesOn(t *testing.T, r *recording, until int64) {
	t.Helper()
	done := make(chan bool)
	go func() {
		defer close(done)
		for r.d.Frame() < until {
			r.feed()
			_ = r.d.Skip()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("stands still before frame %d", until)
	}
}

// Sound ends once, however often its sender says that it is silent.
func TestDTXInEveryPacket(t *testing.T) {
	for _, ms := range []int{5, 10, 20} {
		pk := shortTone(t, ms, 1000/ms)
		var ps []playout.Packet
		for i := range 3 * len(pk) {
			payload := []byte{pk[0][0]}
			if i < len(pk) {
				payload = pk[i]
			}
			ps = append(ps, playout.Packet{
				At: time.Duration(i*ms) * time.Millisecond, SSRC: 1, PT: 111, Level: playout.NoLevel,
				Seq: uint16(i), Timestamp: uint32(i * ms * 48), Payload: payload,
			})
		}
		r := record(ps).read(t, 140)
		if top := loudest(r.frames[51][:]); top > -60 {
			t.Errorf("packets of %d ms: %.1f dBFS 20 ms after the tone", ms, top)
		}
		for _, f := range r.frames[52:140] {
			if top := loudest(f[:]); top > -190 {
				t.Fatalf("packets of %d ms: %.1f dBFS in silence", ms, top)
			}
		}
	}
}

// A sender that turns to longer packets on a bad path has lost as much as it
// sent in them.
func TestLossOfLongerPackets(t *testing.T) {
	short, long := shortTone(t, 20, 50), shortTone(t, 60, 50)
	var ps []playout.Packet
	for i, p := range short {
		ps = append(ps, playout.Packet{At: time.Duration(i) * frameTime, SSRC: 1, PT: 111, Level: playout.NoLevel, Seq: uint16(i), Timestamp: uint32(i * 960), Payload: p})
	}
	for i, p := range long[3:] {
		n := i + 3
		ps = append(ps, playout.Packet{
			At: time.Duration(50+3*n) * frameTime, SSRC: 1, PT: 111, Level: playout.NoLevel,
			Seq: uint16(50 + n), Timestamp: uint32(50*960 + n*2880), Payload: p,
		})
	}
	r := record(ps).read(t, 90)
	l := r.d.Ledger()
	if missing := l[playout.Concealed] + l[playout.Lost]; missing != 180*48 || l[playout.DTX] != 0 {
		t.Errorf("%d ms are missing, %d ms are DTX; want 180 and none: %v", missing/48, l[playout.DTX]/48, l)
	}
}

// A packet of which a part belongs behind what was before is heard from there.
func TestDeepPlaysTheRestOfAnOverlap(t *testing.T) {
	pk := shortTone(t, 60, 40)
	for _, ssrc := range []uint32{1, 2} {
		var ps []playout.Packet
		for i, p := range pk {
			q := playout.Packet{At: time.Duration(3*i) * frameTime, SSRC: 1, PT: 111, Level: playout.NoLevel, Seq: uint16(i), Timestamp: uint32(i * 2880), Payload: p}
			if i >= 20 {
				q.SSRC = ssrc
				q.At -= 5 * time.Millisecond
				q.Timestamp -= 240
			}
			ps = append(ps, q)
		}
		r := record(ps).read(t, 150)
		if l := r.d.Ledger(); len(r.placed) != 40 || l[playout.Received] < 40*2880-240 || l[playout.Concealed] > 0 {
			t.Errorf("SSRC %d: %d packets of 40 placed, %v", ssrc, len(r.placed), l)
		}
	}
}

// What was received before a stream left is heard to its end.
func TestDeepEndsWithTheLastPacket(t *testing.T) {
	pk := shortTone(t, 60, 20)
	var ps []playout.Packet
	for i, p := range pk {
		ps = append(ps, playout.Packet{
			At: time.Duration(i+1)*60*time.Millisecond + frameTime, SSRC: 1, PT: 111, Level: playout.NoLevel,
			Seq: uint16(i), Timestamp: uint32(i * 2880), Payload: p,
		})
	}
	r := record(ps)
	r.d.End(ps[len(ps)-1].At + 5*time.Millisecond)
	r.read(t, 400)
	if l := r.d.Ledger(); l[playout.Received] != 20*2880 {
		t.Errorf("of 1200 ms %d are heard: %v", l[playout.Received]/48, l)
	}
}

// A sender that comes back after another one is heard as soon as that has
// stopped.
func TestLiveHearsWhoComesBack(t *testing.T) {
	a := stream(tone64(t, 500), 0, 1, 1)
	for i := 100; i < 105; i++ {
		a[i].SSRC = 2
		a[i].Seq += 9000
		a[i].Timestamp += 1e9
	}
	l := listen(a)
	l.keep = true
	l.read(t, 9*time.Second)
	silent := 0
	for _, f := range l.frames[100:440] {
		if loudest(f[:]) < -60 {
			silent++
		}
	}
	if silent > 12 {
		t.Errorf("%d ms of silence", 20*silent)
	}
}
