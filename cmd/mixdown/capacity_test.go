package main

import (
	"fmt"
	"strconv"
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
