package playout_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// mutant is a valid packet with something wrong in it.
func mutant(p playout.Packet, r *rand.Rand) playout.Packet {
	p.Payload = slices.Clone(p.Payload)
	for range 1 + r.IntN(3) {
		switch r.IntN(12) {
		case 0:
			p.Seq += uint16(1) << r.IntN(16)
		case 1:
			p.Timestamp += uint32(1) << r.IntN(32)
		case 2:
			p.SSRC ^= 1 << r.IntN(3)
		case 3:
			p.PT = [...]uint8{redType, 111, 0, uint8(r.Uint32())}[r.IntN(4)]
		case 4:
			p.At += time.Duration(r.Int64N(int64(8*time.Second))) - 4*time.Second
		case 5:
			p.Level = uint8(r.Uint32())
		case 6:
			p.Payload = p.Payload[:r.IntN(len(p.Payload)+1)]
		case 7:
			p.Payload = append(p.Payload, make([]byte, r.IntN(100))...)
		case 8:
			p.Timestamp, p.Seq = r.Uint32(), uint16(r.Uint32())
		default:
			if len(p.Payload) > 0 {
				// The head says how to read the rest: it is hit most often.
				p.Payload[min(r.IntN(len(p.Payload)), r.IntN(40))] ^= 1 << r.IntN(8)
			}
		}
	}
	return p
}

// Packets in which bytes and fields are wrong end nothing: frames come out one
// after the other, the memory stays what it is, and the stream beside sounds
// as if it were alone.
func TestMutatedPackets(t *testing.T) {
	count := 100_000 / brief
	if soak() {
		count = 1_000_000 / brief
	}
	valid := payloadsOfAllKinds(t)
	tones := stream(tone64(t, 1000), 0, 1, 1)
	plain := len(valid)
	for _, p := range redundant(stream(speech(t, 100), 0, 1, 1), 2) {
		valid = append(valid, p.Payload)
	}
	r := rand.New(rand.NewPCG(2198, 6716))
	bad := playout.NewDeep(playout.DeepConfig{Red: redType, Placed: func(playout.Placed) {}})
	heard := playout.NewLive(playout.LiveConfig{Red: redType})
	beside, alone := playout.NewDeep(playout.DeepConfig{}), playout.NewDeep(playout.DeepConfig{})
	liveBeside, liveAlone := playout.NewLive(playout.LiveConfig{}), playout.NewLive(playout.LiveConfig{})
	var base, memory runtime.MemStats
	var f, g pcm.Frame
	var slowest time.Duration
	for n := range count {
		now := time.Duration(n) * frameTime
		p := playout.Packet{
			At: now, SSRC: 1, PT: 111, Seq: uint16(n), Timestamp: uint32(n * pcm.FrameSize),
			Level: 30, Payload: valid[n/10%len(valid)],
		}
		if n/10%len(valid) >= plain {
			p.PT = redType
		}
		if r.IntN(5) < 2 {
			p = mutant(p, r)
		}
		bad.Push(&p)
		heard.Push(&p)
		if r.IntN(500) == 0 {
			bad.Report(playout.Report{At: p.At, SSRC: p.SSRC, RTP: p.Timestamp, NTP: r.Uint64()})
			bad.Cause(p.At, playout.Class(r.IntN(12)))
		}
		start := time.Now()
		if err := heard.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		if err := read(bad, n, &g); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(start))
		if n%10 == 0 {
			good := tones[n/10%len(tones)]
			good.At, good.Seq, good.Timestamp = now/10, uint16(n/10), uint32(n/10*pcm.FrameSize)
			for _, push := range []func(*playout.Packet){beside.Push, alone.Push, liveBeside.Push, liveAlone.Push} {
				push(&good)
			}
			if n > 2500 {
				agree(t, n, beside.ReadFrame, alone.ReadFrame)
			}
			agree(t, n, liveBeside.ReadFrame, liveAlone.ReadFrame)
		}
		if n == 5000 {
			runtime.GC()
			runtime.ReadMemStats(&base)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&memory)
	grown := int64(memory.HeapAlloc) - int64(base.HeapAlloc)
	q, l := bad.Quality(), heard.Quality()
	led := bad.Ledger()
	first, _ := bad.First()
	t.Logf("ledger %v of %d", led, led.Span())
	t.Logf("%d packets: heap %+d KB since the 5000th, slowest frame %v; recording %+v; live %+v", count, grown>>10, slowest, q, l)
	if grown > 16<<20 || slowest > 2*time.Second {
		t.Error("memory or time is not bounded")
	}
	if led.Span() != bad.Frame()*pcm.FrameSize-first {
		t.Errorf("the ledger holds %d samples", led.Span())
	}
	runtime.KeepAlive(bad)
	runtime.KeepAlive(heard)
}

// read reads a recording 5 s behind frame n, by turns with and without sound.
func read(d *playout.Deep, n int, f *pcm.Frame) error {
	switch {
	case n < 250:
		return nil
	case n/100%2 == 0:
		return d.ReadFrame(f)
	default:
		return d.Skip()
	}
}

// agree fails unless both deliver the same frame.
func agree(t *testing.T, n int, a, b func(*pcm.Frame) error) {
	t.Helper()
	var f, g pcm.Frame
	if e, h := a(&f), b(&g); e != nil || h != nil {
		t.Fatal(e, h)
	}
	if f != g {
		t.Fatalf("frame %d differs", n)
	}
}
