package encoder_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/encoder/ogg"
)

// clicks is silence with a short burst at each multiple of 100 ms, to find the
// time again after decoding.
func clicks(n int64) (float64, float64) {
	at := n % 4800
	if at >= 96 {
		return 0, 0
	}
	v := 0.5 * math.Sin(math.Pi*float64(at)/96) * math.Sin(2*math.Pi*2000*float64(at)/48000)
	return v, v
}

// burst finds the first loud sample at or after from.
func burst(x [][2]float32, from int) int {
	for i := max(from, 0); i < len(x); i++ {
		if math.Abs(float64(x[i][0])) > 0.1 {
			return i
		}
	}
	return -1
}

func TestOriginalsKeepTheTime(t *testing.T) {
	for _, channels := range []int{1, 2} {
		for _, every := range []int64{0, 48000, 31234} {
			t.Run(fmt.Sprintf("%d/%d", channels, every), func(t *testing.T) {
				ps := received(t, clicks, channels, 500, 12345)
				var kept []packet
				for i, p := range ps {
					// Losses of one packet, of many, and a shift of some samples.
					if i%50 == 20 || i > 200 && i < 230 {
						continue
					}
					if i >= 300 {
						p.pos += 77
					}
					kept = append(kept, p)
				}
				var store encodertest.Store
				o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Every: every, Index: 5, Resume: -1})
				writeAll(t, o, kept)
				end := ps[499].pos + 960 + 12000 + 7
				if err := o.Advance(end - 3000); err != nil {
					t.Fatal(err)
				}
				if err := o.Close(end); err != nil {
					t.Fatal(err)
				}
				if o.End() != end {
					t.Errorf("ends at %d instead of %d", o.End(), end)
				}
				x := read(t, &store, ".ogg")
				segs := store.Segments()
				if segs[0].Start != 12345 || segs[0].Index != 5 || int64(len(x)) != end-12345 {
					t.Fatalf("first segment %+v, %d samples", segs[0], len(x))
				}
				if every > 0 {
					checkGrid(t, segs, every)
				}
				checkBursts(t, x)
			})
		}
	}
}

// checkGrid checks that every cut is the first possible at or after a multiple.
func checkGrid(t *testing.T, segs []encoder.Segment, every int64) {
	t.Helper()
	for i, s := range segs[1:] {
		late := (s.Start - segs[0].Start) - int64(i+1)*every
		if late < 0 || late >= 960 {
			t.Errorf("cut %d is %d samples after its multiple", i+1, late)
		}
	}
}

// checkBursts looks for the bursts of the packets that TestOriginalsKeepTheTime
// kept.
func checkBursts(t *testing.T, x [][2]float32) {
	t.Helper()
	found, reference := 0, -1
	for k := 1; k < 99; k++ {
		at := k * 4800
		frame := (at + 312) / 960
		if frame%50 == 20 || (frame-1)%50 == 20 || frame > 198 && frame < 234 || frame > 297 && frame < 303 {
			continue
		}
		if frame >= 300 {
			at += 77
		}
		late := burst(x, at+100) - at
		if reference < 0 {
			reference = late // the encoder's lookahead and the burst's slope
		}
		if late < reference-60 || late > reference+60 {
			t.Errorf("burst %d lies %d samples off its place", k, late-reference)
		}
		found++
	}
	if found < 80 || reference < 312 || reference > 345 {
		t.Errorf("%d bursts checked, late by %d", found, reference)
	}
}

// TestPositionsNeverAddUpErrors writes packets with a drifting clock.
func TestPositionsNeverAddUpErrors(t *testing.T) {
	one := received(t, tones, 1, 1, 0)[0].data
	var store encodertest.Store
	o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1})
	for i := range 20000 {
		pos := int64(1000 + float64(i)*960*1.0003)
		if err := o.Write(pos, 960, one); err != nil {
			t.Fatal(err)
		}
		if off := o.End() - 960 - pos; off < -60 || off > 60 {
			t.Fatalf("packet %d lies %d samples off", i, off)
		}
	}
	if o.Dropped() != 0 {
		t.Errorf("%d packets dropped", o.Dropped())
	}

	// A publisher whose clock runs fast squeezes its packets together: now and
	// then one must go.
	o = encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1, Index: 2})
	for i := range 20000 {
		pos := int64(1000 + float64(i)*960*0.9997)
		dropped := o.Dropped()
		if err := o.Write(pos, 960, one); err != nil {
			t.Fatal(err)
		}
		if off := o.End() - 960 - pos; o.Dropped() == dropped && (off < -60 || off > 240) {
			t.Fatalf("packet %d lies %d samples off", i, off)
		}
	}
	if d := o.Dropped(); d < 5 || d > 30 {
		t.Errorf("%d packets of 20000 dropped", d)
	}
}

