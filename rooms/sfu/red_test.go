package sfu

import (
	"bytes"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

// wire keeps what a player is sent.
type wire struct {
	types    []uint8
	payloads [][]byte
}

func (w *wire) Write(b []byte) (int, error) { return len(b), nil }

func (w *wire) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	w.types = append(w.types, h.PayloadType)
	w.payloads = append(w.payloads, bytes.Clone(payload))
	return len(payload), nil
}

func playerOf(w *wire, types formats) *forward {
	f := &forward{id: "test", writeRTCP: func([]rtcp.Packet) error { return nil }, types: types}
	f.writer, f.header = w, rtp.Header{Version: 2, SSRC: 7}
	return f
}

// redundantPacket is packet n with one copy, as of a publisher whose Opus is
// 109 and whose redundant audio is 120.
func redundantPacket(n int) []byte {
	payload := []byte{0x80 | 109, 3840 >> 8, 3840 & 0xff, 3, 109, 'o', 'l', 'd', 'n', 'e', 'w'}
	h := rtp.Header{Version: 2, PayloadType: 120, SSRC: 1, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func TestRedundantAudioGoesToThoseWhoTakeIt(t *testing.T) {
	with, without, resent := &wire{}, &wire{}, &packet{}
	u := &Upstream{}
	u.attach(playerOf(with, formats{opus: 111, red: 63}), false)
	u.attach(playerOf(without, formats{opus: 96}), false)
	var in rtp.Packet
	p, ok := parse(&in, redundantPacket(7), 0, formats{opus: 109, red: 120})
	if !ok {
		t.Fatal("not parsed")
	}
	u.push(&p)
	want := []byte{0x80 | 111, 3840 >> 8, 3840 & 0xff, 3, 111, 'o', 'l', 'd', 'n', 'e', 'w'}
	if len(with.types) != 1 || with.types[0] != 63 || !bytes.Equal(with.payloads[0], want) {
		t.Errorf("who takes it got %v % x", with.types, with.payloads)
	}
	if len(without.types) != 1 || without.types[0] != 96 || string(without.payloads[0]) != "new" {
		t.Errorf("who does not got %v %q", without.types, without.payloads)
	}
	if !u.find(7, resent) || !resent.red || !bytes.Equal(resent.payload, want) {
		t.Errorf("kept for retransmission: %+v", resent)
	}
}

func TestWhatIsNegotiated(t *testing.T) {
	codec := func(mime string, rate uint32, pt int) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rate}, PayloadType: webrtc.PayloadType(pt)}
	}
	got := formatsOf([]webrtc.RTPCodecParameters{codec(peer.RedType, 8000, 9), codec(peer.RedType, 48000, 63), codec(webrtc.MimeTypeOpus, 48000, 111), codec(webrtc.MimeTypePCMU, 8000, 0)})
	if got != (formats{opus: 111, red: 63}) {
		t.Errorf("%+v", got)
	}
}

func TestBrokenRedundancy(t *testing.T) {
	for _, payload := range [][]byte{
		nil, {0x80}, {0x80 | 111, 0, 0, 1}, {0x80 | 111, 0, 0, 1, 111}, {111 | 0x80, 0, 3, 0xff, 111, 1, 2}, {110, 'x'}, {0x80 | 111, 0, 0, 0, 0x80 | 111, 0, 0},
	} {
		rename(payload, 110) // must not reach beyond
		if payload := bytes.Clone(payload); len(payload) > 0 && payload[0] != 111 && primary(payload) != nil {
			t.Errorf("% x has a primary block", payload)
		}
	}
	if p := primary([]byte{111, 'x'}); string(p) != "x" {
		t.Errorf("without copies: %q", p)
	}
}

// FuzzRedundancy: whatever comes as redundant audio, a player without gets a
// part of it or nothing, and a player with it all.
func FuzzRedundancy(f *testing.F) {
	f.Add(redundantPacket(1)[12:])
	f.Add([]byte{111})
	f.Add([]byte{0x80, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		rename(payload, 109)
		if len(payload) != len(before) {
			t.Error("the length has changed")
		}
		for i := range payload {
			if payload[i] != before[i] && (before[i]&0x7f != 109 || payload[i] != before[i]&0x80|111) {
				t.Errorf("byte %d: %#x became %#x", i, before[i], payload[i])
			}
		}
		if p := primary(payload); p != nil && !bytes.HasSuffix(payload, p) {
			t.Errorf("% x is not the end of % x", p, payload)
		}
	})
}
