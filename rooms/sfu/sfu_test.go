package sfu_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
)

func TestPacketsLeaveAsTheyCame(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		p.talk(200) // over the wrap of sequence number and time stamp
		time.Sleep(time.Second)
		if got := l.heard("one"); !slices.Equal(got, p.all) {
			t.Errorf("%d packets, lost %d of %d", len(got), missing(t, p.all, got), len(p.all))
		}
		p.close()
		l.close()
	})
}

func TestLatePlayerHearsFromNowOn(t *testing.T) {
	virtual(t, func(w *world) {
		p := w.publish()
		p.talk(100)
		l := w.play(false)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		p.all = nil
		p.talk(100)
		time.Sleep(time.Second)
		if got := l.heard("one"); !slices.Equal(got, p.all) {
			t.Errorf("%d packets, want %d", len(got), len(p.all))
		}
		p.close()
		l.close()
	})
}

func TestBacklogBeginsWithPacketOne(t *testing.T) {
	for _, age := range []int{0, 10, 240, 260} {
		t.Run(fmt.Sprint(age), func(t *testing.T) {
			virtual(t, func(w *world) {
				p := w.publish()
				p.talk(age)
				l := w.play(true)
				l.player.Play("one", p.up)
				// Packets go on while the connection is made and the backlog is sent.
				talking := make(chan struct{})
				go func() { p.talk(100); close(talking) }()
				l.answer()
				l.played("one true <nil>")
				<-talking
				time.Sleep(time.Second)
				got := l.heard("one")
				if age < 250 {
					if !slices.Equal(got, p.all) {
						t.Errorf("%d packets, want all %d in order", len(got), len(p.all))
					}
				} else if len(got) > 100 || !slices.Equal(got, p.all[len(p.all)-len(got):]) {
					t.Errorf("%d packets of a stream that is old", len(got))
				}
				p.close()
				l.close()
			})
		})
	}
}

func TestHundredStreamsAreOneOffer(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		for i := range 100 {
			l.player.Play(fmt.Sprint("stream", i), p.up)
		}
		l.answer()
		l.played("stream99 true <nil>")
		p.talk(20)
		time.Sleep(time.Second)
		if offers, streams := l.last(); len(offers) != 1 || len(streams) != 100 {
			t.Fatalf("%d offers, the last with %d streams", len(offers), len(streams))
		}
		for i := range 100 {
			if got := l.heard(fmt.Sprint("stream", i)); !slices.Equal(got, p.all) {
				t.Errorf("stream%d: %d packets of %d", i, len(got), len(p.all))
			}
		}
		p.close()
		l.close()
	})
}

func TestChangesWaitForTheAnswer(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("one", p.up)
		time.Sleep(time.Second)
		l.player.Play("two", p.up)
		l.player.Play("three", p.up)
		l.player.Stop("three")
		time.Sleep(time.Minute)
		if offers, _ := l.last(); len(offers) != 1 {
			t.Fatalf("%d offers before the first answer", len(offers))
		}
		l.answer()
		l.answer()
		l.played("two true <nil>")
		time.Sleep(time.Second)
		offers, streams := l.last()
		if want := map[string]string{"0": "one", "1": "two"}; len(offers) != 2 || !maps.Equal(streams, want) {
			t.Fatalf("%d offers, the last with %v", len(offers), streams)
		}
		p.close()
		l.close()
	})
}

// A publisher that comes back has another SSRC and other numbers; its players
// hear it under the same mid and SSRC, as one stream, without an offer.
func TestAnotherSourceGoesOnUnderTheSameSSRC(t *testing.T) {
	virtual(t, func(w *world) {
		first, second, l := w.publish(), w.publish(), w.play(false)
		second.seq, second.ts = 30000, 77777 // behind the first one: SRTP alone would refuse them
		l.player.Play("one", first.up)
		l.answer()
		l.played("one true <nil>")
		first.talk(50)
		l.player.Play("one", second.up)
		time.Sleep(500 * time.Millisecond)
		second.next() // also before the first report
		check(t, second.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: second.ssrc(), NTPTime: 1, RTPTime: 77777}}))
		second.talk(50)
		time.Sleep(time.Second)
		got := l.heard("one")
		if offers, _ := l.last(); len(got) != 101 || len(offers) != 1 {
			t.Fatalf("%d packets in %d offers", len(got), len(offers))
		}
		if !slices.Equal(got[:50], first.all) {
			t.Error("the first source's packets were touched")
		}
		for i, s := range got[50:] {
			want := second.all[i]
			if s.seq != first.seq+uint16(i) || s.payload != want.payload || s.level != want.level {
				t.Fatalf("packet %d is %+v, want %+v with sequence number %d", i, s, want, first.seq+uint16(i))
			}
			if d := s.ts - got[50].ts; d != uint32(i*960) {
				t.Fatalf("packet %d: %d samples after the first", i, d)
			}
		}
		if gap := got[50].ts - got[49].ts; gap < 48*500 || gap > 48*560 {
			t.Errorf("the gap of 520 ms became %d samples", gap)
		}
		if !l.reported("0", 1, got[50].ts) {
			t.Error("the report was not shifted with the packets")
		}
		first.close()
		second.close()
		l.close()
	})
}

