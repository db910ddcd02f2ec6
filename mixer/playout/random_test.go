package playout_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// call is a stream with everything in it that networks and senders do.
func call(payloads [][]byte, seed uint64, length time.Duration) []playout.Packet {
	r := rand.New(rand.NewPCG(seed, 99))
	var packets []playout.Packet
	p := playout.Packet{SSRC: r.Uint32(), Seq: uint16(r.Uint32()), Timestamp: r.Uint32()}
	loss, most := r.Float64()*0.3, time.Duration(r.Int64N(int64(150*time.Millisecond)))+1
	for at := time.Duration(0); at < length; {
		step := frameTime
		switch r.IntN(150) {
		case 0: // pause with or without missing numbers
			step = time.Duration(r.Int64N(int64(4 * time.Second)))
			p.Seq += uint16(r.IntN(2) * r.IntN(200))
		case 1: // jump
			p.Timestamp, p.Seq = r.Uint32(), uint16(r.Uint32())
		case 2: // reconnect
			p.SSRC = r.Uint32()
		case 3: // network stalls
			at += time.Duration(r.Int64N(int64(2 * time.Second)))
		case 4: // clock jumps a little
			p.Timestamp += r.Uint32N(10000) - 5000
		}
		p.At = at + time.Duration(r.Int64N(int64(most)))
		if r.IntN(20) == 0 {
			p.At += time.Duration(r.Int64N(int64(7 * time.Second)))
		}
		p.Payload = payloads[r.IntN(len(payloads))]
		p.Level = uint8(r.Uint32())
		if r.Float64() >= loss {
			packets = append(packets, p)
			if r.IntN(30) == 0 {
				packets = append(packets, p)
			}
		}
		at += step
		p.Seq++
		p.Timestamp += uint32(pcm.Samples(step))
	}
	return byArrival(packets)
}

func payloadsOfAllKinds(t testing.TB) [][]byte {
	kinds := tone64(t, 10)
	kinds = append(kinds, speech(t, 10)...)
	return append(kinds, []byte{}, []byte{0xf8}, []byte{0xf8, 0xff}, []byte{0xf8, 0xff, 0xfe}, []byte{0xff, 0, 1}, []byte{1, 2, 3, 4, 5}, []byte{0xe0, 0xff, 0xfe})
}

// Whatever happens, every sample is in one class, no packets overlap, each is
// placed once, and frames and skips tell the same.
func TestDeepKeepsItsPromisesInAnyCall(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(12) {
		packets := call(payloads, seed, 40*time.Second)
		r := record(slices.Clone(packets))
		s := record(packets)
		for _, d := range []*playout.Deep{r.d, s.d} {
			d.Cause(10*time.Second, playout.Paused)
			d.Cause(12*time.Second+time.Duration(seed)*time.Millisecond, playout.Muted)
			d.Cause(16*time.Second, playout.Received)
			d.End(43 * time.Second)
		}
		for n := int64(100); n <= 2200; n += 100 {
			r.read(t, n)
			s.skip(t, n)
			if a, b := r.d.Quality(), s.d.Quality(); a.Late != b.Late || a.Lost != b.Lost || a.Packets != b.Packets {
				t.Fatalf("seed %d, frame %d: read %+v, skipped %+v", seed, n, a, b)
			}
		}
		if r.d.Frame() != 43*50 {
			t.Fatalf("seed %d: ends at frame %d", seed, r.d.Frame())
		}
		if !reflect.DeepEqual(r.placed, s.placed) {
			t.Fatalf("seed %d: read and skipped place packets differently", seed)
		}
		// Only what the decoder alone finds broken may differ.
		a, b := r.d.Ledger(), s.d.Ledger()
		a[playout.Received], b[playout.Received] = a[playout.Received]+a[playout.Recovered]+a[playout.Concealed], b[playout.Received]+b[playout.Recovered]+b[playout.Concealed]
		for _, c := range []playout.Class{playout.Recovered, playout.Concealed} {
			a[c], b[c] = 0, 0
		}
		if a != b {
			t.Fatalf("seed %d: ledgers differ: %v and %v", seed, a, b)
		}
	}
}