func TestSilenceAndDTXFillHoles(t *testing.T) {
	ps := received(t, tones, 2, 50, 0)
	var store encodertest.Store
	o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1})
	writeAll(t, o, ps)
	dtx := []byte{ps[0].data[0] &^ 3}
	for i := int64(0); i < 10; i++ { // DTX sends a packet each 400 ms
		if err := o.Write(48000+i*19200, 960, dtx); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Write(48000+10*19200, 960, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.Write(48000+10*19200+960, 960, []byte{3}); err != nil || o.Dropped() != 1 {
		t.Fatalf("malformed packet: %v, %d dropped", err, o.Dropped())
	}
	if err := o.Close(48000 + 11*19200); err != nil {
		t.Fatal(err)
	}
	x := read(t, &store, ".ogg")
	if len(x) != 48000+11*19200 {
		t.Fatalf("%d samples", len(x))
	}
	for i, v := range x[48000+960:] {
		if math.Abs(float64(v[0]))+math.Abs(float64(v[1])) > 1e-6 {
			t.Fatalf("%v at sample %d of the silence", v, i)
		}
	}
}

func TestMixedChannelsAndDurations(t *testing.T) {
	mono, stereo := received(t, tones, 1, 100, 0), received(t, tones, 2, 100, 0)
	var ps []packet
	for i := range 100 {
		p := mono[i]
		if i/10%2 == 1 {
			p = stereo[i]
		}
		ps = append(ps, p)
	}
	// Three frames of 20 ms in one packet (code 3, VBR), as with ptime 60.
	long := []byte{stereo[90].data[0]&^3 | 3, 0x83}
	for _, p := range stereo[90:92] {
		n := len(p.data) - 1
		if n >= 252 {
			long = append(long, byte(252+n&3), byte((n-252-n&3)/4))
		} else {
			long = append(long, byte(n))
		}
	}
	for _, p := range stereo[90:93] {
		long = append(long, p.data[1:]...)
	}
	ps = append(ps[:90], packet{90 * 960, 3 * 960, long}, ps[93])
	var store encodertest.Store
	o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1, Every: 48000})
	writeAll(t, o, ps)
	if o.Dropped() != 0 || o.End() != 94*960 {
		t.Fatalf("%d dropped, end at %d", o.Dropped(), o.End())
	}
	if err := o.Close(94 * 960); err != nil {
		t.Fatal(err)
	}
	if x := read(t, &store, ".ogg"); len(x) != 94*960 {
		t.Errorf("%d samples", len(x))
	}
	tools(t, &store, ".ogg")
}

// A stream that was mono, or silent, and becomes stereo is heard as stereo at
// once: another segment begins there, and once.
func TestMonoBecomesStereo(t *testing.T) {
	left := func(n int64) (float64, float64) { return 0.4 * math.Sin(2*math.Pi*440*float64(n)/48000), 0 }
	mono, stereo := received(t, left, 1, 200, 0), received(t, left, 2, 200, 0)
	for name, test := range map[string]struct {
		packets  []packet
		resume   int64
		channels []int // of the segments
	}{
		"mono, pause, stereo":     {slices.Concat(mono[:50], stereo[100:]), -1, []int{1, 2, 2}},
		"back to mono":            {slices.Concat(mono[:50], stereo[50:100], mono[100:180], stereo[180:]), -1, []int{1, 2, 2}},
		"stereo from the cut on":  {slices.Concat(mono[:150], stereo[150:]), -1, []int{1, 2}},
		"stereo before the cut":   {slices.Concat(mono[:149], stereo[149:]), -1, []int{1, 2, 2}},
		"silence after a restart": {stereo[50:], 0, []int{1, 2, 2}},
		"stereo before a restart": {stereo[:], 30 * 960, []int{2, 2}},
		"stereo":                  {stereo, -1, []int{2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var store encodertest.Store
			o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: test.resume, Every: 3 * 48000})
			if test.resume == 0 {
				if err := o.Advance(40 * 960); err != nil {
					t.Fatal(err)
				}
			}
			writeAll(t, o, test.packets)
			if err := o.Close(200 * 960); err != nil {
				t.Fatal(err)
			}
			all := read(t, &store, ".ogg")
			if want := 200*960 - max(test.resume, 0); int64(len(all)) != want {
				t.Errorf("%d samples, not %d", len(all), want)
			}
			var channels []int
			for _, s := range store.Segments() {
				r := ogg.NewReader(bytes.NewReader(store.Bytes(s.Index)))
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
				channels = append(channels, r.Head().Channels)
			}
			if !slices.Equal(channels, test.channels) {
				t.Errorf("segments of %v channels, not %v", channels, test.channels)
			}
			last := all[len(all)-10*960:]
			var l, r float64
			for _, s := range last {
				l, r = l+float64(s[0]*s[0]), r+float64(s[1]*s[1])
			}
			if l < float64(len(last))*0.4*0.4/2*0.9 || r > l/1000 {
				t.Errorf("the left has %.4f, the right %.4f", l, r)
			}
		})
	}
}