func TestSenderReportsKeepThePublishersClock(t *testing.T) {
	virtual(t, func(w *world) {
		p := w.publish()
		p.talk(10)
		original := &rtcp.SenderReport{SSRC: p.ssrc(), NTPTime: 0x0102030405060708, RTPTime: 4711}
		check(t, p.pc.WriteRTCP([]rtcp.Packet{original}))
		time.Sleep(100 * time.Millisecond)

		// A player that comes later gets the latest report at once.
		l := w.play(true)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		time.Sleep(100 * time.Millisecond)
		if !l.reported("0", original.NTPTime, original.RTPTime) {
			t.Fatal("the latest report did not come")
		}
		original.NTPTime, original.RTPTime = 0x1112131415161718, 9999
		before := time.Now()
		check(t, p.pc.WriteRTCP([]rtcp.Packet{original}))
		time.Sleep(20 * time.Millisecond)
		if !l.reported("0", original.NTPTime, original.RTPTime) {
			t.Errorf("a report did not come within %s", time.Since(before))
		}
		p.close()
		l.close()
	})
}

func TestLevelFollowsTheExtension(t *testing.T) {
	virtual(t, func(w *world) {
		p := w.publish()
		if got := p.up.Level(); got != -127 {
			t.Errorf("before the first packet: %d", got)
		}
		say := func(level int) {
			for range 50 {
				p.send(sent{seq: p.seq, ts: p.ts, level: level, payload: "x"})
				p.seq, p.ts = p.seq+1, p.ts+960
				time.Sleep(20 * time.Millisecond)
			}
		}
		for _, level := range []int{0, 20, 60, 127, 0x80 | 33} {
			say(level)
			if got := p.up.Level(); got != -(level & 0x7f) {
				t.Errorf("level %d: %d", level, got)
			}
		}
		time.Sleep(time.Second)
		if got := p.up.Level(); got != -127 {
			t.Errorf("after a second of nothing: %d", got)
		}
		p.close()
	})
}

func TestEventsTellTheEnd(t *testing.T) {
	virtual(t, func(w *world) {
		hangup, closing, silent := w.publish(), w.publish(), w.publish()
		hangup.close()
		if err := <-hangup.closed; !errors.Is(err, sfu.ErrHangup) {
			t.Errorf("after the publisher's close: %v", err)
		}
		check(t, closing.up.Close())
		if err := <-closing.closed; err != nil {
			t.Errorf("after Close: %v", err)
		}
		check(t, closing.up.Close())
		silent.talk(5)
		w.faults.blackout(true)
		start := time.Now()
		if err := <-silent.closed; !errors.Is(err, sfu.ErrTimeout) {
			t.Errorf("after a cut: %v", err)
		}
		if d := time.Since(start); d < 30*time.Second || d > 40*time.Second {
			t.Errorf("a cut link was given up after %s", d)
		}
		closing.close()
		silent.close()
	})
}

// An offer whose sender never connects does not stay for ever.
func TestSilentPublisherIsGivenUp(t *testing.T) {
	virtual(t, func(w *world) {
		engine, _ := w.client(true)
		p := &publisher{t: w.T, engine: engine}
		var err error
		p.track, err = webrtc.NewTrackLocalStaticRTP(peer.Opus().RTPCodecCapability, "a", "s")
		check(t, err)
		closed := make(chan error, 2)
		_, _, err = w.server.Publish(w.Context(), localOffer(t, p.again()), sfu.UpstreamEvents{Closed: func(err error) { closed <- err }})
		check(t, err)
		start := time.Now()
		if err := <-closed; !errors.Is(err, sfu.ErrTimeout) {
			t.Errorf("closed with %v", err)
		}
		if d := time.Since(start); d > time.Minute {
			t.Errorf("given up after %s", d)
		}

		// A player that answers and never connects.
		l := w.play(false)
		l.player.Play("one", new(sfu.Upstream))
		offer := <-l.pending
		check(t, l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}))
		answer, err := l.pc.CreateAnswer(nil)
		check(t, err)
		w.faults.blackout(true)
		check(t, l.player.Answer(local(t, l.pc, answer)))
		time.Sleep(40 * time.Second)
		l.played("one false " + sfu.ErrTimeout.Error())
		l.close()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		p.talk(5)
		check(t, w.server.Close())
		if err := <-p.closed; err != nil {
			t.Errorf("closed with %v", err)
		}
		if _, _, err := w.server.Publish(w.Context(), localOffer(t, p.again()), sfu.UpstreamEvents{}); !errors.Is(err, sfu.ErrClosed) {
			t.Errorf("publish after Close: %v", err)
		}
		if _, err := w.server.NewPlayer(sfu.PlayerConfig{}); !errors.Is(err, sfu.ErrClosed) {
			t.Errorf("player after Close: %v", err)
		}
		// The socket is still ours.
		if _, err := w.conn.WriteTo([]byte("x"), w.conn.LocalAddr()); err != nil {
			t.Errorf("the socket was closed: %v", err)
		}
		p.close()
		l.close()
	})
}

func TestWhep(t *testing.T) {
	virtual(t, func(w *world) {
		p := w.publish()
		engine, _ := w.client(false)
		pc, err := engine.NewPeerConnection()
		check(t, err)
		l := &listener{t: t, pc: pc, engine: engine, got: map[string][]sent{}, ssrcs: map[string][]uint32{}, reports: map[uint32][]rtcp.SenderReport{}}
		pc.OnTrack(l.track)
		_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		check(t, err)
		closed := make(chan error, 2)
		answer, session, err := w.server.Whep(w.Context(), localOffer(t, pc), p.up, func(err error) { closed <- err })
		check(t, err)
		check(t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
		waitState(t, pc, webrtc.PeerConnectionStateConnected)
		time.Sleep(time.Second)
		p.talk(50)
		time.Sleep(time.Second)
		if got := l.packets("0"); !slices.Equal(got, p.all) {
			t.Errorf("heard %d of %d", len(got), len(p.all))
		}
		check(t, session.Close())
		if err := <-closed; err != nil {
			t.Errorf("closed with %v", err)
		}
		p.close()
		l.close()
	})
}
