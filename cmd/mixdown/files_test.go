package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// callOfTwo is a daemon with two people with tones in room r, captured as c.
func callOfTwo(t *testing.T, body map[string]any, edit ...func(*configs.Config)) *here {
	t.Helper()
	h := startHere(t, edit...)
	h.ask("PUT", "/v1/captures/c", body).ok(201)
	h.join("r", "ann", burst(t, annHz, 0, time.Minute, time.Minute))
	h.join("r", "bea", burst(t, beaHz, 0, time.Minute, time.Minute))
	eventually(t, "both are heard", 30*time.Second, func() bool {
		st := decode[capture.Status](h.ask("GET", "/v1/captures/c", nil))
		heard := 0
		for _, s := range st.Streams {
			if s.Present && s.Quality["packets"] > 0 {
				heard++
			}
		}
		return st.State == capture.Recording && heard == 2
	})
	return h
}

// listen reads a live stream for a while.
func (h *here) listen(query string, until func(read int) bool) []byte {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.at.HTTP+"/v1/captures/c/live"+query, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "audio/ogg" {
		h.t.Errorf("live%s: %s, %s", query, resp.Status, resp.Header.Get("Content-Type"))
	}
	var all bytes.Buffer
	for part := make([]byte, 4096); !until(all.Len()); {
		n, err := resp.Body.Read(part)
		all.Write(part[:n])
		if err != nil {
			if err != io.EOF {
				h.t.Errorf("live%s: %v", query, err)
			}
			break
		}
	}
	return all.Bytes()
}

// TestListening: the live stream is the mix, one stream or a mix-minus, while
// the capture runs, and ends with it.
func TestListening(t *testing.T) {
	t.Parallel()
	h := callOfTwo(t, spec("r"))
	t.Run("Selections", func(t *testing.T) {
		for query, want := range map[string][2]bool{
			"": {true, true}, "?stream=ann-mic": {true, false}, "?stream=bea-mic": {false, true},
			"?except=ann-mic": {false, true}, "?except=ann-mic&except=bea-mic": {false, false},
		} {
			t.Run(query, func(t *testing.T) {
				t.Parallel()
				enough := 2 * 8000 // bytes of two seconds, of which the first may miss somebody
				if !want[0] && !want[1] {
					enough = 1500
				}
				samples := readOgg(t, h.listen(query, func(read int) bool { return read > enough }))
				if len(samples) < pcm.Rate {
					t.Fatalf("%d samples", len(samples))
				}
				// Live audio is stretched a little, so frames are looked at one by one.
				for i, hz := range []float64{annHz, beaHz} {
					var levels []float64
					for _, f := range frames(samples[pcm.Rate/2:]) {
						levels = append(levels, pcmtest.FrameLevel(&f, hz))
					}
					slices.Sort(levels)
					if l := levels[len(levels)/2]; (l > -20) != want[i] || (l > -45 && !want[i]) {
						t.Errorf("%.0f Hz at %.0f dB", hz, l)
					}
				}
			})
		}
	})
	begun, ended := make(chan struct{}), make(chan []byte)
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		ended <- h.listen("", func(read int) bool {
			if read > 0 {
				begin()
			}
			return false
		})
	}()
	select {
	case <-begun:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is heard of the live stream")
	}
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	select {
	case b := <-ended:
		readOgg(t, b)
	case <-time.After(5 * time.Second):
		t.Error("the live stream goes on after the capture has ended")
	}
	h.ask("GET", "/v1/captures/c/live", nil).problem(409, "capture_ended")
}

// TestFiles: what a recording's manifest names can be read, in parts too, and
// nothing else can.
func TestFiles(t *testing.T) {
	t.Parallel()
	h := callOfTwo(t, spec("r"))
	<-time.After(3 * time.Second)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/c", nil).ok(200))
	if m.ID != "c" || m.State != "complete" || m.End == nil || len(m.Segments) < 6 {
		t.Errorf("manifest of %s: %s with %d segments", m.ID, m.State, len(m.Segments))
	}
	types := map[string]string{".ogg": "audio/ogg", ".json": "application/json", ".jsonl": "application/jsonl", ".sig": "text/plain; charset=utf-8"}
	names := []string{storage.ManifestName, storage.SignatureName, storage.EventsName}
	for _, s := range m.Segments {
		names = append(names, s.Path)
	}
	for _, name := range names {
		at := "/v1/recordings/c/files/" + name
		whole := h.ask("GET", at, nil).ok(200)
		if whole.header.Get("Content-Type") != types[filepath.Ext(name)] || len(whole.body) == 0 {
			t.Errorf("%s: %d bytes of %s", name, len(whole.body), whole.header.Get("Content-Type"))
		}
		part := h.ask("GET", at, nil, "Range", "bytes=10-29").ok(206)
		if !bytes.Equal(part.body, whole.body[10:30]) || part.header.Get("Content-Range") != fmt.Sprintf("bytes 10-29/%d", len(whole.body)) {
			t.Errorf("%s: %q of %s", name, part.body, part.header.Get("Content-Range"))
		}
		tail := h.ask("GET", at, nil, "Range", "bytes=-5").ok(206)
		if !bytes.Equal(tail.body, whole.body[len(whole.body)-5:]) {
			t.Errorf("%s: tail %q", name, tail.body)
		}
		h.ask("GET", at, nil, "Range", "bytes=99999999-").ok(416)
		h.ask("HEAD", at, nil)
	}
	for _, name := range []string{
		"../../../api-key", "..%2F..%2F..%2Fapi-key", "%2e%2e/%2e%2e/%2e%2e/api-key", "mix/../../../../api-key", "..%2f..%2f..%2fapp.json",
		"%2Fetc%2Fpasswd", "mix", "mix/", ".", "", "manifest.json%00", "manifest.json/", "..%5c..%5capi-key",
	} {
		a := h.ask("GET", "/v1/recordings/c/files/"+name, nil)
		if a.status < 300 || a.status >= 500 || bytes.Contains(a.body, []byte(h.key)) {
			t.Errorf("%s: %d %.200s", name, a.status, a.body)
		}
	}
	check := decode[struct {
		Intact   bool
		Problems []storage.Problem
	}](h.ask("POST", "/v1/recordings/c/verify", nil).ok(200))
	if !check.Intact || check.Problems == nil {
		t.Errorf("verify: %+v", check)
	}
}

