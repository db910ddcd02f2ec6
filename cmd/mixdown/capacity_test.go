package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"mixdown/capacity"
	"mixdown/capture"
	"mixdown/configs"
)

// TestLoadToRefusal: captures of rooms with people are started until there is
// no capacity; those that were admitted miss nothing, and the refusal says when
// to try again.
func TestLoadToRefusal(t *testing.T) {
	t.Parallel()
	h := startHere(t, func(c *configs.Config) { c.Capacity = configs.Capacity{MaxStreams: 8, MaxCaptures: 100} })
	packets := tone(t, 440)
	refused, admitted := "", 0
	for i := range 10 {
		room := fmt.Sprint("room-", i)
		h.join(room, fmt.Sprint("ann-", i), packets)
		h.join(room, fmt.Sprint("bob-", i), packets)
		eventually(t, "both are in the room", 10*time.Second, func() bool {
			r, _ := h.rooms.Room(room)
			return len(r.Streams) == 2
		})
		body := with(spec(room), "republish", []any{map[string]any{"streamID": room + "-mix"}})
		a := h.ask("PUT", "/v1/captures/"+room, body)
		if a.status == 503 {
			a.problem(503, "no_capacity")
			refused = a.header.Get("Retry-After")
			break
		}
		a.ok(201)
		admitted++
	}
	if n, err := strconv.Atoi(refused); err != nil || n < 1 || admitted != 4 {
		t.Fatalf("%d captures of 2 streams admitted, then Retry-After %q", admitted, refused)
	}
	h.ask("PUT", "/v1/captures/room-0", with(spec("room-0"), "republish", []any{map[string]any{"streamID": "room-0-mix"}})).ok(200) // is there already
	eventually(t, "all streams are captured", 10*time.Second, func() bool {
		_, streams := h.captures.Count()
		return streams == 8
	})
	time.Sleep(3 * time.Second)
	state := decode[capacity.State](h.ask("GET", "/v1/capacity", nil).ok(200))
	if state.Accepting || state.Captures != 4 || state.Streams != 8 || state.FreeStreams != 0 || state.RetryAfter <= 0 {
		t.Errorf("capacity: %+v", state)
	}
	for i := range admitted {
		st := decode[capture.Status](h.ask("POST", fmt.Sprint("/v1/captures/room-", i, "/stop"), nil).ok(200))
		// Frames that the live mix drops are the machine's other load: told, not judged.
		t.Logf("%s: %d frames of the live mix dropped", st.ID, st.Live.Dropped)
		if len(st.Streams) != 2 {
			t.Errorf("%s has %d streams", st.ID, len(st.Streams))
		}
		for _, s := range st.Streams {
			if s.Ledger["lost"] > 0 || s.Ledger["concealed"] > 0 {
				t.Errorf("%s %s: %v", st.ID, s.StreamID, s.Ledger)
			}
		}
	}
	eventually(t, "there is room again", 15*time.Second, func() bool {
		return h.ask("PUT", "/v1/captures/late", spec("room-0")).status == 201
	})
}

// TestLoadToRefusalByCPU: the same by what captures really cost: a daemon that
// may use a third of the processors refuses before it uses more, and admits
// again when most have ended. It takes a machine that does little else.
func TestLoadToRefusalByCPU(t *testing.T) {
	if os.Getenv("MIXDOWN_SOAK") == "" {
		t.Skip("only with MIXDOWN_SOAK=1: what else runs on a machine makes captures dearer")
	}
	const limit = 0.3
	c := newChild(t)
	c.env = []string{fmt.Sprint("MIXDOWN_CAPACITY_CPU=", limit)}
	c.start()
	client, packets := c.client(), tone(t, 440)
	var full error
	var admitted []string
	for i := 0; i < 60 && full == nil; i++ {
		room := fmt.Sprint("room-", i)
		for _, who := range []string{"ann", "bob"} {
			join(t, client.url, room, fmt.Sprint(who, "-", i), packets, minter(c.data))
		}
		<-time.After(1500 * time.Millisecond)
		body := with(spec(room), "republish", []any{map[string]any{"streamID": room + "-mix"}})
		if full = client.call(t.Context(), http.MethodPut, "/v1/captures/"+room, body, nil); full == nil {
			admitted = append(admitted, room)
		}
	}
	if full == nil || !strings.Contains(full.Error(), "the load is") || !strings.Contains(full.Error(), "try again in") || len(admitted) == 0 {
		t.Fatalf("%d captures were admitted, then: %v", len(admitted), full)
	}
	<-time.After(12 * time.Second)
	state := call[capacity.State](t, client, http.MethodGet, "/v1/capacity", nil)
	t.Logf("%d captures; a stream costs %.0f µs a second; the load is %.3f; %v", len(admitted), state.CostUS, state.Load, full)
	if !state.Measured || state.Load > limit*1.25 {
		t.Errorf("capacity: %+v", state)
	}
	for _, room := range admitted {
		st := call[capture.Status](t, client, http.MethodGet, "/v1/captures/"+room, nil)
		for _, s := range st.Streams {
			if s.Ledger["lost"] > 0 || s.Ledger["concealed"] > 0 {
				t.Errorf("%s %s: %v", st.ID, s.StreamID, s.Ledger)
			}
		}
		if st.Live.Dropped > 0 {
			t.Errorf("%s: the live mix dropped %d frames", st.ID, st.Live.Dropped)
		}
	}
	for _, room := range admitted[1:] {
		call[capture.Status](t, client, http.MethodPost, "/v1/captures/"+room+"/stop", nil)
	}
	eventually(t, "there is room again", time.Minute, func() bool {
		return client.call(t.Context(), http.MethodPut, "/v1/captures/late", spec("room-0"), nil) == nil
	})
}
