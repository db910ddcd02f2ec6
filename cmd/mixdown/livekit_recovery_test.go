package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/livekit/livekittest"
	"mixdown/rules"
	"mixdown/servertest"
)

// TestLiveKitRestart: the server dies in the middle of a capture and comes back:
// one recording, whose ledger says where the hole is; who comes again is heard
// at their time, and once. When the room is deleted the capture is complete.
func TestLiveKitRestart(t *testing.T) {
	t.Parallel()
	server := livekittest.Start(t)
	h := startHere(t, withLiveKit(server.URL))
	const room = "restart"
	spec := capture.Spec{
		Room:   capture.RoomSpec{System: "livekit", URL: "main", RoomID: room},
		Record: []capture.RecordSpec{{What: "mix"}, {What: "streams"}},
	}
	status := func() capture.Status {
		return call[capture.Status](t, h.client, http.MethodGet, "/v1/captures/restart", nil)
	}
	hears := func(g *guest) {
		t.Helper()
		eventually(t, "the recorder hears "+g.Identity, 30*time.Second, func() bool {
			g.Say(joinertest.FrameTime)
			return slices.ContainsFunc(status().Streams, func(s capture.StreamStatus) bool { return s.StreamID == g.SID && s.Quality["packets"] > 0 })
		})
	}
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/restart", spec)
	ann := invite(t, server, room, "ann", 1000)
	hears(ann)
	ann.sound(t, 2*time.Second)
	ann.done.Wait()
	server.Kill()
	eventually(t, "the capture reconnects", 20*time.Second, func() bool { return status().State == capture.Reconnecting })
	time.Sleep(2 * time.Second)
	server.Run()
	bob := invite(t, server, room, "bob", 1600)
	hears(bob)
	bob.sound(t, 2*time.Second)
	bob.done.Wait()
	if _, err := server.Rooms().DeleteRoom(t.Context(), &lk.DeleteRoomRequest{Room: room}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the capture is complete", 15*time.Second, func() bool { return status().State == capture.Complete })
	if reason := status().Reason; !strings.Contains(reason, "ROOM_DELETED") {
		t.Errorf("the capture ended because of %q", reason)
	}
	dir := filepath.Join(h.config.Data, "recordings", room, "restart")
	m, tracks, zero := h.readRecording("restart", dir)
	for _, g := range []*guest{ann, bob} {
		h.toneAt("mix", tracks["mix-ogg"], zero["mix-ogg"], g)
	}
	ledger := m.Ledger["ann/"+ann.SID]
	if hole := ledger["recorderDown"] + ledger["away"] + ledger["lost"] + ledger["stalled"]; hole < 2000 {
		t.Errorf("the ledger of ann has a hole of %d ms: %v", hole, ledger)
	}
	// Ann's client comes back by itself, with a new track.
	var annLeft time.Time
	for _, s := range m.Streams {
		switch {
		case s.UserID == "bob" && s.StreamID != bob.SID, len(s.Joins) != 1:
			t.Errorf("a stream is there twice: %+v", m.Streams)
		case s.UserID == "ann" && s.Joins[0].Join.Time.Before(annLeft):
			t.Errorf("ann speaks twice at a time: %+v", m.Streams)
		case s.UserID == "ann" && s.Joins[0].Leave != nil:
			annLeft = s.Joins[0].Leave.Time
		}
	}
	h.intact(dir)
}

// TestLiveKitRules: a rule records LiveKit rooms of which the server's webhooks
// tell; what is not signed by its key tells nothing.
func TestLiveKitRules(t *testing.T) {
	t.Parallel()
	// The daemon needs the server's address, the server the daemon's.
	address := servertest.FreeAddress(t, "tcp")
	server := livekittest.Start(t, livekittest.Webhooks("http://"+address+"/hooks/livekit"))
	h := startHere(t, withLiveKit(server.URL), listenAt(address))
	h.ask("PUT", "/v1/rules/calls", map[string]any{
		"system": "livekit", "rooms": []string{"call-*"},
		"capture": map[string]any{"record": []any{map[string]any{"what": "mix"}}, "limits": map[string]any{"idleSeconds": 2}},
	}).ok(201)
	explain := func(room string) rules.Decision {
		return decode[rules.Decision](h.ask("GET", "/v1/rules/explain?system=livekit&room="+room, nil).ok(200))
	}
	forged := `{"event":"track_published","room":{"name":"call-forged"},"participant":{"identity":"eve"},"track":{"sid":"TR_e"}}`
	for _, token := range []string{"", "nonsense", h.key} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.at.HTTP+"/hooks/livekit", strings.NewReader(forged))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("a forged webhook: %s", answer.Status)
		}
	}
	ann := invite(t, server, "call-7", "ann", 1000)
	ann.speak(8 * time.Second)
	var d rules.Decision
	eventually(t, "the rule captures the room", 15*time.Second, func() bool {
		d = explain("call-7")
		return d.Capture != ""
	})
	status := func() capture.Status {
		return decode[capture.Status](h.ask("GET", "/v1/captures/"+d.Capture, nil).ok(200))
	}
	eventually(t, "ann is recorded", 10*time.Second, func() bool { return status().State == capture.Recording })
	ann.done.Wait()
	ann.Leave()
	eventually(t, "the capture is complete", 20*time.Second, func() bool { return status().State == capture.Complete })
	eventually(t, "the room is closed", 20*time.Second, func() bool { return !explain("call-7").Open })
	if forged := explain("call-forged"); forged.Open || forged.Capture != "" {
		t.Errorf("a forged webhook was believed: %+v", forged)
	}
}

func listenAt(address string) func(*configs.Config) {
	return func(c *configs.Config) { c.Listen = address }
}
