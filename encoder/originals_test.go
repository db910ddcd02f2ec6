package encoder_test

import (
	"errors"
	"math"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// packet is one received packet with its true place.
type packet struct {
	pos     int64
	samples int
	data    []byte
}

// received encodes frames of src and places them at start.
func received(t testing.TB, src source, channels, frames int, start int64) []packet {
	t.Helper()
	return sent(t, src, opus.EncoderConfig{Channels: channels, Bitrate: 64000}, frames, start)
}

func sent(t testing.TB, src source, c opus.EncoderConfig, frames int, start int64) []packet {
	t.Helper()
	enc, err := opus.NewEncoder(c)
	if err != nil {
		t.Fatal(err)
	}
	ps := make([]packet, frames)
	var buf [1500]byte
	for i := range ps {
		n, err := enc.Encode(src.frame(int64(i)*960), buf[:])
		if err != nil {
			t.Fatal(err)
		}
		ps[i] = packet{start + int64(i)*960, 960, append([]byte(nil), buf[:n]...)}
	}
	return ps
}

func writeAll(t *testing.T, o *encoder.Originals, ps []packet) {
	t.Helper()
	for _, p := range ps {
		if err := o.Write(p.pos, p.samples, p.data); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOriginalsAreUntouchedPackets(t *testing.T) {
	ps := received(t, music, 1, 400, 480)
	var cut, uncut encodertest.Store
	for every, store := range map[int64]*encodertest.Store{0: &uncut, 48000: &cut} {
		o := encoder.NewOriginals(store, encoder.OriginalsConfig{Every: every, Resume: -1})
		writeAll(t, o, ps)
		if err := o.Close(480 + 400*960); err != nil {
			t.Fatal(err)
		}
	}
	got, want := read(t, &cut, ".ogg"), read(t, &uncut, ".ogg")
	if len(cut.Segments()) != 8 || len(got) != len(want) || len(got) != 400*960 {
		t.Fatalf("%d segments, %d and %d samples", len(cut.Segments()), len(got), len(want))
	}
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, opus.MaxSamples)
	for i, p := range ps {
		if _, err := dec.Decode(p.data, buf); err != nil {
			t.Fatal(err)
		}
		for k := range 960 {
			if want[i*960+k][0] != buf[k] {
				t.Fatalf("sample %d of packet %d differs from the received packet", k, i)
			}
			if d := math.Abs(float64(got[i*960+k][0] - buf[k])); d > 1./32768 {
				t.Fatalf("sample %d of packet %d differs by %g across segments", k, i, d)
			}
		}
	}
}

// speech is a buzz of 130 Hz in syllables, which the encoder takes for a voice.
func speech(n int64) (float64, float64) {
	v := 0.0
	for h := int64(1); h <= 12; h++ {
		v += sine(130*h, 0.06*math.Exp(-math.Pow(float64(h-5)/4, 2)), n)
	}
	v *= 1 + sine(3, 1, n)
	return v, v
}

// TestSpeechRunsThroughCuts cuts what callers send: SILK and hybrid packets.
func TestSpeechRunsThroughCuts(t *testing.T) {
	for _, c := range []opus.EncoderConfig{
		{Channels: 1, Voice: true, Bitrate: 16000, Complexity: 9},
		{Channels: 1, Voice: true, Bitrate: 32000, Complexity: 9, FEC: true, LossPercent: 20},
		{Channels: 2, Voice: true, Bitrate: 40000, Complexity: 9},
	} {
		ps := sent(t, speech, c, 400, 0)
		var cut, uncut encodertest.Store
		for every, store := range map[int64]*encodertest.Store{0: &uncut, 43210: &cut} {
			o := encoder.NewOriginals(store, encoder.OriginalsConfig{Every: every, Resume: -1})
			writeAll(t, o, ps)
			if err := o.Close(400 * 960); err != nil {
				t.Fatal(err)
			}
		}
		got, want := read(t, &cut, ".ogg"), read(t, &uncut, ".ogg")
		if len(got) != len(want) || len(cut.Segments()) < 8 {
			t.Fatalf("%d and %d samples, %d segments", len(got), len(want), len(cut.Segments()))
		}
		worst := 0.0
		for i := range want {
			worst = math.Max(worst, math.Abs(float64(want[i][0]-got[i][0])))
		}
		db := 20 * math.Log10(worst)
		t.Logf("%+v (TOC %#x): largest difference %.1f dBFS", c, ps[200].data[0], db)
		// The buzz never pauses, the worst for the pitch predictor.
		if db > -38 {
			t.Errorf("%+v: cut and uncut differ by %.1f dBFS", c, db)
		}
	}
}

func TestAdvanceCutsSilentSegments(t *testing.T) {
	ps := received(t, tones, 1, 10, 0)
	var store encodertest.Store
	o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Every: 48000, Resume: -1})
	if err := o.Advance(96000); err != nil || o.End() != 0 {
		t.Fatalf("advance before the first packet: %v, end %d", err, o.End())
	}
	writeAll(t, o, ps)
	for i := range int64(200) {
		pos := 9600 + i*960 + 13
		if err := o.Advance(pos); err != nil {
			t.Fatal(err)
		}
		if want := pos / 48000; int64(len(store.Segments())) != want {
			t.Fatalf("%d segments at sample %d", len(store.Segments()), pos)
		}
	}
	if err := o.Close(9600 + 199*960 + 13); err != nil {
		t.Fatal(err)
	}
	if x := read(t, &store, ".ogg"); len(x) != 9600+199*960+13 {
		t.Errorf("%d samples", len(x))
	}
}

