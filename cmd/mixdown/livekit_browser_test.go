package main

import (
	"context"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	lk "github.com/livekit/protocol/livekit"

	"mixdown/capture"
	"mixdown/joiner/livekit/livekittest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/web/webtest"
)

// liveKitPage lets whoever opens it publish the microphone by LiveKit's own
// client, as it comes: Opus with DTX in redundant audio.
var liveKitPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>guest</title>
<link rel="icon" href="data:,">
<script src="/livekit-client.js"></script>
<script>
window.join = async () => {
	const room = window.room = new LivekitClient.Room();
	window.seen = new Set();
	room.on('participantConnected', p => window.seen.add(p.identity));
	room.on('recordingStatusChanged', on => window.recorded = on);
	await room.connect({{.URL}}, {{.Token}}, {autoSubscribe: false});
	for (const p of room.remoteParticipants.values()) window.seen.add(p.identity);
	window.recorded = room.isRecording;
	await room.localParticipant.setMicrophoneEnabled(true, {echoCancellation: false, noiseSuppression: false, autoGainControl: false});
};
</script>`))

// liveKitGuests serves the page: /?name.
func liveKitGuests(t *testing.T, server *livekittest.Server, room string) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "..", "web", "node_modules", "livekit-client", "dist", "livekit-client.umd.js"))
	if err != nil {
		t.Fatalf("livekit-client is missing; make test installs it: %v", err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livekit-client.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(script) // the page says if it did not arrive
			return
		}
		name := r.URL.RawQuery
		token, err := auth.NewAccessToken(livekittest.Key, livekittest.Secret).SetIdentity(name).SetName(name).
			SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
		if err != nil {
			t.Error(err)
		}
		_ = liveKitPage.Execute(w, struct{ URL, Token string }{server.URL, token}) // likewise
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// TestLiveKitBrowsers: two Chromium with LiveKit's own client and one person in
// Go are captured and mixed; nobody sees the recorder, everybody that the room
// is recorded.
func TestLiveKitBrowsers(t *testing.T) { // alone: two browsers are enough for a machine
	server := livekittest.Start(t)
	h := startHere(t, withLiveKit(server.URL))
	const room = "browsers"
	site := liveKitGuests(t, server, room)
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/browsers", capture.Spec{
		Room:   capture.RoomSpec{System: "livekit", RoomID: room},
		Record: []capture.RecordSpec{{What: "mix"}, {What: "streams"}},
	})
	tones := map[string]float64{"alice": 500, "bob": 700}
	pages := map[string]context.Context{}
	for name, hz := range tones {
		pages[name] = webtest.Browser(t, webtest.Microphone(t, webtest.Tone(hz, 2*time.Second)))
		webtest.Open(t, pages[name], site+"/?"+name)
		webtest.Do(t, pages[name], `join()`)
	}
	ann := invite(t, server, room, "ann", 1600)
	status := func() capture.Status {
		return call[capture.Status](t, h.client, http.MethodGet, "/v1/captures/browsers", nil)
	}
	eventually(t, "all three are heard", 30*time.Second, func() bool {
		ann.Say(pcm.FrameTime)
		streams := status().Streams
		return len(streams) == 3 && !slices.ContainsFunc(streams, func(s capture.StreamStatus) bool { return s.Quality["packets"] < 10 })
	})
	ann.sound(t, 4*time.Second)
	ann.done.Wait()
	for name, page := range pages {
		seen := webtest.Eval[[]string](t, page, `[...seen]`)
		if slices.ContainsFunc(seen, func(id string) bool { return strings.Contains(id, "recorder") }) {
			t.Errorf("%s sees %v", name, seen)
		}
		if !webtest.Eval[bool](t, page, `recorded`) {
			t.Errorf("%s is not told that the room is recorded", name)
		}
	}
	list, err := server.Rooms().ListParticipants(t.Context(), &lk.ListParticipantsRequest{Room: room})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Participants {
		if tones[p.Identity] != 0 && (len(p.Tracks) != 1 || p.Tracks[0].MimeType != "audio/red") {
			t.Errorf("%s does not publish redundant audio: %v", p.Identity, p.Tracks)
		}
	}
	call[capture.Status](t, h.client, http.MethodPost, "/v1/captures/browsers/stop", nil)
	dir := filepath.Join(h.config.Data, "recordings", room, "browsers")
	m, tracks, zero := h.readRecording("browsers", dir)
	h.toneAt("mix", tracks["mix-ogg"], zero["mix-ogg"], ann)
	began, ended := ann.tone()
	for _, s := range m.Streams {
		hz, browser := tones[s.UserID]
		if !browser {
			continue
		}
		own := "streams-ogg/" + s.UserID + "/" + s.StreamID
		l := m.Ledger[s.Key()] // a page that stutters sends nothing meanwhile
		stutter := int(l["stalled"]+l["concealed"]+l["lost"]) / 20
		for _, output := range []string{own, "mix-ogg"} {
			from, to := pcm.Samples(began.to.Sub(zero[output])), pcm.Samples(ended.from.Sub(zero[output]))
			if int64(len(tracks[output])) < to {
				t.Errorf("%s ends before ann's tone", output)
				continue
			}
			silent := 0
			all := frames(tracks[output][from:to])
			for _, f := range all {
				if pcmtest.FrameLevel(&f, hz) < -30 {
					silent++
				}
			}
			t.Logf("%s: %.0f Hz, silent in %d of %d frames, stutters for %d", output, hz, silent, len(all), stutter)
			if silent > len(all)/50+min(stutter, len(all)/5) {
				t.Errorf("%s lacks %.0f Hz in %d of %d frames", output, hz, silent, len(all))
			}
		}
	}
	h.intact(dir)
}
