package whep_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/whep"
	"mixdown/joiner/whep/mediamtxtest"
	"mixdown/netguard"
	"mixdown/rooms/peer"
	"mixdown/rooms/udp"
)

// real is a System on this machine's network.
func real(t *testing.T, allow ...string) *whep.System {
	t.Helper()
	sockets, err := udp.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := peer.New(peer.Config{Sockets: sockets, SenderReports: true})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := netguard.New(allow)
	if err != nil {
		t.Fatal(err)
	}
	transport := guard.Transport()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = engine.Close()
		_ = sockets.Close()
	})
	return whep.New(whep.Config{Engine: engine, Guard: guard, Transport: transport})
}

// push publishes a voice that speaks until stop is called.
func push(t *testing.T, s *whep.System, to joiner.Endpoint) (pub *joiner.Publication, stop func()) {
	t.Helper()
	pub = joiner.NewPublication(to.StreamID, 1)
	ctx, cancel := context.WithCancel(t.Context())
	pushed, spoke := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(pushed)
		s.Push(ctx, to, pub)
	}()
	go func() {
		defer close(spoke)
		for v := joinertest.NewVoice(pub); ctx.Err() == nil; {
			v.Say(20 * time.Millisecond)
		}
	}()
	stop = func() {
		cancel()
		<-pushed
		<-spoke
	}
	t.Cleanup(stop)
	return pub, stop
}

// TestMediaMTX: what is pushed to a real media server is played from it, every
// packet at its time; a stream that is not there yet is waited for, and a server
// that is killed and comes back is found again by both sides.
func TestMediaMTX(t *testing.T) {
	t.Parallel()
	server := mediamtxtest.New(t)
	system := real(t, "127.0.0.1")
	login := joiner.Login{RoomID: "stage", UserID: "recorder", Streams: []joiner.Endpoint{
		{StreamID: "camera", URL: server.WHEP("stage/camera"), Token: server.Reader},
		{StreamID: "never", URL: server.WHEP("stage/never"), Token: server.Reader},
	}}
	r := joinertest.Join(t, system, login, joinertest.NewEar(), nil)
	r.Connected(t, 10*time.Second)
	if r.Told("stream camera") {
		t.Error("a stream is told that is not there")
	}
	pub, stop := push(t, system, joiner.Endpoint{StreamID: "camera", URL: server.WHIP("stage/camera"), Token: server.Publisher})
	h := func() *joinertest.Heard { return r.Of("camera") }
	joinertest.Within(t, 20*time.Second, "two seconds are heard", func() bool { return len(h().Numbers()) > 100 })
	packets, reports := h().Received()
	first := packets[0]
	for i, p := range packets {
		if p.Sequence-first.Sequence != uint16(i) || p.Timestamp-first.Timestamp != uint32((p.Number-first.Number)*joinertest.FrameSamples) {
			t.Fatalf("packet %d is number %d (the first is %d): sequence +%d, time +%d", i, p.Number, first.Number, p.Sequence-first.Sequence, p.Timestamp-first.Timestamp)
		}
	}
	t.Logf("%d packets, %d sender reports", len(packets), len(reports))
	r.Take()
	server.Kill()
	joinertest.Within(t, 20*time.Second, "the loss is noticed", func() bool { return r.Told("CONNECTING") })
	joinertest.Within(t, 20*time.Second, "the loss is noticed by the publisher", func() bool { return !pub.Stats().Published })
	before := pub.Stats().Dropped
	server.Start()
	joinertest.Within(t, 30*time.Second, "the publisher is back", func() bool { return pub.Stats().Published })
	if pub.Stats().Dropped == before {
		t.Error("nothing was dropped meanwhile")
	}
	at := h().Numbers()
	joinertest.Within(t, 30*time.Second, "it is heard again", func() bool { return len(h().Numbers()) > len(at)+50 })
	if numbers := h().Numbers(); !slices.IsSorted(numbers) {
		t.Errorf("heard %v", numbers)
	}
	packets, _ = h().Received()
	last := packets[len(packets)-1]
	if skew := last.Timestamp - first.Timestamp - uint32(last.Number-first.Number)*joinertest.FrameSamples; skew != 0 {
		t.Logf("the server moved the RTP time by %d over its restart", int32(skew))
	}
	r.Take()
	stop()
	joinertest.Within(t, 20*time.Second, "the end is told", func() bool { return r.Told("- camera") })
	if n := h().Stray(); n > 0 {
		t.Errorf("%d packets after the end", n)
	}
}

// TestMediaMTXRefuses: what a server has against a publisher is told, without
// the token, and tried again.
func TestMediaMTXRefuses(t *testing.T) {
	t.Parallel()
	server := mediamtxtest.New(t)
	const wrong = "publisher:wrong-token-canary"
	pub, _ := push(t, real(t, "127.0.0.1"), joiner.Endpoint{StreamID: "camera", URL: server.WHIP("camera"), Token: wrong})
	joinertest.Within(t, 20*time.Second, "the refusal shows", func() bool { return pub.Stats().Err != nil })
	if text := pub.Stats().Err.Error(); !strings.Contains(text, "authentication failed") || strings.Contains(text, "canary") {
		t.Errorf("told %q", text)
	}
	other, _ := push(t, real(t), joiner.Endpoint{StreamID: "camera", URL: server.WHIP("camera"), Token: server.Publisher})
	joinertest.Within(t, 20*time.Second, "the guard's refusal shows", func() bool { return other.Stats().Err != nil })
	if !errors.Is(other.Stats().Err, netguard.ErrForbidden) {
		t.Errorf("told %q", other.Stats().Err)
	}
}