func TestCloseTrimsThePacket(t *testing.T) {
	for _, end := range []int64{9600, 9599, 9000, 8641, 8640} {
		ps := received(t, tones, 1, 10, 0)
		var store encodertest.Store
		o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1})
		writeAll(t, o, ps)
		if err := o.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(end); err != nil {
			t.Fatal(err)
		}
		if x := read(t, &store, ".ogg"); int64(len(x)) != end || o.End() != end {
			t.Errorf("%d samples instead of %d, end at %d", len(x), end, o.End())
		}
		if end <= 8641 {
			tools(t, &store, ".ogg")
		}
	}
	var store encodertest.Store
	o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1})
	writeAll(t, o, received(t, tones, 1, 1, 960))
	if err := o.Close(960); err != nil || store.Bytes(1) != nil {
		t.Errorf("a file for no samples, %v", err)
	}
	o = encoder.NewOriginals(&store, encoder.OriginalsConfig{Resume: -1})
	if err := o.Close(4800); err != nil || store.Bytes(1) != nil {
		t.Errorf("a file for no packet, %v", err)
	}
}

// TestResumeGoesOn stops an output at a segment's end, as a crash does, and
// renders the rest from packets that begin before.
func TestResumeGoesOn(t *testing.T) {
	ps := received(t, music, 1, 400, 700)
	ps = append(ps[:80], ps[81:]...) // a hole in the pre-roll
	var whole, rest encodertest.Store
	c := encoder.OriginalsConfig{Every: 96000, Resume: -1}
	o := encoder.NewOriginals(&whole, c)
	writeAll(t, o, ps)
	if err := o.Close(700 + 400*960); err != nil {
		t.Fatal(err)
	}
	sealed := whole.Segments()[0]
	o = encoder.NewOriginals(&rest, encoder.OriginalsConfig{Every: 96000, Index: 2, Resume: sealed.Start + sealed.Samples})
	if err := o.Advance(30000); err != nil {
		t.Fatal(err)
	}
	if o.End() != 96700 {
		t.Fatalf("reaches %d before the first packet", o.End())
	}
	writeAll(t, o, ps[40:])
	if err := o.Close(700 + 400*960); err != nil {
		t.Fatal(err)
	}
	if len(rest.Segments()) != 3 {
		t.Fatalf("segments %v", rest.Segments())
	}
	for _, s := range rest.Segments() {
		if string(rest.Bytes(s.Index)) != string(whole.Bytes(s.Index)) {
			t.Errorf("segment %d differs from the one of a run without a crash", s.Index)
		}
	}

	// Without anything from before, or without any packet, the time is filled.
	rest = encodertest.Store{}
	o = encoder.NewOriginals(&rest, encoder.OriginalsConfig{Index: 2, Resume: 5000})
	writeAll(t, o, []packet{{9000, 960, ps[0].data}})
	if err := o.Close(20001); err != nil {
		t.Fatal(err)
	}
	if s := rest.Segments(); len(s) != 1 || s[0] != (encoder.Segment{Index: 2, Start: 5000, Samples: 15001}) {
		t.Errorf("segments %v", s)
	}
	read(t, &rest, ".ogg")
	rest = encodertest.Store{}
	o = encoder.NewOriginals(&rest, encoder.OriginalsConfig{Index: 2, Resume: 5000})
	if err := o.Close(6000); err != nil {
		t.Fatal(err)
	}
	if x := read(t, &rest, ".ogg"); len(x) != 1000 {
		t.Errorf("%d samples of silence", len(x))
	}
}