// TestOutputsInDifferentStorages: files are found and checked where they are.
func TestOutputsInDifferentStorages(t *testing.T) {
	t.Parallel()
	edit, _ := withBucket(t)
	body := spec("r")
	body["record"] = []any{map[string]any{"what": "mix", "storage": "archive"}, map[string]any{"what": "streams"}}
	h := callOfTwo(t, body, edit)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/c", nil).ok(200))
	eventually(t, "everything is in the bucket", 20*time.Second, func() bool {
		n, _ := h.spool.Pending("archive", "")
		return n == 0
	})
	for _, s := range m.Segments {
		if a := h.ask("GET", "/v1/recordings/c/files/"+s.Path, nil).ok(200); int64(len(a.body)) != s.Bytes {
			t.Errorf("%s: %d bytes instead of %d", s.Path, len(a.body), s.Bytes)
		}
	}
	check := decode[struct {
		Intact   bool
		Problems []storage.Problem
	}](h.ask("POST", "/v1/recordings/c/verify", nil).ok(200))
	if !check.Intact {
		t.Errorf("verify: %+v", check)
	}
}

// TestMetrics: machines read health and metrics without a key.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := callOfTwo(t, spec("r"))
	h.askAs("", "GET", "/healthz", nil).ok(200)
	h.askAs("", "GET", "/readyz", nil).ok(200)
	a := h.askAs("", "GET", "/metrics", nil).ok(200)
	values := parseMetrics(t, a.body)
	for name, want := range map[string]float64{
		`mixdown_captures{state="recording"}`: 1, `mixdown_captures{state="failed"}`: 0, "mixdown_captured_streams": 2,
		"mixdown_rooms": 1, "mixdown_captures_in_trouble": 0, `mixdown_upload_conflicts_total{storage="local"}`: 0,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
}

// TestSecretsStaySecret: keys and tokens are in no answer and in no log.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const appSecret = "0123456789abcdef0123456789canary"
	edit, server := withBucket(t)
	h := startHere(t, edit, func(c *configs.Config) {
		c.APIKey, c.App = "api-key-canary", configs.App{ID: 7, Secret: appSecret}
	})
	roomToken := h.mint("r", "recorder-c")
	body := with(spec("r"), "room", map[string]any{"roomID": "r", "token": roomToken})
	body["record"] = []any{map[string]any{"what": "mix", "storage": "archive"}, map[string]any{"what": "mix", "storage": "local"}}
	var said strings.Builder
	for _, a := range []answer{
		h.ask("PUT", "/v1/captures/c", body).ok(201),
		h.ask("PUT", "/v1/captures/c", body).ok(200),
		h.ask("PUT", "/v1/captures/c", with(spec("r"), "room", map[string]any{"roomID": "r", "token": roomToken + "x"})).problem(409, "capture_conflict"),
		h.ask("PUT", "/v1/captures/d", with(spec("r"), "room", map[string]any{"roomID": "r", "token": []string{roomToken}})).problem(422, "invalid_request"),
		h.ask("PUT", "/v1/captures/d", `{"room":{"token":"`+roomToken+`"`).problem(400, "bad_request"),
		h.ask("GET", "/v1/captures/c", nil).ok(200),
		h.ask("GET", "/v1/captures", nil).ok(200),
		h.ask("POST", "/v1/captures/c/stop", nil).ok(200),
		h.ask("GET", "/v1/recordings/c", nil).ok(200),
		h.ask("GET", "/v1/recordings/c/files/events.jsonl", nil).ok(200),
		h.askAs("wrong", "GET", "/v1/captures", nil).problem(401, "unauthorized"),
		h.askAs("", "GET", "/openapi.json", nil).ok(200),
		h.askAs("", "GET", "/metrics", nil).ok(200),
		h.ask("GET", "/v1/rooms", nil).ok(200),
	} {
		said.Write(a.body)
		fmt.Fprintln(&said, a.header)
	}
	h.ask("POST", "/v1/tokens", map[string]any{"roomID": "r", "userID": "u"}).ok(200)
	h.stop()
	said.WriteString(h.log.String())
	if !strings.Contains(said.String(), "listening") {
		t.Error("nothing was logged")
	}
	for name, secret := range map[string]string{
		"API key": h.key, "app secret": appSecret, "S3 secret": server.SecretKey, "room token": roomToken,
	} {
		if i := strings.Index(said.String(), secret); i >= 0 {
			t.Errorf("the %s was told: %q", name, said.String()[max(0, i-200):i])
		}
	}
}
