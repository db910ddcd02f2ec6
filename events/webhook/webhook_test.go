package webhook_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/events"
	"mixdown/events/webhook"
)

// TestDownFor36Hours: the receiver is away for a day and a half, answers 500
// at random before and after, and the daemon is killed again and again. Every
// event arrives, in the order of its capture.
func TestDownFor36Hours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(36, 1))
		dir := t.TempDir()
		r := newReceiver(t, secret)
		begin := time.Now()
		var mu sync.Mutex
		r.set(func(events.Head) int {
			mu.Lock()
			defer mu.Unlock()
			switch since := time.Since(begin); {
			case since > time.Hour && since < 37*time.Hour:
				return 0
			case rnd.IntN(10) < 3:
				return 500
			}
			return 200
		})
		w := open(t, dir, r, one(webhook.Endpoint{}))
		published := 0
		for time.Since(begin) < 38*time.Hour {
			n := 1 + published%3
			w.publish(n, 5)
			published += n
			time.Sleep(time.Duration(1+published%7) * time.Minute)
			if published%40 < n { // killed: nobody sees what this life writes from here on
				time.Sleep(time.Duration(published%1500) * time.Millisecond)
				synctest.Wait()
				image := t.TempDir()
				if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				r.set(func(events.Head) int { return 0 })
				w.stop()
				r.set(func(events.Head) int {
					mu.Lock()
					defer mu.Unlock()
					if since := time.Since(begin); since > time.Hour && since < 37*time.Hour {
						return 0
					} else if rnd.IntN(10) < 3 {
						return 500
					}
					return 200
				})
				dir = image
				w = open(t, dir, r, one(webhook.Endpoint{}))
			}
		}
		time.Sleep(time.Hour)
		got, requests, doubles := r.counts()
		if last := w.log.Last(); got != published || last != uint64(published) {
			t.Errorf("%d of %d events arrived, the log has %d", got, published, last)
		}
		for seq := range uint64(published) {
			if _, ok := r.got[seq+1]; !ok {
				t.Errorf("event %d did not arrive", seq+1)
			}
		}
		if st := w.status("one"); st.Pending != 0 || st.Dead != 0 || st.State != "ok" {
			t.Errorf("status %+v", st)
		}
		t.Logf("%d events, %d requests, %d came twice", got, requests, doubles)
		w.stop()
	})
}

// TestRecovery: when an endpoint comes back it gets everything at once.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, secret)
		r.set(func(events.Head) int { return 0 })
		w := open(t, t.TempDir(), r, one(webhook.Endpoint{}))
		w.publish(1000, 100)
		time.Sleep(10 * time.Hour)
		if _, requests, _ := r.counts(); requests > 1000 {
			t.Errorf("an endpoint that is down got %d requests in ten hours", requests)
		}
		if st := w.status("one"); st.State != "down" || st.Pending != 1000 || st.NextTry == nil || st.Last.Error == "" {
			t.Errorf("status %+v", st)
		}
		r.set(nil)
		time.Sleep(2 * time.Minute)
		if got, _, _ := r.counts(); got != 1000 {
			t.Errorf("%d events of 1000 two minutes after it came back", got)
		}
		w.stop()
	})
}