// The result does not depend on how reading and pushing interleave, as long as
// what arrives within four seconds after a frame is there.
func TestDeepDoesNotDependOnBatches(t *testing.T) {
	for _, ppm := range []float64{0, 120, -400} {
		var all [][]playout.Placed
		var ledgers []playout.Ledger
		for _, batch := range []int64{1, 17, 50} {
			src := newSource(sender{
				ppm: ppm, length: 960, ntp: 20,
				delay: func(_ time.Duration, r *rand.Rand) time.Duration {
					if r.IntN(50) == 0 {
						return time.Duration(r.Int64N(int64(3 * time.Second)))
					}
					return time.Duration(r.Int64N(int64(80 * time.Millisecond)))
				},
				lose: func(at time.Duration, r *rand.Rand) bool {
					return r.IntN(10) == 0 || at%(20*time.Second) > 19*time.Second
				},
			}, speech(t, 1000))
			r := record(nil)
			for n := batch; n <= 17*50*8; n += batch {
				src.feed(time.Duration(n)*frameTime+5*time.Second, r.d)
				r.skip(t, n)
			}
			r.skip(t, 17*50*8)
			all, ledgers = append(all, r.placed), append(ledgers, r.d.Ledger())
		}
		for i := range all {
			if len(all[i]) < 5000 || !reflect.DeepEqual(all[0], all[i]) || ledgers[0] != ledgers[i] {
				t.Errorf("%v ppm: %d and %d packets, ledgers %v and %v", ppm, len(all[0]), len(all[i]), ledgers[0], ledgers[i])
			}
		}
	}
}

func TestDeepGoesOnFromASnapshot(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(6) {
		packets := call(payloads, seed+100, 40*time.Second)
		whole := record(slices.Clone(packets))
		whole.d.Cause(20*time.Second, playout.Muted)
		whole.read(t, 400+int64(seed)*37)
		snapshot := whole.d.Snapshot()
		next := &recording{packets: whole.packets, depth: whole.depth, placed: slices.Clone(whole.placed)}
		d, err := playout.RestoreDeep(playout.DeepConfig{Placed: next.place}, snapshot)
		if err != nil {
			t.Fatal(err)
		}
		next.d = d
		if d.Frame() != whole.d.Frame() || d.Ledger() != whole.d.Ledger() || d.Quality() != whole.d.Quality() {
			t.Fatalf("seed %d: restored %v %+v, want %v %+v", seed, d.Ledger(), d.Quality(), whole.d.Ledger(), whole.d.Quality())
		}
		if again := d.Snapshot(); !slices.Equal(again, snapshot) {
			t.Fatalf("seed %d: the snapshot of what was restored differs", seed)
		}
		whole.skip(t, 2000)
		next.skip(t, 2000)
		if !reflect.DeepEqual(whole.placed, next.placed) || whole.d.Ledger() != next.d.Ledger() || whole.d.Quality() != next.d.Quality() {
			t.Fatalf("seed %d: %v after the restore, want %v", seed, next.d.Ledger(), whole.d.Ledger())
		}
	}
}

func TestDeepRestoresWhileResampling(t *testing.T) {
	payloads := tone64(t, 1500)
	src := newSource(sender{ppm: 200, length: 960, ntp: 0, delay: uniform(10 * time.Millisecond)}, payloads)
	var a, b []int64
	d := playout.NewDeep(playout.DeepConfig{Placed: func(p playout.Placed) { a = append(a, p.Pos) }})
	var restored *playout.Deep
	var frames, again []pcm.Frame
	both := []*playout.Deep{d}
	for n := range int64(1400) {
		if n == 1000 {
			a = nil
			var err error
			restored, err = playout.RestoreDeep(playout.DeepConfig{Placed: func(p playout.Placed) { b = append(b, p.Pos) }}, d.Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, restored)
		}
		src.feed(time.Duration(n+1)*frameTime+5*time.Second, both...)
		var f, g pcm.Frame
		if err := d.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		if restored != nil {
			if err := restored.ReadFrame(&g); err != nil {
				t.Fatal(err)
			}
			frames, again = append(frames, f), append(again, g)
		}
	}
	if len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("%d positions, %d after the restore, or others", len(a), len(b))
	}
	// The cold decoder has caught up after a fraction of a second.
	for i := 25; i < len(frames); i++ {
		for k := range frames[i] {
			if d := frames[i][k][0] - again[i][k][0]; d > 1e-3 || d < -1e-3 {
				t.Fatalf("frame %d, sample %d: %v and %v", i, k, frames[i][k], again[i][k])
			}
		}
	}
}

