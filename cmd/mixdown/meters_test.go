package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"mixdown/access"
	"mixdown/capture"
)

// told is a message of /v1/meters.
type told struct {
	kind    string
	Capture string
	State   capture.State
	Seconds float64
	Levels  map[string]*int
	Streams map[string]struct {
		Ledger  map[string]int64
		Quality map[string]float64
	}
}

// meters follows /v1/meters until the test ends.
func (h *here) meters(query string) <-chan told {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", h.at.HTTP+"/v1/meters?"+query, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		h.t.Fatalf("meters: %d %s", resp.StatusCode, ct)
	}
	out := make(chan told, 1000)
	go func() { // ends with the response
		defer close(out)
		defer resp.Body.Close()
		var m told
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "event":
				m = told{kind: value}
			case "data":
				if err := json.Unmarshal([]byte(value), &m); err != nil {
					h.t.Errorf("%s: %v", value, err)
				}
				out <- m
			}
		}
	}()
	return out
}

// await reads messages until one is wanted.
func await(t *testing.T, from <-chan told, what string, is func(told) bool) {
	t.Helper()
	for late := time.After(30 * time.Second); ; {
		select {
		case m, ok := <-from:
			if !ok {
				t.Fatalf("the stream ended before %s", what)
			}
			if is(m) {
				return
			}
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestMeters: levels and figures come as they change, and end with the capture.
func TestMeters(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	ann := h.join("standup", "ann", tone(t, annHz))
	h.join("standup", "bea", tone(t, beaHz))
	for _, id := range []string{"one", "two"} {
		call[capture.Status](t, h.client, "PUT", "/v1/captures/"+id, capture.Spec{
			Room: capture.RoomSpec{RoomID: "standup"}, Record: []capture.RecordSpec{{What: "streams"}},
		})
	}
	m := h.meters("capture=one&capture=two")
	for _, id := range []string{"one", "two"} {
		await(t, m, "levels of "+id, func(m told) bool {
			l := m.Levels["ann-mic"]
			return m.kind == "levels" && m.Capture == id && m.State == capture.Recording && l != nil && *l == -20
		})
	}
	await(t, m, "figures", func(m told) bool {
		s := m.Streams["bea-mic"]
		return m.kind == "figures" && s.Ledger["received"] > 0 && s.Quality["packets"] > 0
	})
	ann.leave()
	await(t, m, "the end of a stream", func(m told) bool {
		l, named := m.Levels["ann-mic"]
		if _, other := m.Levels["bea-mic"]; other && m.Levels["bea-mic"] != nil && *m.Levels["bea-mic"] == -20 && !named {
			t.Error("a level that did not change was told again")
		}
		return named && l == nil
	})
	h.ask("POST", "/v1/captures/one/stop", nil).ok(200)
	await(t, m, "the end of a capture", func(m told) bool { return m.kind == "ended" && m.Capture == "one" })
	await(t, m, "the other going on", func(m told) bool { return m.kind == "levels" && m.Capture == "two" })

	running := decode[struct{ Captures []capture.Status }](h.ask("GET", "/v1/captures?running=true", nil).ok(200))
	if len(running.Captures) != 1 || running.Captures[0].ID != "two" {
		t.Errorf("%d captures are running", len(running.Captures))
	}
	h.ask("GET", "/v1/meters?capture=none", nil).problem(404, "capture_not_found")
	h.ask("GET", "/v1/meters", nil).problem(422, "invalid_request")
	other := h.makeKey([]access.Role{access.Operator}, "other-*").Key
	h.askAs(other, "GET", "/v1/meters?capture=two", nil).problem(404, "capture_not_found")
	h.join("lounge", "cid", tone(t, annHz))
	eventually(t, "only the room that nobody records is listed", 10*time.Second, func() bool {
		rooms := decode[struct{ Rooms []struct{ RoomID string } }](h.ask("GET", "/v1/rooms?unrecorded=true", nil).ok(200)).Rooms
		return len(rooms) == 1 && rooms[0].RoomID == "lounge"
	})
}
