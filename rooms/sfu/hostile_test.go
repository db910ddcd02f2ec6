package sfu_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
)

func TestBadOffersAreRefused(t *testing.T) {
	virtual(t, func(w *world) {
		engine, _ := w.client(false)
		offer := func(kind webrtc.RTPCodecType, direction webrtc.RTPTransceiverDirection) string {
			pc, err := engine.NewPeerConnection()
			check(t, err)
			defer func() { check(t, pc.GracefulClose()) }()
			_, err = pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: direction})
			check(t, err)
			return localOffer(t, pc)
		}
		sendrecv := offer(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverDirectionSendrecv)
		recvonly := strings.ReplaceAll(sendrecv, "a=sendrecv", "a=recvonly")
		p := w.publish()
		for name, sdp := range map[string]string{
			"empty":       "",
			"no SDP":      "hello",
			"no media":    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
			"no opus":     strings.ReplaceAll(sendrecv, "opus/48000/2", "PCMU/8000"),
			"mono opus":   strings.ReplaceAll(sendrecv, "opus/48000/2", "opus/16000"),
			"inactive":    strings.ReplaceAll(sendrecv, "a=sendrecv", "a=inactive"),
			"video":       strings.ReplaceAll(sendrecv, "m=audio", "m=video"),
			"no ufrag":    strings.ReplaceAll(sendrecv, "a=ice-ufrag", "a=x-ufrag"),
			"fingerprint": strings.ReplaceAll(sendrecv, "a=fingerprint", "a=x-fingerprint"),
			"no mid":      strings.ReplaceAll(sendrecv, "a=mid", "a=x-mid"),
			"long":        sendrecv + strings.Repeat("a=x:0123456789\r\n", 1<<15),
			"port 0":      strings.ReplaceAll(sendrecv, "m=audio 9", "m=audio 0"),
		} {
			if _, _, err := w.server.Publish(w.Context(), sdp, sfu.UpstreamEvents{}); !errors.Is(err, sfu.ErrBadSDP) {
				t.Errorf("publish, %s: %v", name, err)
			}
			if _, _, err := w.server.Whep(w.Context(), sdp, p.up, nil); !errors.Is(err, sfu.ErrBadSDP) {
				t.Errorf("WHEP, %s: %v", name, err)
			}
		}
		if _, _, err := w.server.Publish(w.Context(), recvonly, sfu.UpstreamEvents{}); !errors.Is(err, sfu.ErrBadSDP) {
			t.Errorf("publish with recvonly: %v", err)
		}
		gone := errors.New("gone")
		over, cancel := context.WithCancelCause(w.Context())
		cancel(gone)
		if _, _, err := w.server.Publish(over, sendrecv, sfu.UpstreamEvents{}); !errors.Is(err, gone) || errors.Is(err, sfu.ErrBadSDP) {
			t.Errorf("publish with an ended context: %v", err)
		}
		p.close()
	})
}

func TestBadAnswersAreRefused(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		if err := l.player.Answer("v=0"); !errors.Is(err, sfu.ErrBadSDP) {
			t.Errorf("an answer that nobody waits for: %v", err)
		}
		l.player.Play("one", p.up)
		time.Sleep(time.Second)
		for _, sdp := range []string{"", "hello", strings.Repeat("x", 1<<20), "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"} {
			if err := l.player.Answer(sdp); !errors.Is(err, sfu.ErrBadSDP) {
				t.Errorf("%.10q: %v", sdp, err)
			}
		}
		// A good one is still welcome.
		l.answer()
		l.played("one true <nil>")
		p.close()
		l.close()
	})
}