func TestRestoreDeepRefusesNonsense(t *testing.T) {
	r := record(stream(tone64(t, 300), 0, 1, 1)).read(t, 100)
	good := r.d.Snapshot()
	if _, err := playout.RestoreDeep(playout.DeepConfig{}, nil); err == nil {
		t.Error("nothing was restored")
	}
	for i := 0; i < len(good); i += 13 {
		if _, err := playout.RestoreDeep(playout.DeepConfig{}, good[:i]); err == nil {
			t.Fatalf("%d of %d bytes were restored", i, len(good))
		}
	}
	if _, err := playout.RestoreDeep(playout.DeepConfig{}, append([]byte{77}, good[1:]...)); err == nil {
		t.Error("another version was restored")
	}
}

func FuzzDeepPush(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 0xf8, 0xff, 0xfe, 9, 9}, uint8(3))
	f.Add([]byte("a row of bytes that says nothing at all, but long enough for packets"), uint8(11))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		r := recordRed(nil)
		live := playout.NewLive(playout.LiveConfig{Red: redType})
		at := time.Duration(0)
		for len(data) > 8 {
			n := min(int(size%40)+1, len(data)-8)
			at += time.Duration(data[0]) * 2 * time.Millisecond
			p := playout.Packet{
				At: at, SSRC: uint32(data[1] % 3), Seq: uint16(data[2])<<(data[3]%9) | uint16(data[4]),
				Timestamp: uint32(data[5])<<(data[6]%25) + uint32(at/time.Millisecond)*48, Payload: data[8 : 8+n],
			}
			if data[7]%4 == 0 {
				p.PT = redType
			}
			data = data[8+n:]
			r.d.Push(&p)
			live.Push(&p)
			r.d.Report(playout.Report{At: at, SSRC: p.SSRC, RTP: p.Timestamp, NTP: uint64(data0(data)) << 32})
			if p.Seq%7 == 0 {
				r.d.Cause(at-time.Duration(p.Seq)*time.Millisecond, playout.Class(p.Seq%20))
			}
			for range int(p.Timestamp % 5) {
				var frame pcm.Frame
				if err := live.ReadFrame(&frame); err != nil {
					t.Fatal(err)
				}
			}
			r.read(t, int64(max(at-time.Second, 0)/frameTime))
		}
		snapshot := r.d.Snapshot()
		d, err := playout.RestoreDeep(playout.DeepConfig{Red: redType}, snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.Snapshot(), snapshot) {
			t.Fatal("another snapshot after the restore")
		}
		r.read(t, r.d.Frame()+20)
	})
}

func data0(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func TestReadersKeepTheContract(t *testing.T) {
	packets := stream(tone64(t, 500), 0, 1, 1)
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprintf("deep, ended %v", ended), func(t *testing.T) {
			pcmtest.TestReader(t, func() pcm.Reader {
				d := playout.NewDeep(playout.DeepConfig{})
				for i := range packets {
					d.Push(&packets[i])
				}
				if ended {
					d.End(5 * time.Second)
				}
				return d
			})
		})
		t.Run(fmt.Sprintf("live, ended %v", ended), func(t *testing.T) {
			pcmtest.TestReader(t, func() pcm.Reader {
				l := playout.NewLive(playout.LiveConfig{})
				for i := range packets[:300] {
					l.Push(&packets[i])
				}
				if ended {
					l.End()
				}
				return l
			})
		})
	}
}
