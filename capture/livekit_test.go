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
func TestLiveKitLinkCut(t *testing.T) { // alone: it looks at a clock
	const before, cut = 6 * time.Second, 10 * time.Second
	back, off := unraced(10*time.Second, 30*time.Second), unraced(300*time.Millisecond, time.Second).Milliseconds()
	server := livekittest.Start(t)
	link := server.NewLink(t)
	h := overLink(t, link)
	v := newVoice(t, "", 1000)
	ann, speak := sounding(t, server, "ann", v)
	seen := server.Watch(t, "r", "bob")
	c := h.start("c1", func(s *capture.Spec) {
		s.Room.System = "livekit"
	})
	hears(t, c, ann)
	from := speak()
	go func() {
		time.Sleep(time.Until(from.Add(before)))
		link.Cut(true)
		time.Sleep(time.Until(from.Add(before + cut)))
		link.Cut(false)
	}()
	ann.Say(before + cut - time.Second)
	held := received(c, ann)
	for over := from.Add(before + cut + back); received(c, ann) <= held && time.Now().Before(over); {
		ann.Say(joinertest.FrameTime)
	}
	ann.Say(4 * time.Second)
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
		got := spells(heard(frames, start, 1000))
		if len(got) != 2 || max(got[0][0]-ms(from), ms(from)-got[0][0]) > off ||
			max(got[0][1]-ms(from.Add(before)), ms(from.Add(before))-got[0][1]) > off ||
			got[1][0] < ms(from.Add(before+cut)) || got[1][0] > ms(from.Add(before+cut+back)) ||
			max(got[1][1]-ms(to), ms(to)-got[1][1]) > off {
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

// overLink is a house whose captures are of LiveKit rooms over a link.
func overLink(t *testing.T, link *livekittest.Link) *house {
	t.Helper()
	engine, err := peer.New(peer.Config{Net: link.Net(t), SenderReports: true, AskAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	system := livekit.New(livekit.Config{Log: slog.New(slog.DiscardHandler), Engine: engine, Credentials: func(string) (livekit.Credentials, bool) {
		return livekit.Credentials{Key: livekittest.Key, Secret: livekittest.Secret}, true
	}})
	return open(t, t.TempDir(), nil, func(c *capture.Config) {
		c.Systems = map[string]joiner.System{"livekit": system}
		c.URL = func(capture.RoomSpec) (string, error) { return link.URL, nil }
	})
}

// sounding is a person in room r who is silent until speak is called, and
// speaks with a voice from then on.
func sounding(t *testing.T, server *livekittest.Server, name string, v *voice) (p *livekittest.Person, speak func() time.Time) {
	t.Helper()
	p = server.Join(t, "r", name, nil)
	spoken := false
	p.Payload = func(n int64) []byte {
		if !spoken {
			return livekittest.Silence
		}
		return v.packets[n%int64(len(v.packets))]
	}
	return p, func() time.Time {
		spoken = true
		return time.Now()
	}
}

// hears waits until a capture hears a person, who sends silence meanwhile.
func hears(t *testing.T, c *capture.Capture, p *livekittest.Person) {
	t.Helper()
	for over := time.Now().Add(30 * time.Second); ; p.Say(joinertest.FrameTime) {
		for _, s := range c.Status().Streams {
			if s.StreamID == p.SID && s.Quality["packets"] > 0 {
				return
			}
		}
		if time.Now().After(over) {
			t.Fatalf("%s is not heard: %+v", p.Identity, c.Status())
		}
	}
}

// received is how many packets of a person a capture has had.
func received(c *capture.Capture, p *livekittest.Person) float64 {
	for _, s := range c.Status().Streams {
		if s.StreamID == p.SID {
			return s.Quality["packets"]
		}
	}
	return 0
}

// spells are stretches without the short holes that a sender leaves who has no
// processor for a moment: real people and servers run beside the test.
func spells(stretches [][2]int64) (all [][2]int64) {
	for _, s := range stretches {
		if n := len(all); n > 0 && s[0]-all[n-1][1] < 500 {
			all[n-1][1] = s[1]
		} else {
			all = append(all, s)
		}
	}
	return all
}

// TestLiveKitNodeKilled: the node of a cluster that carries the room dies in the
// middle of a capture. It is one recording over both nodes: who spoke before,
// and who comes to the other node, are in it at their times, and it says when
// the recorder was away.
func TestLiveKitNodeKilled(t *testing.T) { // alone, too
	redis := livekittest.StartRedis(t)
	first := livekittest.Start(t, livekittest.Redis(redis))
	link := first.NewLink(t)
	h := overLink(t, link)
	ann, speak := sounding(t, first, "ann", newVoice(t, "", 1000))
	c := h.start("c1", func(s *capture.Spec) { s.Room.System = "livekit" })
	hears(t, c, ann)
	second := livekittest.Start(t, livekittest.Redis(redis))
	annFrom := speak()
	ann.Say(3 * time.Second)
	annTo := time.Now()
	first.Kill()
	link.Point(second)
	for over := time.Now().Add(60 * time.Second); c.Status().State == capture.Recording; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(over) {
			t.Fatal("the loss is not noticed")
		}
	}
	bob, speak := sounding(t, second, "bob", newVoice(t, "", 1600))
	hears(t, c, bob)
	bobFrom := speak()
	bob.Say(3 * time.Second)
	bobTo := time.Now()
	if err := c.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	m := h.recording("c1")
	ms := func(at time.Time) int64 { return at.Sub(m.Start.Time).Milliseconds() }
	frames, start := h.listen(m, "mix-wav")
	near(t, "ann", spells(heard(frames, start, 1000)), [][2]int64{{ms(annFrom), ms(annTo)}}, 300)
	near(t, "bob", spells(heard(frames, start, 1600)), [][2]int64{{ms(bobFrom), ms(bobTo)}}, 300)
	if down, up := h.events(m, "recorder.disconnected"), h.events(m, "recorder.connected"); down == 0 || up != down+1 && up != down {
		t.Errorf("the recording says %d times that the recorder left, %d times that it came", down, up)
	}
	if len(m.Streams) != 2 {
		t.Errorf("streams: %+v", m.Streams)
	}
	t.Logf("ledger %v", m.Ledger)
}