// TestOneThatIsRefusedDelaysNobodyElse: neither other captures nor other
// endpoints.
func TestOneThatIsRefusedDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := newReceiver(t, secret), newReceiver(t, secret)
		bad.set(func(e events.Head) int {
			if e.Capture == "c0" {
				return 422
			}
			return 200
		})
		both := routes{"bad.example.org": bad, "good.example.org": good, "dead.example.org": hanging{}}
		w := open(t, t.TempDir(), both, map[string]webhook.Configured{
			"bad":  {Endpoint: webhook.Endpoint{URL: "https://bad.example.org/"}, Secret: secret},
			"good": {Endpoint: webhook.Endpoint{URL: "https://good.example.org/"}, Secret: secret},
			"dead": {Endpoint: webhook.Endpoint{URL: "https://dead.example.org/"}, Secret: secret},
		})
		w.publish(30, 3)
		time.Sleep(time.Second)
		if n, _, _ := good.counts(); n != 30 {
			t.Errorf("the good endpoint has %d of 30 events after a second", n)
		}
		time.Sleep(5 * time.Minute)
		if n, _, _ := bad.counts(); n != 20 {
			t.Errorf("the endpoint that refuses one capture has %d of the others' 20 events", n)
		}
		// Hours later the refused one has failed often; others still get through.
		time.Sleep(10 * time.Hour)
		w.publish(3, 3)
		time.Sleep(2 * time.Minute)
		if n, _, _ := bad.counts(); n != 22 {
			t.Errorf("it has %d of the others' 22 events", n)
		}
		time.Sleep(73 * time.Hour)
		for name, want := range map[string]int{"bad": 11, "dead": 33, "good": 0} {
			if st := w.status(name); st.Dead != want || st.Pending != 0 {
				t.Errorf("%s: %d dead letters, want %d; %d pending", name, st.Dead, want, st.Pending)
			}
		}
		w.stop()
	})
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newReceiver(t, secret)
		r.set(func(events.Head) int { return 503 })
		w := open(t, dir, r, one(webhook.Endpoint{}))
		w.publish(10, 2)
		time.Sleep(73 * time.Hour)
		w.stop()
		w = open(t, dir, r, one(webhook.Endpoint{}))
		dead, more, err := w.s.Dead("one", 0, 4)
		if err != nil || len(dead) != 4 || !more || dead[0].Seq != 1 || dead[0].Attempts == 0 || dead[0].Error == "" {
			t.Errorf("dead letters %+v, %v, %v", dead, more, err)
		}
		if rest, more, _ := w.s.Dead("one", dead[3].Seq, 10); len(rest) != 6 || more {
			t.Errorf("then %+v, %v", rest, more)
		}
		if _, err := w.s.Resend("one", 77); !errors.Is(err, webhook.ErrNoLetter) {
			t.Errorf("resend of none: %v", err)
		}
		r.set(nil)
		r.mu.Lock()
		r.anyOrder = true
		r.mu.Unlock()
		if n, err := w.s.Resend("one", 3); n != 1 || err != nil {
			t.Errorf("resend of 3: %d, %v", n, err)
		}
		time.Sleep(time.Second)
		if got, _, _ := r.counts(); got != 1 {
			t.Errorf("%d arrived, want 1", got)
		}
		w.publish(1, 1)
		time.Sleep(time.Second)
		if n, err := w.s.Resend("one", 0); n != 9 || err != nil {
			t.Errorf("resend of all: %d, %v", n, err)
		}
		time.Sleep(time.Second)
		if got, _, doubles := r.counts(); got != 11 || doubles != 0 {
			t.Errorf("%d arrived, want 11; %d twice", got, doubles)
		}
		if st := w.status("one"); st.Dead != 0 || st.Pending != 0 || st.Sent != 11 {
			t.Errorf("status %+v", st)
		}
		w.stop()
	})
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newReceiver(t)
		w := open(t, dir, r, nil)
		first, created, err := w.s.Put("a", webhook.Endpoint{URL: "https://a.example.org/"}, "")
		if err != nil || !created || first == "" {
			t.Fatalf("put: %q, %v, %v", first, created, err)
		}
		accept := func(secrets ...string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.secrets = secrets
		}
		accept(first)
		w.publish(1, 1)
		time.Sleep(time.Second)
		second, err := w.s.Rotate("a", time.Hour)
		if err != nil || second == first {
			t.Fatalf("rotate: %v", err)
		}
		w.publish(1, 1) // who knows only the old one still accepts it
		time.Sleep(time.Second)
		accept(second)
		w.publish(1, 1)
		time.Sleep(time.Second)
		w.stop()
		w = open(t, dir, r, nil)
		w.publish(1, 1)
		time.Sleep(time.Second)
		if st := w.status("a"); st.Secrets != 2 {
			t.Errorf("%d secrets sign during the overlap", st.Secrets)
		}
		time.Sleep(2 * time.Hour)
		if st := w.status("a"); st.Secrets != 1 {
			t.Errorf("%d secrets sign after the overlap", st.Secrets)
		}
		if got, _, _ := r.counts(); got != 4 {
			t.Errorf("%d events arrived, want 4", got)
		}
		if err := w.s.Delete("a"); err != nil {
			t.Error(err)
		}
		if _, err := w.s.Get("a"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("after the deletion: %v", err)
		}
		left, _ := os.ReadDir(filepath.Join(dir, "webhooks"))
		if len(left) > 0 {
			t.Errorf("%v is left", left)
		}
		w.stop()
	})
}

// TestRotationAgain: who rotates twice in a day leaves who knows the first secret
// the time that was promised; who rotates without an overlap leaves nobody any.
func TestRotationAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		w := open(t, t.TempDir(), r, nil)
		first, _, err := w.s.Put("a", webhook.Endpoint{URL: "https://a.example.org/"}, "")
		if err != nil {
			t.Fatal(err)
		}
		signed := func(secrets int, known ...string) {
			t.Helper()
			before, _, _ := r.counts()
			for _, one := range known {
				r.mu.Lock()
				r.secrets = []string{one}
				r.mu.Unlock()
				w.publish(1, 1)
				time.Sleep(time.Second)
			}
			if after, _, _ := r.counts(); after-before != len(known) || w.status("a").Secrets != secrets {
				t.Errorf("of %d secrets %d sign, and %d are said to", len(known), after-before, w.status("a").Secrets)
			}
		}
		rotate := func(overlap time.Duration) string {
			t.Helper()
			made, err := w.s.Rotate("a", overlap)
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		second := rotate(time.Hour)
		time.Sleep(30 * time.Minute)
		third := rotate(24 * time.Hour)
		signed(3, first, second, third)
		time.Sleep(31 * time.Minute)
		signed(2, second, third)
		newest := ""
		for range 20 {
			newest = rotate(time.Hour)
		}
		signed(8, second, newest)
		signed(1, rotate(0))
		w.stop()
	})
}

func TestFiltersAndRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, secret)
		w := open(t, t.TempDir(), r, one(webhook.Endpoint{Events: []string{"capture.*"}, Rooms: []string{"a?"}, Captures: []string{"x*"}}))
		for _, e := range []events.Event{
			{Type: "capture.complete", Capture: "x1", Room: "ab"}, {Type: "segment.sealed", Capture: "x2", Room: "ab"},
			{Type: "capture.complete", Capture: "y", Room: "ab"}, {Type: "capture.complete", Capture: "x3", Room: "b"}, {Type: "spool.low"},
		} {
			w.log.Publish(e)
		}
		time.Sleep(time.Second)
		if got, _, _ := r.counts(); got != 1 {
			t.Errorf("%d events arrived, want 1", got)
		}
		for _, err := range []error{
			second(w.s.Put("one", webhook.Endpoint{}, "")), w.s.Delete("one"),
		} {
			if !errors.Is(err, webhook.ErrConfigured) {
				t.Errorf("got %v, want that it is configured", err)
			}
		}
		for name, key := range map[string]string{"Bad": "", "x/y": "", "ok": "whsec_short", "fine": "secret"} {
			if _, _, err := w.s.Put(name, webhook.Endpoint{URL: "https://x.example.org"}, key); err == nil {
				t.Errorf("put %s with secret %q is taken", name, key)
			}
		}
		a, err := w.s.Test(t.Context(), "one")
		if err != nil || a.Status != 204 {
			t.Errorf("test: %+v, %v", a, err)
		}
		// 410 is the endpoint's way to say that nobody lives there.
		r.set(func(events.Head) int { return 410 })
		w.log.Publish(events.Event{Type: "capture.complete", Capture: "x1", Room: "ab"})
		time.Sleep(time.Hour)
		if st := w.status("one"); st.State != "disabled" || st.Pending != 1 {
			t.Errorf("after 410: %+v", st)
		}
		w.stop()
	})
}

func second(_ string, _ bool, err error) error { return err }

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, secret)
		r.header = http.Header{"Retry-After": {"600"}}
		r.set(func(events.Head) int { return 429 })
		w := open(t, t.TempDir(), r, one(webhook.Endpoint{}))
		w.publish(1, 1)
		time.Sleep(9 * time.Minute)
		if _, requests, _ := r.counts(); requests != 1 {
			t.Errorf("%d requests in the time that the endpoint asked for", requests)
		}
		r.set(nil)
		time.Sleep(2 * time.Minute)
		if got, _, _ := r.counts(); got != 1 {
			t.Errorf("%d arrived", got)
		}
		w.stop()
	})
}

// TestRealServer: redirects are not followed, endless answers are not read,
// slow ones are given up.
func TestRealServer(t *testing.T) {
	var elsewhere bool
	mux := http.NewServeMux()
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !verified(t, secret, body, r.Header) || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("not signed: %v", r.Header)
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	w := open(t, t.TempDir(), transport, nil)
	for path, want := range map[string]string{"/redirect": "answered 307; redirects are not followed", "/endless": "answered 500 xxx", "/good": ""} {
		if _, _, err := w.s.Put("x", webhook.Endpoint{URL: srv.URL + path}, secret); err != nil {
			t.Fatal(err)
		}
		a, err := w.s.Test(t.Context(), "x")
		if err != nil || want == "" && a.Error != "" || want != "" && !bytes.HasPrefix([]byte(a.Error), []byte(want)) {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	if elsewhere {
		t.Error("a redirect was followed")
	}
}

// slowEnd is an endpoint whose requests take their time to be given up.
type slowEnd struct{}

func (slowEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	time.Sleep(50 * time.Millisecond)
	return nil, r.Context().Err()
}

// TestPutWhileDeleted: a webhook that is made while another of its name is
// being deleted is a new one, and stays. The time is real: a virtual one stands
// still while a lock is waited for.
func TestPutWhileDeleted(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, slowEnd{}, nil)
	if _, _, err := w.s.Put("x", webhook.Endpoint{URL: "https://a.example.org/"}, ""); err != nil {
		t.Fatal(err)
	}
	w.publish(3, 1)
	time.Sleep(300 * time.Millisecond) // a request is under way
	deleted := make(chan error)
	go func() { deleted <- w.s.Delete("x") }()
	time.Sleep(20 * time.Millisecond)
	_, created, err := w.s.Put("x", webhook.Endpoint{URL: "https://b.example.org/"}, "")
	if err != nil || !created {
		t.Errorf("created %v, %v", created, err)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "webhooks", "x.json")); err != nil {
		t.Error(err)
	}
	if st := w.status("x"); st.Pending != 0 {
		t.Errorf("%d events of the one before wait for it", st.Pending)
	}
}