func TestOriginalsErrorsNeverMoveTime(t *testing.T) {
	broken := errors.New("disk on fire")
	ps := received(t, tones, 1, 300, 0)
	for _, where := range []string{"create", "write", "commit"} {
		t.Run(where, func(t *testing.T) {
			var store faults
			o := encoder.NewOriginals(&store, encoder.OriginalsConfig{Every: 48000, Resume: -1})
			failed := 0
			for i, p := range ps {
				var now error
				if i >= 95 && i < 120 {
					now = broken
				}
				switch where {
				case "create":
					store.create = now
				case "write":
					store.write = now
				case "commit":
					store.commit = now
				}
				if i > 105 && i < 110 {
					continue
				}
				err := o.Write(p.pos, p.samples, p.data)
				if i%10 == 9 && err == nil {
					err = o.Flush()
				}
				if err != nil {
					failed++
					if now == nil || !errors.Is(err, broken) {
						t.Fatalf("packet %d: %v", i, err)
					}
				}
				if o.End() != p.pos+960 {
					t.Fatalf("packet %d ends at %d instead of %d", i, o.End(), p.pos+960)
				}
			}
			store.write = nil
			if err := o.Close(300 * 960); err != nil || failed == 0 {
				t.Fatalf("%v, %d errors", err, failed)
			}
			next := int64(0)
			for _, seg := range store.Segments() {
				x, err := encodertest.Decode(".ogg", store.Bytes(seg.Index))
				if err != nil || int64(len(x)) != seg.Samples || seg.Start < next {
					t.Fatalf("%+v: %d samples, %v", seg, len(x), err)
				}
				next = seg.Start + seg.Samples
			}
			if next != 300*960 {
				t.Errorf("the last segment ends at %d", next)
			}
		})
	}
}

func TestOriginalsAllocateNothing(t *testing.T) {
	data := received(t, tones, 1, 1, 0)[0].data
	o := encoder.NewOriginals(discard{}, encoder.OriginalsConfig{Resume: -1})
	pos, n := int64(0), 0
	step := func() {
		if err := o.Write(pos, 960, data); err != nil {
			t.Fatal(err)
		}
		pos += 960
		switch n++; {
		case n%50 == 0:
			if err := o.Flush(); err != nil {
				t.Fatal(err)
			}
		case n%17 == 0:
			pos += 4000
			if err := o.Advance(pos - 1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2000 {
		step()
	}
	if a := testing.AllocsPerRun(1000, step); a != 0 {
		t.Errorf("%v allocations a packet", a)
	}
}

func BenchmarkOriginals(b *testing.B) {
	ps := received(b, music, 1, 50, 0)
	o := encoder.NewOriginals(discard{}, encoder.OriginalsConfig{Resume: -1, Every: 60 * pcm.Rate})
	b.ReportAllocs()
	base := int64(0)
	for b.Loop() { // one stream-second
		for _, p := range ps {
			if err := o.Write(base+p.pos, p.samples, p.data); err != nil {
				b.Fatal(err)
			}
		}
		base += pcm.Rate
		if err := o.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}
