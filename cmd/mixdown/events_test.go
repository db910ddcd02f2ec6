package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/events"
)

// shown is an event as clients see it.
type shown struct {
	events.Head
	Data struct{ Capture capture.Status }

	gone string // the data of an event without a number
}

// follow reads a stream of events in the background.
func (h *here) follow(path string, header ...string) <-chan shown {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", h.at.HTTP+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		h.t.Fatalf("%s: %d %s", path, resp.StatusCode, ct)
	}
	out := make(chan shown, 1000)
	go func() { // ends with the response
		defer close(out)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 2<<20)
		var id, kind string
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				id = value
			case "event":
				kind = value
			case "data":
				var s shown
				if err := json.Unmarshal([]byte(value), &s); err != nil || kind != s.Type || id != strconv.FormatUint(s.Seq, 10) && id != "" {
					h.t.Errorf("id %q, event %q, data %s: %v", id, kind, value, err)
				}
				if id == "" {
					s.gone = value
				}
				out <- s
				id = ""
			}
		}
	}()
	return out
}

// until reads a stream up to an event of a type.
func until(t *testing.T, from <-chan shown, kind string) (all []shown) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case s, ok := <-from:
			if !ok {
				t.Fatalf("the stream ended before %s: %v", kind, all)
			}
			if all = append(all, s); s.Type == kind {
				return all
			}
		case <-deadline:
			t.Fatalf("no %s came, but %v", kind, all)
		}
	}
}

func TestEventsOverHTTP(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := startHere(t, func(c *configs.Config) { c.Data = data })
	everything := h.follow("/v1/events")
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	one := h.follow("/v1/captures/a/events")
	h.ask("PUT", "/v1/captures/b", spec("other")).ok(201)
	until(t, one, "capture.waiting")
	h.ask("POST", "/v1/captures/b/stop", nil).ok(200)
	h.ask("POST", "/v1/captures/a/stop", nil).ok(200)
	mine := until(t, one, "capture.complete")
	if last := mine[len(mine)-1]; last.Data.Capture.State != capture.Complete || last.Data.Capture.End == nil {
		t.Errorf("the last event carries %+v", last.Data.Capture)
	}
	all := until(t, everything, "capture.complete")
	all = append(all, until(t, everything, "capture.complete")...)
	for i, e := range all {
		if e.Seq != all[0].Seq+uint64(i) {
			t.Errorf("event %d follows %d", e.Seq, all[0].Seq+uint64(i)-1)
		}
	}

	type page struct {
		Events             []shown
		Next, Oldest, Last uint64
		More               bool
	}
	p := decode[page](h.ask("GET", "/v1/events?after=0&limit=3", nil).ok(200))
	if len(p.Events) != 3 || p.Next != 3 || !p.More || p.Oldest != 1 || p.Events[0].Seq != 1 {
		t.Errorf("the first page is %+v", p)
	}
	p = decode[page](h.ask("GET", "/v1/events?after=0&type=capture.*&capture=b", nil).ok(200))
	for i, want := range []string{"capture.waiting", "capture.finalizing", "capture.complete"} {
		if len(p.Events) != 3 || p.Events[i].Type != want || p.Events[i].Capture != "b" {
			t.Fatalf("the states of b are %+v", p.Events)
		}
	}
	if p := decode[page](h.ask("GET", "/v1/captures/b/events", nil, "Accept", "application/json").ok(200)); len(p.Events) < 3 || p.Events[0].CaptureSeq != 1 {
		t.Errorf("the page of b is %+v", p)
	}
	if p := decode[page](h.ask("GET", "/v1/events?room=o*r&type=*.complete", nil).ok(200)); len(p.Events) != 1 {
		t.Errorf("the events of rooms o*r are %+v", p.Events)
	}
	h.ask("GET", "/v1/events?after=99999", nil).problem(410, "events_gone")
	h.ask("GET", "/v1/events?after=x", nil).problem(422, "invalid_request")
	h.ask("GET", "/v1/events?aftr=1", nil).problem(422, "invalid_request")
	h.ask("GET", "/v1/events", nil, "Accept", "text/event-stream", "Last-Event-ID", "x").problem(400, "bad_event_number")
	h.ask("GET", "/v1/captures/none/events", nil).problem(404, "capture_not_found")
	if lost := until(t, h.follow("/v1/events", "Last-Event-ID", "99999"), "events.gone"); !strings.Contains(lost[0].gone, `"oldest":1`) {
		t.Errorf("a stream from nowhere begins with %+v", lost[0])
	}

	last := all[len(all)-1].Seq
	h.stop()
	for range everything { // ends with the daemon
	}
	h = startHere(t, func(c *configs.Config) { c.Data = data })
	resumed := h.follow("/v1/events", "Last-Event-ID", strconv.FormatUint(last-1, 10))
	h.ask("PUT", "/v1/captures/c", spec("r")).ok(201)
	again := until(t, resumed, "capture.waiting")
	if again[0].Seq != last || again[len(again)-1].Seq != last+uint64(len(again))-1 || again[len(again)-1].Capture != "c" {
		t.Errorf("after a restart a stream from %d begins with %d and ends with %+v", last-1, again[0].Seq, again[len(again)-1].Head)
	}
}
