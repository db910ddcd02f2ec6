package playout_test

import (
	"slices"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// endless pushes the packets of a stream over and over, one a frame.
type endless struct {
	payloads [][]byte
	n        int64
	ppm      float64
}

func (e *endless) packet() *playout.Packet {
	p := &playout.Packet{
		At: time.Duration(float64(e.n) * float64(frameTime) / (1 + e.ppm*1e-6)), SSRC: 1, Seq: uint16(e.n),
		Timestamp: uint32(e.n * pcm.FrameSize), Level: 40, Payload: e.payloads[e.n%int64(len(e.payloads))],
	}
	e.n++
	return p
}

func deep(e *endless, frames int64) *playout.Deep {
	d := playout.NewDeep(playout.DeepConfig{Placed: func(playout.Placed) {}})
	for range 250 {
		d.Push(e.packet())
	}
	for range frames {
		d.Push(e.packet())
		if d.Skip() != nil {
			panic("ended")
		}
	}
	return d
}

func TestNothingIsAllocatedPerFrame(t *testing.T) {
	var f pcm.Frame
	for name, ppm := range map[string]float64{"exact": 0, "resampling": 150} {
		e := &endless{payloads: speech(t, 500), ppm: ppm}
		d := deep(e, 5000)
		if n := testing.AllocsPerRun(500, func() { _ = d.ReadFrame(&f) }); n > 0 {
			t.Errorf("%s: %v allocations in Deep.ReadFrame", name, n)
		}
		d = deep(e, 5000)
		if err := d.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		packets := make([]*playout.Packet, 600)
		for i := range packets {
			packets[i] = e.packet()
		}
		i := 0
		if n := testing.AllocsPerRun(500, func() {
			d.Push(packets[i])
			i++
			_ = d.Skip()
			_ = d.ReadFrame(&f)
		}); n > 0 {
			t.Errorf("%s: %v allocations for a packet of Deep", name, n)
		}
	}
	l, e := playout.NewLive(playout.LiveConfig{}), &endless{payloads: speech(t, 500)}
	packets := make([]*playout.Packet, 1100)
	for i := range packets {
		packets[i] = e.packet()
	}
	i := 0
	step := func() {
		l.Push(packets[i])
		i++
		_ = l.ReadFrame(&f)
	}
	for range 500 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n > 0 {
		t.Errorf("%v allocations for a packet of Live", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	payloads := speech(b, 500)
	dec, err := opus.NewDecoder(1)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]float32, opus.MaxSamples)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := dec.Decode(payloads[i%len(payloads)], out); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkDeep(b *testing.B, ppm float64, skip bool) {
	e := &endless{payloads: speech(b, 500), ppm: ppm}
	d := deep(e, 5000)
	var f pcm.Frame
	b.ReportAllocs()
	for b.Loop() {
		d.Push(e.packet())
		var err error
		if skip {
			err = d.Skip()
		} else {
			err = d.ReadFrame(&f)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeep(b *testing.B)           { benchmarkDeep(b, 0, false) }
func BenchmarkDeepResampling(b *testing.B) { benchmarkDeep(b, 100, false) }
func BenchmarkDeepSkip(b *testing.B)       { benchmarkDeep(b, 0, true) }

func BenchmarkLive(b *testing.B) {
	e, l := &endless{payloads: speech(b, 500)}, playout.NewLive(playout.LiveConfig{})
	var f pcm.Frame
	b.ReportAllocs()
	for b.Loop() {
		l.Push(e.packet())
		if err := l.ReadFrame(&f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeepSnapshot(b *testing.B) {
	d := deep(&endless{payloads: speech(b, 500)}, 500)
	b.ReportAllocs()
	for b.Loop() {
		if s := d.Snapshot(); len(s) == 0 || slices.Contains(s[:1], 0) {
			b.Fatal("empty")
		}
	}
	b.ReportMetric(float64(len(d.Snapshot())), "B/snapshot")
}
