package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"mixdown/capture"
	"mixdown/web/webtest"
)

const crowd = 200 // streams

// crowded stands before a daemon and makes a crowd of the one stream of its
// capture, in the daemon's own words: what it says of the capture and its meters
// is recorded, and repeated with other names. Two hundred publishers would ask
// more of two processors than a browser under test leaves them; and here levels
// come a hundred times as often as the daemon tells them, so that a page that
// does not gather them is found out.
type crowded struct {
	proxy   *httputil.ReverseProxy
	status  []byte
	figures map[string]any
	sent    atomic.Int64 // messages of levels
}

func crowd200(h *here, id string) *crowded {
	h.t.Helper()
	u, err := url.Parse(h.at.HTTP)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &crowded{proxy: httputil.NewSingleHostReverseProxy(u)}
	c.proxy.FlushInterval = -1
	var st capture.Status
	eventually(h.t, "the daemon knows the stream", 30*time.Second, func() bool {
		st = call[capture.Status](h.t, h.client, "GET", "/v1/captures/"+id, nil)
		return len(st.Streams) == 1 && st.Streams[0].Ledger["received"] > 0
	})
	one := st.Streams[0]
	st.Streams = nil
	for i := range crowd {
		s := one
		s.StreamID, s.User.ID, s.User.Name = name(i), fmt.Sprint("user-", i), fmt.Sprint("User ", i)
		st.Streams = append(st.Streams, s)
	}
	if c.status, err = json.Marshal(map[string]any{"captures": []capture.Status{st}}); err != nil {
		h.t.Fatal(err)
	}
	for m := range h.meters("capture=" + id) {
		if f, ok := m.Streams[one.StreamID]; ok {
			c.figures = map[string]any{"ledger": f.Ledger, "quality": f.Quality}
			break
		}
	}
	return c
}

func name(i int) string { return fmt.Sprintf("stream-%03d", i) }

// ServeHTTP implements http.Handler.
func (c *crowded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v1/captures" && r.URL.Query().Get("running") != "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(c.status)
	case r.URL.Path == "/v1/meters":
		c.flood(w, r, r.URL.Query().Get("capture"))
	default:
		c.proxy.ServeHTTP(w, r)
	}
}

// flood tells all levels two hundred times a second, each time others, and the
// figures of all streams twice.
func (c *crowded) flood(w http.ResponseWriter, r *http.Request, id string) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	out := http.NewResponseController(w)
	for n := 0; ; n++ {
		levels, figures := map[string]int{}, map[string]any{}
		for i := range crowd {
			levels[name(i)] = -20 - (n+i)%40
			figures[name(i)] = c.figures
		}
		message, err := json.Marshal(map[string]any{"capture": id, "state": "recording", "seconds": float64(n) / 200, "levels": levels})
		if err == nil {
			_, err = fmt.Fprintf(w, "event: levels\ndata: %s\n\n", message)
		}
		if err == nil && n%100 == 0 {
			message, _ = json.Marshal(map[string]any{"capture": id, "streams": figures})
			_, err = fmt.Fprintf(w, "event: figures\ndata: %s\n\n", message)
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			return
		}
		c.sent.Add(1)
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// watchFrames counts what the page does in a while.
const watchFrames = `(async () => {
	const seen = { frames: 0, batches: 0, rows: 0, long: 0, longest: 0 };
	const rows = new Set();
	const changes = new MutationObserver((records) => {
		const meters = records.filter((r) => r.attributeName === 'style');
		if (meters.length > 0) seen.batches++;
		for (const r of meters) rows.add(r.target);
	});
	changes.observe(document.querySelector('.streams'), { subtree: true, attributes: true, attributeFilter: ['style'] });
	const tasks = new PerformanceObserver((list) => {
		for (const { duration } of list.getEntries()) {
			seen.long++;
			seen.longest = Math.max(seen.longest, duration);
		}
	});
	tasks.observe({ type: 'longtask' });
	const end = performance.now() + 5000;
	while (performance.now() < end) {
		await new Promise(requestAnimationFrame);
		seen.frames++;
	}
	changes.disconnect();
	tasks.disconnect();
	seen.rows = rows.size;
	return seen;
})()`

// TestConsoleCrowd: a room of two hundred streams stays quick: what comes
// between two frames is shown once, and only where somebody sees it. Frames per
// second are told, not judged: others work on this machine. What a frame costs
// the page's thread is judged in its own time.
func TestConsoleCrowd(t *testing.T) {
	c := openConsole(t)
	c.join("hall", "ann", tone(t, annHz))
	call[capture.Status](t, c.client, "PUT", "/v1/captures/hall", capture.Spec{
		Room: capture.RoomSpec{RoomID: "hall"}, Record: []capture.RecordSpec{{What: "streams"}},
	})
	front := crowd200(c.here, "hall")
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	webtest.Open(t, c.page, server.URL+"/")
	c.enter(c.key)
	c.sees(fmt.Sprintf(`document.querySelectorAll('[data-capture=hall] .streams li').length === %d`, crowd))
	c.sees(`document.querySelector('.streams .meter').ariaValueNow > 0`)
	c.looks("console-crowd")
	c.accessible("crowd")
	webtest.Do(t, c.page, `scrollTo(0, 0)`)

	cpu := c.threadTime()
	sent := front.sent.Load()
	seen := webtest.Eval[struct {
		Frames, Batches, Rows, Long int
		Longest                     float64
	}](t, c.page, watchFrames)
	sent = front.sent.Load() - sent
	cpu = c.threadTime() - cpu
	each := 1000 * cpu / float64(seen.Frames)
	t.Logf("%d streams: %.1f frames a second; %d messages of levels shown in %d batches to %d rows; %.1f ms of the page's thread a frame; %d tasks over 50 ms, the longest %.0f ms",
		crowd, float64(seen.Frames)/5, sent, seen.Batches, seen.Rows, each, seen.Long, seen.Longest)
	if seen.Batches == 0 || seen.Batches > seen.Frames+2 {
		t.Errorf("meters moved in %d batches in %d frames", seen.Batches, seen.Frames)
	}
	if seen.Rows == 0 || seen.Rows > crowd/4 {
		t.Errorf("%d of %d rows were moved: those out of view, too", seen.Rows, crowd)
	}
	if each > 33 {
		t.Errorf("a frame takes %.1f ms, which is less than 30 frames a second", each)
	}
	c.fills(`.search`, "user 17")
	c.sees(`document.querySelectorAll('[data-capture=hall] .streams li').length === 11`)
}

// threadTime is the CPU time, in seconds, that the page's main thread has used.
func (c *console) threadTime() float64 {
	c.t.Helper()
	metrics, err := chromedp.Run(c.page, func(ctx context.Context, target *chromedp.Target) (performance.GetMetricsResult, error) {
		domain := performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}
		if _, err := cdp.Call(ctx, target, performance.Enable, domain); err != nil {
			return performance.GetMetricsResult{}, err
		}
		return cdp.Call(ctx, target, performance.GetMetrics, cdp.Empty{})
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range metrics.Metrics {
		if m.Name == "TaskDuration" {
			return m.Value
		}
	}
	c.t.Fatal("the browser does not tell what its thread has used")
	return 0
}
