package capture_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/livekit"
	"mixdown/joiner/livekit/livekittest"
	"mixdown/rooms/peer"
)

// TestLiveKitLinkCut: the link of the recorder alone to a real LiveKit server,
// signalling and media, is cut for ten seconds. It is one recording; the hole is
// the recorder's by the ledger, who spoke all along is in it once and at their
// time, and nobody in the room saw the recorder come or go.
func TestLiveKitLinkCut(t *testing.T) {
	t.Parallel()
	const before, cut, after = 6 * time.Second, 10 * time.Second, 14 * time.Second
	server := livekittest.Start(t)
	link := server.NewLink(t)
	engine, err := peer.New(peer.Config{Net: link.Net(t), SenderReports: true, AskAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	system := livekit.New(livekit.Config{Log: slog.New(slog.DiscardHandler), Engine: engine, Credentials: func(string) (livekit.Credentials, bool) {
		return livekit.Credentials{Key: livekittest.Key, Secret: livekittest.Secret}, true
	}})
	h := open(t, t.TempDir(), nil, func(c *capture.Config) {
		c.Systems = map[string]joiner.System{"livekit": system}
		c.URL = func(capture.RoomSpec) (string, error) { return link.URL, nil }
	})
	v := newVoice(t, "", 1000)
	ann := server.Join(t, "r", "ann", nil)
	spoken := false
	ann.Payload = func(n int64) []byte {
		if !spoken {
			return livekittest.Silence
		}
		return v.packets[n%int64(len(v.packets))]
	}
	seen := server.Watch(t, "r", "bob")
	c := h.start("c1", func(s *capture.Spec) {
		s.Room.System = "livekit"
	})
	for over := time.Now().Add(20 * time.Second); len(c.Status().Streams) == 0 || c.Status().Streams[0].Quality["packets"] == 0; {
		if time.Now().After(over) {
			t.Fatalf("ann is not heard: %+v", c.Status())
		}
		ann.Say(joinertest.FrameTime)
	}
	spoken = true
	from := time.Now()
	go func() {
		time.Sleep(time.Until(from.Add(before)))
		link.Cut(true)
		time.Sleep(time.Until(from.Add(before + cut)))
		link.Cut(false)
	}()
	ann.Say(before + cut + after)
	to := time.Now()
	if st := c.Status(); st.State != capture.Recording {
		t.Errorf("after the cut the capture is %s: %s", st.State, st.Trouble)
	}
	if err := c.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	m := h.recording("c1")
	if len(m.Streams) != 1 || len(m.Streams[0].Joins) != 1 {
		t.Fatalf("streams: %+v", m.Streams)
	}
	key := m.Streams[0].Key()
	ms := func(at time.Time) int64 { return at.Sub(m.Start.Time).Milliseconds() }
	for _, output := range []string{"mix-wav", "streams-ogg/" + key} {
		frames, start := h.listen(m, output)
		got := heard(frames, start, 1000)
		if len(got) != 2 || max(got[0][0]-ms(from), ms(from)-got[0][0]) > 60 ||
			max(got[0][1]-ms(from.Add(before)), ms(from.Add(before))-got[0][1]) > 120 ||
			got[1][0] < ms(from.Add(before+cut)) || got[1][0] > ms(from.Add(before+cut+10*time.Second)) ||
			max(got[1][1]-ms(to), ms(to)-got[1][1]) > 60 {
			t.Errorf("%s is heard at %v; ann spoke from %d to %d ms, the link was cut from %d to %d", output, got,
				ms(from), ms(to), ms(from.Add(before)), ms(from.Add(before+cut)))
		}
	}
	ledger := m.Ledger[key]
	t.Logf("ledger %v, quality %v", ledger, m.Quality[key])
	if hole := ledger["recorderDown"]; hole < cut.Milliseconds()-500 || m.Quality[key]["duplicates"] != 0 {
		t.Errorf("ledger %v, quality %v", ledger, m.Quality[key])
	}
	if others := seen(); len(others) != 0 {
		t.Errorf("bob saw %q", others)
	}
}
