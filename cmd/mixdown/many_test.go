package main

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"mixdown/capture"
)

// TestManyShortCaptures: captures of one to three seconds come and go; when
// they are gone, so is everything that they used. MIXDOWN_SOAK=1 makes it a
// thousand, and 5,000 idle rooms that cost next to nothing.
func TestManyShortCaptures(t *testing.T) {
	captures, rooms := 60, 0
	if os.Getenv("MIXDOWN_SOAK") != "" {
		captures, rooms = 1000, 5000
	}
	c := newChild(t)
	c.env = []string{"MIXDOWN_CAPACITY_CPU=0"}
	c.start()
	client := c.client()
	join(t, "http://"+c.http, "busy", "ann", tone(t, 440), minter(c.data))
	short := func(id string, d time.Duration) {
		body := map[string]any{"room": map[string]any{"roomID": "busy"}, "record": []any{map[string]any{"what": "mix"}}}
		var st capture.Status
		if err := client.call(t.Context(), http.MethodPut, "/v1/captures/"+id, body, &st); err != nil {
			t.Errorf("start %s: %v", id, err)
			return
		}
		time.Sleep(d)
		if err := client.call(t.Context(), http.MethodPost, "/v1/captures/"+id+"/stop", nil, &st); err != nil || st.State != capture.Complete {
			t.Errorf("stop %s: %s, %v", id, st.State, err)
		}
	}
	short("first", time.Second) // what the first of its kind leaves behind is not a leak
	before := c.metrics()
	const side = 10
	var wg sync.WaitGroup
	for w := range side {
		wg.Go(func() {
			for i := w; i < captures; i += side {
				short(fmt.Sprint("short-", i), time.Duration(1+i%3)*time.Second)
			}
		})
	}
	wg.Wait()
	var after map[string]float64
	eventually(t, "goroutines and descriptors are back", time.Minute, func() bool {
		after = c.metrics()
		return after["go_goroutines"] < before["go_goroutines"]+20 && after["process_open_fds"] < before["process_open_fds"]+10
	})
	t.Logf("%d captures: goroutines %v to %v, descriptors %v to %v, memory %.0f to %.0f MiB", captures,
		before["go_goroutines"], after["go_goroutines"], before["process_open_fds"], after["process_open_fds"],
		before["process_resident_memory_bytes"]/(1<<20), after["process_resident_memory_bytes"]/(1<<20))
	if n := after[`mixdown_captures{state="complete"}`]; n != float64(captures+1) {
		t.Errorf("%v captures are complete", n)
	}
	if rooms > 0 {
		idleRooms(t, c, rooms)
	}
}

// idleRooms opens rooms in which nobody speaks, and tells what they cost: at
// most two percent of a processor.
func idleRooms(t *testing.T, c *child, n int) {
	for i := range n {
		ws, code := c.login(t, fmt.Sprint("idle-", i), fmt.Sprint("user-", i))
		if code != 0 {
			t.Fatalf("room %d: code %d", i, code)
		}
		read := ws.CloseRead(t.Context()) // answers pings
		_ = read
		defer ws.CloseNow()
	}
	time.Sleep(5 * time.Second)
	start, used := time.Now(), c.metrics()["process_cpu_seconds_total"]
	time.Sleep(30 * time.Second)
	used = c.metrics()["process_cpu_seconds_total"] - used
	share := used / time.Since(start).Seconds()
	t.Logf("%d idle rooms take %.2f %% of a processor, the capture-less daemon and one speaker included", n, 100*share)
	if share > 0.10 { // an order above what is aimed at would be another design
		t.Errorf("%d idle rooms take %.1f %% of a processor", n, 100*share)
	}
}
