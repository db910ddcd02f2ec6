package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/encoder/encodertest"
	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
	"mixdown/web/webtest"
)

// publishRed lets a page publish its microphone by WHIP as redundant audio, and
// play it again by WHEP.
const publishRed = `(async () => {
	const [whip, whep, token] = %s;
	const post = async (url, pc) => {
		await pc.setLocalDescription();
		while (pc.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 20));
		const answer = await fetch(url, {
			method: 'POST', body: pc.localDescription.sdp,
			headers: {'Content-Type': 'application/sdp', Authorization: 'Bearer ' + token},
		});
		if (!answer.ok) throw new Error(await answer.text());
		await pc.setRemoteDescription({type: 'answer', sdp: await answer.text()});
	};
	const microphone = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
	window.up = new RTCPeerConnection();
	const sending = up.addTransceiver(microphone.getAudioTracks()[0], {direction: 'sendonly'});
	const codecs = RTCRtpSender.getCapabilities('audio').codecs;
	const red = codecs.filter((c) => c.mimeType === 'audio/red');
	if (!red.length) throw new Error('this browser knows no redundant audio');
	sending.setCodecPreferences([...red, ...codecs.filter((c) => c.mimeType !== 'audio/red')]);
	await post(whip, up);
	window.down = new RTCPeerConnection();
	down.ontrack = (e) => { window.heard = new MediaStream([e.track]); const a = new Audio(); a.srcObject = heard; a.play(); window.player = a; };
	down.addTransceiver('audio', {direction: 'recvonly'});
	while (up.connectionState !== 'connected') await new Promise((resolve) => setTimeout(resolve, 20));
	await post(whep, down);
})()`

// TestChromiumSendsRedundantAudio: a browser that prefers RED is heard by a
// browser that takes it and by the recorder.
func TestChromiumSendsRedundantAudio(t *testing.T) {
	t.Parallel()
	const hz = 660
	h := startHere(t)
	page := webtest.Browser(t, webtest.Microphone(t, webtest.Tone(hz, 2*time.Second)))
	webtest.Open(t, page, h.at.HTTP+"/call")
	spec := capture.Spec{Record: []capture.RecordSpec{{What: "streams", Format: "wav"}}}
	spec.Room.RoomID = "red"
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/red", spec)
	webtest.Do(t, page, fmt.Sprintf(publishRed, asJSON(t, []string{h.at.HTTP + "/whip/red/mic", h.at.HTTP + "/whep/red/mic", h.mint("red", "ann")})))
	heard := &countsRed{}
	h.visit("red", heard)
	var got, level float64
	for range 20 {
		got, level = webtest.Pitch(t, page, `heard`)
		if math.Abs(got-hz) < 12 && level > -40 {
			break
		}
	}
	if math.Abs(got-hz) > 12 || level < -40 {
		t.Errorf("the page hears %.0f Hz at %.0f dB", got, level)
	}
	time.Sleep(8 * time.Second)
	if red, all := heard.red.Load(), heard.all.Load(); all < 200 || red < all-5 {
		t.Errorf("%d of %d packets are redundant audio", red, all)
	}
	call[capture.Status](t, h.client, http.MethodPost, "/v1/captures/red/stop", nil)
	m := call[storage.Manifest](t, h.client, http.MethodGet, "/v1/recordings/red", nil)
	l := m.Ledger["ann/mic"]
	t.Logf("ledger %v", l)
	if heard := l["received"] + l["recovered"]; heard < 7000 || l["concealed"]+l["lost"] > heard/20 {
		t.Errorf("ledger %v", l)
	}
	if len(m.Segments) == 0 {
		t.Fatal("nothing is recorded")
	}
	x, err := encodertest.ReadFile(filepath.Join(h.config.Data, "recordings", "red", "red", filepath.FromSlash(m.Segments[0].Path)))
	if err != nil {
		t.Fatal(err)
	}
	if l := pcmtest.Level(frames(x), hz); l < -20 {
		t.Errorf("the recording has %d Hz at %.0f dB", hz, l)
	}
}

// countsRed is a room whose packets are counted.
type countsRed struct{ red, all atomic.Int64 }

func (*countsRed) Event(joiner.Event)                     {}
func (c *countsRed) Stream(joiner.Stream) joiner.Receiver { return c }
func (*countsRed) Report(joiner.SenderReport, time.Time)  {}
func (c *countsRed) Packet(p *rtp.Packet, _ uint8, _ time.Time) {
	c.all.Add(1)
	if p.PayloadType == joiner.Red {
		c.red.Add(1)
	}
}

// visit lets a participant hear a room until the test ends.
func (h *here) visit(roomID string, room joiner.Room) {
	ctx, leave := context.WithCancel(context.Background())
	login := joiner.Login{
		URL: "ws" + strings.TrimPrefix(h.at.HTTP, "http") + "/ws", RoomID: roomID, UserID: "visitor", UserName: "visitor",
		Token: func() (string, error) { return h.mint(roomID, "visitor"), nil },
	}
	system := native.New(native.Config{Engine: h.engine, Log: slog.New(slog.DiscardHandler)})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = joiner.NewParticipant(system, login, room, nil, nil, slog.New(slog.DiscardHandler)).Run(ctx) // ends with ctx
	}()
	h.t.Cleanup(func() {
		leave()
		<-gone
	})
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
