package webhook_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/events"
	"mixdown/events/webhook"
)

// slowlyGone is an endpoint that has moved away, and takes its time to say so.
type slowlyGone struct{}

func (slowlyGone) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(5 * time.Second)
	w := httptest.NewRecorder()
	w.WriteHeader(http.StatusGone)
	return w.Result(), nil
}

// TestMovedEndpoint: what the endpoint of before answers means nothing for the
// one that took its place meanwhile.
func TestMovedEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moved := newReceiver(t, secret)
		w := open(t, t.TempDir(), routes{"old.example.org": slowlyGone{}, "new.example.org": moved}, nil)
		put := func(host string) {
			if _, _, err := w.s.Put("one", webhook.Endpoint{URL: "https://" + host + "/x"}, secret); err != nil {
				t.Fatal(err)
			}
		}
		put("old.example.org")
		w.publish(1, 1)
		time.Sleep(time.Second)
		put("new.example.org")
		time.Sleep(time.Minute)
		w.publish(3, 1)
		time.Sleep(time.Minute)
		if n, _, _ := moved.counts(); n != 4 || w.status("one").State != "ok" {
			t.Errorf("the new endpoint got %d events, the webhook is %s", n, w.status("one").State)
		}
		w.stop()
	})
}

// dying makes a dead letter.
func dying(t *testing.T, dir string) *world {
	r := newReceiver(t, secret)
	r.anyOrder = true
	r.set(func(events.Head) int { return 500 })
	w := open(t, dir, r, one(webhook.Endpoint{}))
	w.publish(1, 1)
	time.Sleep(73 * time.Hour)
	if st := w.status("one"); st.Dead != 1 {
		t.Fatalf("status %+v", st)
	}
	return w
}

// killed is what a kill leaves: it goes on as another daemon.
func killed(t *testing.T, dir string, w *world) (sent int, st webhook.Status) {
	var left string
	for err, tries := error(fs.ErrNotExist), 0; err != nil; tries++ {
		if left = t.TempDir(); !errors.Is(err, fs.ErrNotExist) || tries > 20 {
			t.Fatal(err)
		}
		err = os.CopyFS(left, os.DirFS(dir)) // a file that is being written may have got its name meanwhile
	}
	w.stop()
	r := newReceiver(t, secret)
	r.anyOrder = true
	w = open(t, left, r, one(webhook.Endpoint{}))
	time.Sleep(time.Hour)
	sent, _, _ = r.counts()
	st = w.status("one")
	w.stop()
	return sent, st
}

// TestResendSurvivesKill: a dead letter that was sent again is, though the
// daemon is killed right after the answer.
func TestResendSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := dying(t, dir)
		if n, err := w.s.Resend("one", 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, st := killed(t, dir, w); n != 1 || st.Dead != 0 {
			t.Errorf("sent %d, dead %d", n, st.Dead)
		}
	})
}

// TestResendBetweenFiles: where only one of the two files can be written, the
// event is in one of them.
func TestResendBetweenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := dying(t, dir)
		state := filepath.Join(dir, "webhooks", "one.state.json")
		old, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(state)
		if err := os.MkdirAll(filepath.Join(state, "x"), 0o700); err != nil { // no file takes its place
			t.Fatal(err)
		}
		if _, err := w.s.Resend("one", 0); err == nil {
			t.Error("confirmed, and not written")
		}
		time.Sleep(3 * time.Second)
		_ = os.RemoveAll(state)
		if err := os.WriteFile(state, old, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, st := killed(t, dir, w); n == 0 && st.Dead == 0 {
			t.Error("the event is nowhere")
		}
	})
}
