package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mixdown/events"
	"mixdown/events/webhook"
)

// TestMain lets the senders write to memory if there is such a file system:
// every change is synced, which is what these tests would spend their time on.
func TestMain(m *testing.M) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}

// receiver is an endpoint in memory. It checks every signature with the
// reference library, and that the events of a capture come in order.
type receiver struct {
	t testing.TB

	mu       sync.Mutex
	secrets  []string // that are accepted
	answer   func(e events.Head) int
	requests int
	got      map[uint64]events.Head
	last     map[string]uint64 // per capture
	order    []uint64
	doubles  int
	anyOrder bool        // what is sent again does not come in order
	header   http.Header // of the last answer
}

func newReceiver(t testing.TB, secrets ...string) *receiver {
	return &receiver{t: t, secrets: secrets, got: map[uint64]events.Head{}, last: map[string]uint64{}}
}

var errRefused = errors.New("connection refused")

// RoundTrip implements http.RoundTripper. An answer of 0 is no answer.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var e events.Head
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Errorf("the body is no event: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if !slices.ContainsFunc(r.secrets, func(s string) bool { return verified(r.t, s, body, req.Header) }) {
		r.t.Errorf("event %d is not signed by any of %d secrets", e.Seq, len(r.secrets))
	}
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(e)
	}
	if status == 0 {
		return nil, errRefused
	}
	rec := httptest.NewRecorder()
	for k, v := range r.header {
		rec.Header()[k] = v
	}
	rec.WriteHeader(status)
	if status/100 == 2 && e.Seq > 0 {
		r.take(e)
	}
	return rec.Result(), nil
}

func (r *receiver) take(e events.Head) {
	if _, ok := r.got[e.Seq]; ok {
		r.doubles++
		return
	}
	if !r.anyOrder && e.CaptureSeq > 0 && e.CaptureSeq != r.last[e.Capture]+1 {
		r.t.Errorf("event %d of capture %s comes after %d", e.CaptureSeq, e.Capture, r.last[e.Capture])
	}
	r.got[e.Seq], r.last[e.Capture] = e, e.CaptureSeq
	r.order = append(r.order, e.Seq)
}

func (r *receiver) set(answer func(events.Head) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) counts() (events, requests, doubles int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got), r.requests, r.doubles
}

func verified(t testing.TB, secret string, body []byte, h http.Header) bool {
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return wh.Verify(body, h) == nil
}

// world is a log and a sender over one folder.
type world struct {
	t    testing.TB
	log  *events.Log
	s    *webhook.Sender
	stop func()
}

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

func open(t testing.TB, dir string, transport http.RoundTripper, configured map[string]webhook.Configured) *world {
	t.Helper()
	l, err := events.Open(filepath.Join(dir, "events"), events.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := webhook.Open(webhook.Config{Dir: filepath.Join(dir, "webhooks"), Log: l, Transport: transport, Configured: configured})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	wg.Go(func() { _ = s.Run(ctx) })
	w := &world{t, l, s, sync.OnceFunc(func() { cancel(); wg.Wait() })}
	t.Cleanup(w.stop)
	return w
}

func (w *world) publish(n int, captures int) {
	for i := range n {
		w.log.Publish(events.Event{Type: "test", Capture: fmt.Sprint("c", i%captures), Room: "r", Data: map[string]int{"i": i}})
	}
}

func (w *world) status(name string) webhook.Status {
	w.t.Helper()
	s, err := w.s.Get(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func one(e webhook.Endpoint) map[string]webhook.Configured {
	e.URL = "https://hooks.example.org/x"
	return map[string]webhook.Configured{"one": {Endpoint: e, Secret: secret}}
}

type routes map[string]http.RoundTripper

// RoundTrip implements http.RoundTripper.
func (r routes) RoundTrip(req *http.Request) (*http.Response, error) {
	return r[req.URL.Host].RoundTrip(req)
}

// hanging never answers.
type hanging struct{}

// RoundTrip implements http.RoundTripper.
func (hanging) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}
