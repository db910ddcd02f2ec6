package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mixdown/configs"
	"mixdown/events"
	"mixdown/events/webhook"
)

// inbox is a webhook's endpoint that keeps what is signed well.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	broken bool
	types  []string
	seqs   []uint64
	wrong  int
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		wh, err := standardwebhooks.NewWebhook(b.secret)
		if err != nil || wh.Verify(body, r.Header) != nil {
			b.wrong++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if b.broken {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var e events.Head
		if json.Unmarshal(body, &e) == nil {
			b.types = append(b.types, e.Type)
			b.seqs = append(b.seqs, e.Seq)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) got() (types []string, seqs []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.types), slices.Clone(b.seqs)
}

func TestWebhooksOverHTTP(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	local := func(c *configs.Config) { c.Data, c.Network.Allow = data, []string{"127.0.0.1"} }
	h := startHere(t, local)
	box := newInbox(t)
	body := map[string]any{"url": box.URL + "/x?token=hidden", "events": []string{"capture.*"}}
	made := decode[struct{ Secret, State string }](h.ask("PUT", "/v1/webhooks/ops", body).ok(201))
	if !strings.HasPrefix(made.Secret, "whsec_") || made.State != "ok" {
		t.Fatalf("made %+v", made)
	}
	box.secret = made.Secret
	if again := h.ask("PUT", "/v1/webhooks/ops", body).ok(200); strings.Contains(string(again.body), made.Secret) {
		t.Error("the secret is shown twice")
	}
	test := decode[struct {
		Delivered bool
		Status    int
	}](h.ask("POST", "/v1/webhooks/ops/test", nil).ok(200))
	if !test.Delivered || test.Status != 200 {
		t.Errorf("the test: %+v", test)
	}
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	h.ask("POST", "/v1/captures/a/stop", nil).ok(200)
	waitFor(t, 30*time.Second, "the last event of the capture", func() bool {
		types, _ := box.got()
		return slices.Contains(types, "capture.complete")
	})
	rotated := decode[struct{ Secret string }](h.ask("POST", "/v1/webhooks/ops/rotate", nil).ok(200))
	box.mu.Lock()
	box.secret, box.broken = rotated.Secret, true
	box.mu.Unlock()
	h.ask("PUT", "/v1/captures/b", spec("r")).ok(201)
	h.ask("POST", "/v1/captures/b/stop", nil).ok(200)
	waitFor(t, 30*time.Second, "a failure", func() bool {
		return decode[webhook.Status](h.ask("GET", "/v1/webhooks/ops", nil).ok(200)).State != "ok"
	})
	h.stop() // what waits is delivered by the next start
	box.mu.Lock()
	box.broken = false
	box.mu.Unlock()
	h = startHere(t, local)
	waitFor(t, 30*time.Second, "the events of b", func() bool {
		types, _ := box.got()
		return strings.Count(strings.Join(types, " "), "capture.complete") == 2
	})
	if _, seqs := box.got(); !slices.IsSorted(seqs) || box.wrong != 0 {
		t.Errorf("the events came as %v; %d were signed wrongly", seqs, box.wrong)
	}
	waitFor(t, 30*time.Second, "nothing waits", func() bool { // the daemon counts a delivery after the inbox does
		return decode[webhook.Status](h.ask("GET", "/v1/webhooks/ops", nil).ok(200)).Pending == 0
	})
	if list := decode[struct{ Webhooks []webhook.Status }](h.ask("GET", "/v1/webhooks", nil).ok(200)); len(list.Webhooks) != 1 || list.Webhooks[0].Pending != 0 {
		t.Errorf("the list is %+v", list)
	}
	if dead := decode[struct{ Dead []webhook.Letter }](h.ask("GET", "/v1/webhooks/ops/dead", nil).ok(200)); dead.Dead == nil || len(dead.Dead) != 0 {
		t.Errorf("dead letters: %+v", dead)
	}
	h.ask("POST", "/v1/webhooks/ops/dead/resend", nil).ok(202)
	h.ask("POST", "/v1/webhooks/ops/dead/7/resend", nil).problem(404, "dead_letter_not_found")
	h.ask("DELETE", "/v1/webhooks/ops", nil).ok(204)
	h.ask("GET", "/v1/webhooks/ops", nil).problem(404, "webhook_not_found")
	if strings.Contains(h.log.String(), made.Secret) || strings.Contains(h.log.String(), "token=hidden") {
		t.Error("the log shows a secret")
	}
}

// TestWebhooksGoToPublicAddresses: without network.allow nothing reaches this
// machine, whatever its spelling.
func TestWebhooksGoToPublicAddresses(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
	box := newInbox(t)
	port := box.URL[strings.LastIndex(box.URL, ":"):]
	h := startHere(t, func(c *configs.Config) {
		c.Webhooks = map[string]configs.Webhook{"file": {URL: "http://localhost" + port, Secret: secret}}
	})
	box.secret = secret
	for _, url := range []string{"http://127.0.0.1" + port, "http://[::ffff:127.0.0.1]" + port, "http://169.254.169.254/", "file:///etc/passwd", "gopher://x/", "x"} {
		h.ask("PUT", "/v1/webhooks/x", map[string]any{"url": url}).problem(422, "invalid_webhook")
	}
	for _, url := range []string{"http://localhost", "http://0x7f000001", "http://2130706433", "http://017700000001", "http://127.1", "http://0"} {
		h.ask("PUT", "/v1/webhooks/x", map[string]any{"url": url + port, "secret": secret})
		if a := h.ask("POST", "/v1/webhooks/x/test", nil); strings.Contains(string(a.body), `"delivered":true`) {
			t.Errorf("%s was reached", url)
		}
	}
	if a := h.ask("POST", "/v1/webhooks/file/test", nil).ok(200); !strings.Contains(string(a.body), "network.allow") {
		t.Errorf("the refusal does not say what to do: %s", a.body)
	}
	if types, _ := box.got(); len(types) != 0 || box.wrong != 0 {
		t.Errorf("%v arrived", types)
	}
	h.ask("PUT", "/v1/webhooks/file", map[string]any{"url": "https://example.org"}).problem(409, "webhook_configured")
	h.ask("DELETE", "/v1/webhooks/file", nil).problem(409, "webhook_configured")
}

// waitFor waits until what is true.
func waitFor(t *testing.T, d time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}
