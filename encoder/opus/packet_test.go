package opus_test

import (
	"bytes"
	"errors"
	"testing"

	libopus "gopkg.in/hraban/opus.v2"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

func TestSilence(t *testing.T) {
	loud := encode(t, opus.EncoderConfig{Channels: 2, Bitrate: 96000}, frames(20, voice))
	for _, channels := range []int{1, 2} {
		for _, samples := range []int{120, 240, 480, 960} {
			p := opus.Silence(samples, channels)
			if n, err := opus.Duration(p); n != samples || err != nil || opus.Channels(p) != channels || opus.HasFEC(p) {
				t.Errorf("silence of %d samples: %d samples of %d channels, %v", samples, n, opus.Channels(p), err)
			}
			d := decoder(t, 2)
			buf := make([]float32, 2*opus.MaxSamples)
			for _, q := range loud {
				if _, err := d.Decode(q, buf); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 20 {
				n, err := d.Decode(p, buf)
				if n != samples || err != nil {
					t.Fatalf("%d samples, %v", n, err)
				}
				// The first one carries the overlap of what was before.
				if e := energy(buf[:2*n], nil); i > 2 && e > 1e-9 {
					t.Errorf("silence of %d samples, packet %d: energy %g", samples, i, e)
				}
			}
		}
	}
	if opus.Silence(100, 1) != nil || opus.Silence(960, 3) != nil {
		t.Error("silence of an impossible kind")
	}
}

func TestPacketHeads(t *testing.T) {
	frame := bytes.Repeat([]byte{0x55}, 40)
	join := func(head ...byte) []byte { return append(head, frame...) }
	for _, c := range []struct {
		packet            []byte
		samples, channels int
	}{
		{join(0 << 3), 480, 1},
		{join(1<<3 | 4), 960, 2},
		{join(2 << 3), 1920, 1},
		{join(3 << 3), 2880, 1},
		{join(11 << 3), 2880, 1},
		{join(12 << 3), 480, 1},
		{join(15 << 3), 960, 1},
		{join(16 << 3), 120, 1},
		{join(31 << 3), 960, 1},
		{join(3<<3 | 1), 5760, 1},    // two of 60 ms
		{join(31<<3|2, 10), 1920, 1}, // 10 and 30 bytes
		{join(31<<3|3, 4), 3840, 1},  // four of 10 bytes
		{join(16<<3|3, 40), 4800, 1}, // forty of one byte
		{join(31<<3|3, 0x82, 40), 1920, 1},
		{join(31<<3|3, 0x41, 10), 960, 1}, // 10 bytes of padding
		{[]byte{31<<3 | 4}, 960, 2},       // no audio
		{nil, -1, 0},
		{join(3<<3 | 1)[:40], -1, 1},     // odd halves
		{[]byte{31<<3 | 2}, -1, 1},       // no length
		{join(31<<3|2, 41), -1, 1},       // length beyond the end
		{[]byte{31<<3 | 2, 252}, -1, 1},  // half a length
		{[]byte{31<<3 | 3}, -1, 1},       // no count
		{join(31<<3|3, 0), -1, 1},        // no frame
		{join(31<<3|3, 7), -1, 1},        // 140 ms
		{join(31<<3|3, 3), -1, 1},        // 40 bytes in three
		{join(31<<3|3, 0x41, 41), -1, 1}, // padding beyond the end
		{join(31<<3|3, 0x82, 41), -1, 1},
		{append([]byte{31 << 3}, make([]byte, 1276)...), -1, 1},
	} {
		n, err := opus.Duration(c.packet)
		if c.samples < 0 {
			if !errors.Is(err, opus.ErrPacket) {
				t.Errorf("% x: %d, %v", c.packet, n, err)
			}
		} else if n != c.samples || err != nil {
			t.Errorf("% x: %d samples instead of %d, %v", c.packet, n, c.samples, err)
		}
		if got := opus.Channels(c.packet); got != c.channels {
			t.Errorf("% x: %d channels", c.packet, got)
		}
	}
}

// FuzzPacket holds the checks of packets against libopus itself.
func FuzzPacket(f *testing.F) {
	for _, p := range encode(f, opus.EncoderConfig{Channels: 1, Voice: true, FEC: true, LossPercent: 20, Bitrate: 24000}, frames(5, voice)) {
		f.Add(p)
	}
	f.Add([]byte{31<<3 | 3, 0xc2, 1, 1, 7, 8, 9})
	f.Add([]byte{0xf8, 0xff, 0xfe})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		n, err := opus.Duration(p)
		opus.HasFEC(p)
		d := decoder(t, 2)
		buf := make([]float32, 2*opus.MaxSamples)
		got, derr := d.Decode(p, buf)
		if (err == nil) != (derr == nil) || got != n {
			t.Fatalf("% x: duration %d, %v; decoded %d, %v", p, n, err, got, derr)
		}
		lib, lerr := libopus.NewDecoder(pcm.Rate, 2)
		if lerr != nil {
			t.Fatal(lerr)
		}
		if want, err := lib.DecodeFloat32(p, buf); (err == nil) != (derr == nil) || want != n {
			t.Fatalf("% x: libopus says %d, %v; we say %d, %v", p, want, err, n, derr)
		}
		if err := d.DecodeFEC(p, buf[:2*960]); (err == nil) != (derr == nil) {
			t.Fatalf("% x: FEC %v", p, err)
		}
	})
}

// TestHasFECTellsWhatTheDecoderFinds compares the flag with what libopus makes
// of the packet: without a copy it conceals.
func TestHasFECTellsWhatTheDecoderFinds(t *testing.T) {
	seen := [2]int{}
	for _, channels := range []int{1, 2} {
		ps := encode(t, opus.EncoderConfig{Channels: channels, Voice: true, FEC: true, LossPercent: 10, Bitrate: 20000 * channels}, frames(100, voice))
		a, b := make([]float32, 2*opus.MaxSamples), make([]float32, 2*opus.MaxSamples)
		for lost := 1; lost < 99; lost += 3 {
			fec, plc := decoder(t, 2), decoder(t, 2)
			for _, p := range ps[max(0, lost-5):lost] {
				if _, err := fec.Decode(p, a); err != nil {
					t.Fatal(err)
				}
				if _, err := plc.Decode(p, b); err != nil {
					t.Fatal(err)
				}
			}
			if err := fec.DecodeFEC(ps[lost+1], a[:2*960]); err != nil {
				t.Fatal(err)
			}
			if err := plc.Conceal(b[:2*960]); err != nil {
				t.Fatal(err)
			}
			has, differs := opus.HasFEC(ps[lost+1]), energy(a[:2*960], b[:2*960]) > 0
			// Where the mode changes libopus conceals in the new one.
			if has != differs && ps[lost+1][0] == ps[lost-1][0] {
				t.Errorf("%d channels: packet %d: HasFEC %v, the decoder finds a copy: %v", channels, lost+1, has, differs)
			}
			if has {
				seen[1]++
			} else {
				seen[0]++
			}
		}
	}
	if seen[0] < 3 || seen[1] < 20 {
		t.Errorf("only %d packets without and %d with FEC", seen[0], seen[1])
	}
}