// A client that offers no NACK for audio, as browsers do, gets none in the
// answer and is heard all the same.
func TestOfferWithoutNack(t *testing.T) {
	virtual(t, func(w *world) {
		engine, _ := w.client(false)
		pc, err := engine.NewPeerConnection()
		check(t, err)
		track, err := webrtc.NewTrackLocalStaticRTP(peer.Opus().RTPCodecCapability, "a", "s")
		check(t, err)
		_, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		check(t, err)
		offer := localOffer(t, pc)
		if !strings.Contains(offer, "a=rtcp-fb:111 nack") {
			t.Fatalf("our own offer has no NACK:\n%s", offer)
		}
		plain := regexp.MustCompile(`a=rtcp-fb:\d+ nack ?\r\n`).ReplaceAllString(offer, "")
		stereo := strings.ReplaceAll(plain, "useinbandfec=1", "useinbandfec=1;sprop-stereo=1")
		answer, first, err := w.server.Publish(w.Context(), stereo, sfu.UpstreamEvents{})
		check(t, err)
		check(t, first.Close())
		if strings.Contains(answer, "nack") {
			t.Errorf("the answer adds feedback that was not offered:\n%s", answer)
		}
		if !strings.Contains(answer, ";stereo=1") {
			t.Errorf("a sender that announces stereo may not send it:\n%s", answer)
		}
		answer, up, err := w.server.Publish(w.Context(), strings.ReplaceAll(offer, "useinbandfec=1", "stereo=1;useinbandfec=1;usedtx=1"), sfu.UpstreamEvents{})
		check(t, err)
		for _, want := range []string{"a=rtcp-fb:111 nack", "stereo=1", "a=ice-lite", "a=candidate:", "a=recvonly", peer.LevelURI, peer.MidURI, peer.SendTimeURI} {
			if !strings.Contains(answer, want) {
				t.Errorf("no %s in the answer:\n%s", want, answer)
			}
		}
		check(t, up.Close())
		check(t, pc.GracefulClose())
	})
}

// Broken and empty packets end nothing.
func TestOddPackets(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		p.talk(10)
		empty := sent{seq: p.seq, ts: p.ts, level: -1} // no payload, no level
		p.all = append(p.all, empty)
		p.send(empty)
		p.seq, p.ts = p.seq+1, p.ts+960
		p.talk(10)
		// RTCP that makes no sense: NACKs for everything, for nobody, reports on others.
		var pairs []rtcp.NackPair
		for i := range 200 {
			pairs = append(pairs, rtcp.NackPair{PacketID: uint16(i * 17), LostPackets: 0xffff})
		}
		for _, ssrc := range []uint32{0, 1, l.ssrc("0")} {
			check(t, l.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: pairs}}))
			check(t, p.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc}, &rtcp.ReceiverReport{SSRC: ssrc}}))
		}
		p.talk(10)
		time.Sleep(time.Second)
		if lost := missing(t, p.all, l.heard("one")); lost != 0 {
			t.Errorf("%d of %d packets are missing", lost, len(p.all))
		}
		p.close()
		l.close()
	})
}

func FuzzPublish(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\na=setup:actpass\r\na=ice-ufrag:aaaa\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\n")
	f.Add("")
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(f, err)
	server, err := sfu.New(sfu.Config{Conn: conn})
	check(f, err)
	f.Cleanup(func() {
		check(f, server.Close())
		check(f, conn.Close())
	})
	f.Fuzz(func(t *testing.T, offer string) {
		answer, up, err := server.Publish(context.Background(), offer, sfu.UpstreamEvents{})
		switch {
		case err == nil:
			if !strings.HasPrefix(answer, "v=0") {
				t.Error("an answer that is none")
			}
			check(t, up.Close())
		case !errors.Is(err, sfu.ErrBadSDP):
			t.Error(fmt.Errorf("an outsider's SDP is not our fault: %w", err))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\na=setup:active\r\na=ice-ufrag:aaaa\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\n")
	f.Add("v=0\r\n")
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(f, err)
	server, err := sfu.New(sfu.Config{Conn: conn})
	check(f, err)
	f.Cleanup(func() {
		check(f, server.Close())
		check(f, conn.Close())
	})
	f.Fuzz(func(t *testing.T, answer string) {
		offered := make(chan struct{}, 1)
		player, err := server.NewPlayer(sfu.PlayerConfig{Offer: func(string, map[string]string) { offered <- struct{}{} }})
		check(t, err)
		player.Play("one", new(sfu.Upstream))
		<-offered
		if err := player.Answer(answer); err != nil && !errors.Is(err, sfu.ErrBadSDP) {
			t.Error(err)
		}
		check(t, player.Close())
	})
}
