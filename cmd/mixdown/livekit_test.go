package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/livekit/livekittest"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// withLiveKit configures a LiveKit server by the name main.
func withLiveKit(url string) func(*configs.Config) {
	return func(c *configs.Config) {
		c.LiveKit = map[string]configs.LiveKit{"main": {URL: url, APIKey: livekittest.Key, APISecret: livekittest.Secret}}
	}
}

// guest is a person in a LiveKit room who sounds a tone.
type guest struct {
	*livekittest.Person
	hz   float64
	done sync.WaitGroup

	mu     sync.Mutex
	zero   time.Time // of frame 0, by the packet that was sent least late
	frames []int64   // of the tone that were sent
}

// span is when something was, as far as that is known.
type span struct{ from, to time.Time }

// tone is when the tone began and ended: between the outermost frames that were
// sent and those that have neighbours, for on a busy machine a guest falters, and
// what it sends alone may be heard or not.
func (g *guest) tone() (began, ended span) {
	g.mu.Lock()
	defer g.mu.Unlock()
	const neighbours = 5
	steady := func(i int) bool { return g.frames[i+neighbours]-g.frames[i] == neighbours }
	first, last := 0, len(g.frames)-1-neighbours
	for first < last && !steady(first) {
		first++
	}
	for last > first && !steady(last) {
		last--
	}
	at := func(frame int64) time.Time { return g.zero.Add(time.Duration(frame) * pcm.FrameTime) }
	return span{at(g.frames[0]), at(g.frames[first])}, span{at(g.frames[last+neighbours] + 1), at(g.frames[len(g.frames)-1] + 1)}
}

// sent notes that frame n is sent now, of the tone or not.
func (g *guest) sent(n int64, tone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if zero := time.Now().Add(-time.Duration(n) * pcm.FrameTime); g.zero.IsZero() || zero.Before(g.zero) {
		g.zero = zero
	}
	if tone {
		g.frames = append(g.frames, n)
	}
}

// invite brings a guest, silent at first, into a room.
func invite(t *testing.T, server *livekittest.Server, room, identity string, hz float64) *guest {
	t.Helper()
	g := &guest{Person: server.Join(t, room, identity, nil), hz: hz}
	g.Payload = func(int64) []byte { return livekittest.Silence }
	return g
}

// sound lets the guest be silent for a second, sound the tone and be silent
// again, in the background.
func (g *guest) sound(t *testing.T, sound time.Duration) {
	const silence = time.Second
	packets := burst(t, g.hz, silence, sound, silence+sound+time.Second)
	first := int64(-1) // the frame that is sent first: the clock has gone on since the last one
	g.Payload = func(n int64) []byte {
		if first < 0 {
			first = n
		}
		i := min(n-first, int64(len(packets))-1)
		at := time.Duration(i) * pcm.FrameTime
		g.sent(n, at >= silence && at < silence+sound)
		return packets[i].payload
	}
	g.speak(silence + sound + time.Second)
}

// speak lets the guest speak for d, in the background.
func (g *guest) speak(d time.Duration) { g.done.Go(func() { g.Say(d) }) }

// identities are who users of a LiveKit room see there.
func identities(t *testing.T, server *livekittest.Server, room string) (seen []string) {
	t.Helper()
	list, err := server.Rooms().ListParticipants(t.Context(), &lk.ListParticipantsRequest{Room: room})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Participants {
		if !p.GetPermission().GetHidden() {
			seen = append(seen, p.Identity)
		}
	}
	slices.Sort(seen)
	return seen
}

