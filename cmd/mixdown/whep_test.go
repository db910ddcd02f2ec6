package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder/encodertest"
	"mixdown/joiner"
	"mixdown/joiner/whep/mediamtxtest"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// TestMediaServer: a real media server plays what a camera and the mix of a
// call are pushed to it as, and a capture records both from it; then it is
// killed and comes back. One recording, every tone at its time before and
// after, and the hole declared.
func TestMediaServer(t *testing.T) {
	t.Parallel()
	const camHz, annHz, period = 4200.0, 3000.0, time.Second
	server := mediamtxtest.New(t)
	h := startHere(t, func(c *configs.Config) { c.Network.Allow = []string{"127.0.0.1"} })
	camera := h.push(joiner.Endpoint{StreamID: "cam", URL: server.WHIP("cam"), Token: server.Publisher}, burst(t, camHz, 600*time.Millisecond, 400*time.Millisecond, period))
	ann := h.join("talk", "ann", burst(t, annHz, 600*time.Millisecond, 400*time.Millisecond, period))
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/talk", capture.Spec{
		Room: capture.RoomSpec{RoomID: "talk"}, Republish: []capture.RepublishSpec{{WHIP: server.WHIP("mix"), Token: server.Publisher}},
	})
	stage := capture.Spec{Record: []capture.RecordSpec{{What: "mix", Format: "wav"}, {What: "streams", Format: "wav"}}}
	stage.Room = capture.RoomSpec{System: "whep", RoomID: "stage", Streams: []capture.StreamSpec{
		{StreamID: "cam", URL: server.WHEP("cam"), Token: server.Reader}, {StreamID: "mix", URL: server.WHEP("mix"), Token: server.Reader},
	}}
	call[capture.Status](t, h.client, http.MethodPut, "/v1/captures/stage", stage)
	h.flowing("stage", 2)
	<-time.After(5 * time.Second)
	killed := time.Now()
	server.Kill()
	eventually(t, "the loss shows", 20*time.Second, func() bool {
		talk, stage := h.status("talk"), h.status("stage")
		return talk.State == capture.Recording && !talk.Live.Republished[0].Published && talk.Live.Republished[0].Error != "" &&
			stage.State == capture.Reconnecting && strings.Contains(stage.Reason, "not reached")
	})
	server.Start()
	h.flowing("stage", 2)
	back := time.Now()
	<-time.After(5 * time.Second)
	if s := h.status("talk"); !s.Live.Republished[0].Published || s.Live.Republished[0].Error != "" {
		t.Errorf("the mix: %+v", s.Live.Republished)
	}
	independent := h.rtsp(server.RTSP("mix"))
	if n := len(onsets(independent, annHz)); n < 2 {
		t.Errorf("ffmpeg hears %d bursts in 3 s of the mix", n)
	}
	call[capture.Status](t, h.client, http.MethodPost, "/v1/captures/talk/stop", nil)
	status := call[capture.Status](t, h.client, http.MethodPost, "/v1/captures/stage/stop", nil)
	if status.State != capture.Complete {
		t.Errorf("the capture is %s: %s", status.State, status.Reason)
	}
	m := call[storage.Manifest](t, h.client, http.MethodGet, "/v1/recordings/stage", nil)
	for _, c := range []struct {
		output string
		hz     float64
		who    *person
		late   time.Duration // how much later than spoken it may be
	}{
		{"streams-wav/cam/cam", camHz, camera, 20 * time.Millisecond}, {"mix-wav", camHz, camera, 20 * time.Millisecond},
		{"streams-wav/mix/mix", annHz, ann, 450 * time.Millisecond}, {"mix-wav", annHz, ann, 450 * time.Millisecond},
	} {
		h.checkBursts(m, c.output, c.hz, c.who.instant(30), c.late, killed, back)
	}
	for _, key := range []string{"cam/cam", "mix/mix"} {
		l := m.Ledger[key]
		t.Logf("%s: %v", key, l)
		if hole := l["recorderDown"] + l["away"] + l["lost"] + l["concealed"] + l["stalled"]; hole < 2900 || hole > back.Sub(killed).Milliseconds()+2000 {
			t.Errorf("%s: the ledger has a hole of %d ms: %v", key, hole, l)
		}
	}
	if v := decode[struct{ Intact bool }](h.ask("POST", "/v1/recordings/stage/verify", nil)); !v.Intact {
		t.Error("verify finds it broken")
	}
	h.noCanary(t)
}

