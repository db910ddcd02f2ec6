package main

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mixdown/capture"
)

// TestManyShortCaptures: captures of one to three seconds come and go; when
// they are gone, so is everything that they used. MIXDOWN_SOAK=1 makes it a
// thousand.
func TestManyShortCaptures(t *testing.T) {
	t.Parallel()
	captures := 60
	if os.Getenv("MIXDOWN_SOAK") != "" {
		captures = 1000
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
		return after["go_goroutines"] < before["go_goroutines"]+20 && after["process_open_fds"] < before["process_open_fds"]+10 &&
			heap(after) < heap(before)+float64(8<<20+captures*48<<10) // what is told of an ended capture
	})
	t.Logf("%d captures: goroutines %v to %v, descriptors %v to %v, memory %.0f to %.0f MiB", captures,
		before["go_goroutines"], after["go_goroutines"], before["process_open_fds"], after["process_open_fds"],
		before["process_resident_memory_bytes"]/(1<<20), after["process_resident_memory_bytes"]/(1<<20))
	if n := after[`mixdown_captures{state="complete"}`]; n != float64(captures+1) {
		t.Errorf("%v captures are complete", n)
	}
}

// heap is what is in use; /metrics does not collect the garbage before, so some
// of it is.
func heap(m map[string]float64) float64 { return m["go_memstats_heap_alloc_bytes"] }

// TestIdleRooms: rooms in which nobody speaks cost at most two percent of a
// processor, five thousand of them with MIXDOWN_SOAK=1, and leave nothing
// behind.
func TestIdleRooms(t *testing.T) {
	t.Parallel()
	rooms, watch := 500, 11*time.Second // a ping to everybody, at least
	if os.Getenv("MIXDOWN_SOAK") != "" {
		rooms, watch = 5000, 45*time.Second
	}
	c := newChild(t)
	c.start()
	before := c.metrics()
	share := func() float64 {
		start, used := time.Now(), c.metrics()["process_cpu_seconds_total"]
		time.Sleep(watch)
		return (c.metrics()["process_cpu_seconds_total"] - used) / time.Since(start).Seconds()
	}
	empty := share()
	var all []*websocket.Conn
	for i := range rooms {
		ws, code := c.login(t, fmt.Sprint("idle-", i), fmt.Sprint("user-", i))
		if code != 0 {
			t.Fatalf("room %d: code %d", i, code)
		}
		ws.CloseRead(t.Context()) // answers pings
		defer ws.CloseNow()
		all = append(all, ws)
	}
	if n := c.metrics()["mixdown_rooms"]; n != float64(rooms) {
		t.Fatalf("%v rooms are open", n)
	}
	time.Sleep(5 * time.Second)
	full := share()
	t.Logf("%d idle rooms take %.2f %% of a processor, besides %.2f %% of a daemon without any", rooms, 100*(full-empty), 100*empty)
	if full-empty > 0.02 && !raced {
		t.Errorf("%d idle rooms take %.1f %% of a processor", rooms, 100*(full-empty))
	}
	for _, ws := range all {
		_ = ws.CloseNow() // the other side finds out
	}
	var after map[string]float64
	eventually(t, "goroutines and descriptors are back", 90*time.Second, func() bool {
		after = c.metrics()
		return after["mixdown_rooms"] == 0 && after["go_goroutines"] < before["go_goroutines"]+20 && after["process_open_fds"] < before["process_open_fds"]+10
	})
}