// toneAt checks that an output has a guest's tone where it sounded.
func (h *here) toneAt(name string, samples [][2]float32, zero time.Time, g *guest) {
	h.t.Helper()
	const tolerance = 20 * time.Millisecond
	from, to, ok := sounds(samples, g.hz)
	if !ok {
		h.t.Errorf("%s: no tone of %.0f Hz", name, g.hz)
		return
	}
	began, ended := g.tone()
	for _, c := range []struct {
		what string
		got  time.Time
		want span
	}{{"begins", zero.Add(from), began}, {"ends", zero.Add(to), ended}} {
		early, late := c.want.from.Sub(c.got), c.got.Sub(c.want.to)
		h.t.Logf("%s: the tone of %.0f Hz %s %v after a span of %v", name, g.hz, c.what, late.Round(time.Millisecond), c.want.to.Sub(c.want.from))
		if max(early, late) > tolerance {
			h.t.Errorf("%s: the tone of %.0f Hz %s %v too early or %v too late", name, g.hz, c.what, early, late)
		}
	}
}

// intact verifies a recording with the program.
func (h *here) intact(dir string) {
	h.t.Helper()
	keys := filepath.Join(h.config.Data, "keys", "signing.pub")
	if code, out, errs := command(h.t, "verify", dir, "--public-key", keys); code != exitOK {
		h.t.Errorf("verify %s: exit %d\n%s%s", dir, code, out, errs)
	}
}

// TestLiveKit: a room of a real LiveKit server is captured, mixed, published
// back and recorded, voices at their time; its users do not see the recorder.
func TestLiveKit(t *testing.T) {
	t.Parallel()
	server := livekittest.Start(t)
	h := startHere(t, withLiveKit(server.URL))
	const room = "town-hall"
	ann := invite(t, server, room, "ann", 1000)
	spec := capture.Spec{
		Room:      capture.RoomSpec{System: "livekit", URL: server.URL, RoomID: room},
		Record:    []capture.RecordSpec{{What: "mix", SegmentSeconds: 5}, {What: "streams", SegmentSeconds: 5}},
		Republish: []capture.RepublishSpec{{StreamID: "hall-mix"}},
	}
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/hall", spec)
	eventually(t, "the recorder hears ann, and its mix is published", 20*time.Second, func() bool {
		ann.Say(joinertest.FrameTime)
		st := call[capture.Status](t, h.client, http.MethodGet, "/v1/captures/hall", nil)
		return st.State == capture.Recording && len(st.Live.Republished) == 1 && st.Live.Republished[0].Published
	})
	bob := invite(t, server, room, "bob", 1600) // joins late
	ann.sound(t, 4*time.Second)
	bob.sound(t, 3*time.Second)
	heard := server.Hear(t, room, "cat", "hall-mix")
	eventually(t, "cat hears the mix", 10*time.Second, func() bool { return heard() > 20 })
	if seen, want := identities(t, server, room), []string{"ann", "bob", "cat", "recorder-hall-mix"}; !slices.Equal(seen, want) {
		t.Errorf("users see %v, want %v", seen, want)
	}
	ann.done.Wait()
	bob.done.Wait()
	st := call[capture.Status](t, h.client, http.MethodPost, "/v1/captures/hall/stop", nil)
	dir := filepath.Join(h.config.Data, "recordings", room, "hall")
	m, tracks, zero := h.readRecording("hall", dir)
	for _, g := range []*guest{ann, bob} {
		h.toneAt("mix", tracks["mix-ogg"], zero["mix-ogg"], g)
		own := "streams-ogg/" + g.Identity + "/" + g.SID
		h.toneAt(own, tracks[own], zero[own], g)
	}
	t.Logf("ledger of ann: %v", m.Ledger["ann/"+ann.SID])
	if len(m.Streams) != 2 || !slices.ContainsFunc(m.Users, func(u storage.User) bool { return u.UserID == "bob" && u.UserName == "The bob" }) {
		t.Errorf("the manifest has streams %+v and users %+v", m.Streams, m.Users)
	}
	if st.State != capture.Complete {
		t.Errorf("the capture is %s: %s", st.State, st.Reason)
	}
	h.intact(dir)
	if said := h.log.String(); strings.Contains(said, livekittest.Secret) || strings.Contains(said, "eyJ") {
		t.Error("the log shows a secret or a token")
	}
}
