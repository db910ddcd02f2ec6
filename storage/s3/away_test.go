package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"mixdown/storage"
	"mixdown/storage/storagetest"
)

// counting is a transport that notes when requests begin.
type counting struct {
	http.RoundTripper
	mu    sync.Mutex
	began []time.Time
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.began = append(c.began, time.Now())
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

// during lists the requests that began in a time.
func (c *counting) during(from, to time.Time) (all []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.began {
		if !at.Before(from) && at.Before(to) {
			all = append(all, at)
		}
	}
	return all
}

// network is a way to a server that a test can spoil.
func network(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // its toxics log past the logger they are given
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), "s3", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// TestAway: a real server behind toxiproxy goes away in every way that a
// network knows: refused, swallowed, reset, too slow. It is asked at most once
// a second meanwhile, and the hour's backlog of a capture arrives when it is
// back: once, whole, in a tenth of the time that it took to record. What takes
// an hour in earnest is virtual time in package storage.
func TestAway(t *testing.T) {
	streams, segments := 10, 60
	if os.Getenv("MIXDOWN_SOAK") != "" {
		streams = 100
	}
	server := storagetest.StartS3(t)
	p := network(t, server.Endpoint)
	c := config(server)
	c.Endpoint = "http://" + p.Listen
	requests := &counting{RoundTripper: http.DefaultTransport.(*http.Transport).Clone()}
	c.Transport = requests
	s, err := storage.OpenSpool(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	known := make(chan time.Time, 1) // when the first upload had failed
	u := storage.NewUploader(s, map[string]storage.Bucket{"s3": open(t, c)}, storage.Options{
		Deadline: func(int64) time.Duration { return 10 * time.Second },
		Uploaded: func(_, _ string, err error) {
			if err != nil {
				select {
				case known <- time.Now():
				default:
				}
			}
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- u.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	want := map[string]string{}
	add := func(segment int) {
		for i := range streams {
			key := fmt.Sprintf("room/call/streams/u%d/mic/%06d.ogg", i, segment)
			want[key] = strings.Repeat(key, 40)
			commit(t, s, key, bytes.Repeat([]byte(key), 40))
		}
	}
	add(0)
	if err := u.Drain(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	toxic := func(name string, attributes map[string]any) func() {
		raw, _ := json.Marshal(map[string]any{"name": name, "type": name, "attributes": attributes})
		return func() {
			if _, err := p.Toxics.AddToxicJson(bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func() {
		return func() {
			if err := p.Toxics.RemoveToxic(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	next, last := 1, func() {}
	for _, way := range []struct {
		name         string
		begin, after func()
	}{
		{"refused", p.Stop, func() {
			if err := p.Start(); err != nil { // on the same port
				t.Fatal(err)
			}
		}},
		{"swallowed", toxic("timeout", map[string]any{"timeout": 0}), remove("timeout")},
		{"reset", toxic("reset_peer", map[string]any{"timeout": 0}), remove("reset_peer")},
		{"slow", toxic("bandwidth", map[string]any{"rate": 0}), nil}, // not a byte; ended below
	} {
		way.begin()
		last() // not before: in between, the bucket would be there
		last = way.after
		from := time.Now()
		for until := from.Add(4 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
			if next < segments {
				add(next)
				next++
			}
		}
		began := requests.during(from, time.Now())
		t.Logf("%s: %d requests in %.1f s", way.name, len(began), time.Since(from).Seconds())
	}
	// Several may be under way before the first of them tells that it is away.
	for all, i := requests.during(<-known, time.Now()), 1; i < len(all); i++ {
		if gap := all[i].Sub(all[i-1]); gap < 900*time.Millisecond {
			t.Errorf("request %d came %v after the one before it, while the server was away", i, gap)
		}
	}
	for ; next < segments; next++ {
		add(next)
	}
	if waiting, _ := s.Pending("s3", ""); waiting < (segments-2)*streams {
		t.Errorf("only %d of %d segments wait: the server was not away", waiting, (segments-1)*streams)
	}
	p.Toxics.ResetToxics(t.Context())
	back := time.Now()
	drain, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	if err := u.Drain(drain, ""); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d segments arrived in %.1f s", (segments-1)*streams, time.Since(back).Seconds())
	if st := u.Stats()["s3"]; st.Conflicts != 0 {
		t.Errorf("%+v", st)
	}
	holds(t, open(t, config(server)), want)
}