// push publishes packets to a media server.
func (h *here) push(to joiner.Endpoint, packets []sound) *person {
	p := &person{pub: joiner.NewPublication(to.StreamID, 1), begin: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.whep.Push(ctx, to, p.pub) })
	wg.Go(func() { p.speak(ctx, repeated(packets)) })
	p.leave = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	h.t.Cleanup(p.leave)
	return p
}

func (h *here) status(id string) capture.Status {
	h.t.Helper()
	return call[capture.Status](h.t, h.client, http.MethodGet, "/v1/captures/"+id, nil)
}

// flowing waits until a capture records so many streams, and packets of each
// come.
func (h *here) flowing(id string, streams int) {
	h.t.Helper()
	heard := map[string]float64{}
	eventually(h.t, fmt.Sprintf("%s records %d streams", id, streams), 40*time.Second, func() bool {
		s := h.status(id)
		n := 0
		for _, st := range s.Streams {
			if before, known := heard[st.StreamID]; known && st.Present && st.Quality["packets"] > before {
				n++
			}
			heard[st.StreamID] = st.Quality["packets"]
		}
		<-time.After(700 * time.Millisecond) // longer than from one status to the next
		return n == streams && s.State == capture.Recording
	})
}

// rtsp is 3 s of what another program plays from a server.
func (h *here) rtsp(url string) [][2]float32 {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "played.wav")
	out, err := exec.Command("ffmpeg", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", url, "-t", "3", "-ar", "48000", "-ac", "2", "-c:a", "pcm_s16le", file).CombinedOutput()
	if err != nil {
		h.t.Errorf("ffmpeg: %v: %s", err, out)
		return nil
	}
	samples, err := encodertest.ReadFile(file)
	if err != nil {
		h.t.Error(err)
	}
	return samples
}

// checkBursts checks that a tone that begins every second from first on is in
// an output at its time, before a time and after another, and that
// what is recorded as it comes stays at its instant. One burst may be late: a
// machine that stops for a moment stops the mixer too.
func (h *here) checkBursts(m storage.Manifest, output string, hz float64, first time.Time, late time.Duration, before, after time.Time) {
	t := h.t
	t.Helper()
	var samples [][2]float32
	var zero time.Time
	for _, s := range m.Segments {
		if s.Output != output {
			continue
		}
		if samples == nil {
			zero = m.Start.Add(pcm.Duration(s.StartSample))
		}
		part, err := encodertest.ReadFile(filepath.Join(h.config.Data, "recordings", m.Room.RoomID, m.ID, filepath.FromSlash(s.Path)))
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, part...)
	}
	var delays [2][]time.Duration
	for _, on := range onsets(samples, hz)[1:] { // the first may be cut off
		at := zero.Add(on)
		delay := at.Sub(first) % time.Second
		if delay > 500*time.Millisecond {
			delay -= time.Second
		}
		switch {
		case at.Before(before):
			delays[0] = append(delays[0], delay)
		case at.After(after):
			delays[1] = append(delays[1], delay)
		}
	}
	for i, d := range delays {
		if len(d) < 3 {
			t.Errorf("%s: %d bursts of %.0f Hz, %v", output, len(d), hz, delays)
			return
		}
		slices.Sort(d)
		if d[0] < -5*time.Millisecond || d[len(d)-2] > late {
			t.Errorf("%s: bursts of %.0f Hz come %v late (part %d)", output, hz, d, i)
		}
	}
	a, b := delays[0][len(delays[0])/2], delays[1][len(delays[1])/2]
	t.Logf("%s: %d bursts of %.0f Hz %v late, then %d %v late", output, len(delays[0]), hz, a, len(delays[1]), b)
	if late < 100*time.Millisecond && (b-a).Abs() > 10*time.Millisecond { // the live mix may choose another delay
		t.Errorf("%s: %.0f Hz moved by %v over the restart", output, hz, b-a)
	}
}

// noCanary looks for tokens in what the daemon says, answers and keeps.
func (h *here) noCanary(t *testing.T) {
	t.Helper()
	places := map[string]string{"the log": h.log.String()}
	for _, path := range []string{"/v1/captures", "/v1/captures/stage", "/v1/captures/talk", "/v1/events?limit=1000", "/v1/recordings/stage"} {
		places[path] = string(h.ask("GET", path, nil).body)
	}
	for name, b := range content(t, h.buckets["local"].(storage.Browser), "") {
		places[name] = b
	}
	for place, said := range places {
		if i := strings.Index(said, "canary"); i >= 0 {
			t.Errorf("a token is in %s: …%s…", place, said[max(0, i-80):i])
		}
	}
}
