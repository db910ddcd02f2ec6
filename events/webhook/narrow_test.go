package webhook_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/events"
	"mixdown/events/webhook"
)

// TestNarrowedFilter: what waits for an endpoint goes to the one that took its
// place only if that is to have it.
func TestNarrowedFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newReceiver(t, secret), newReceiver(t, secret)
		fresh.anyOrder = true // the events of a capture are not all for it
		old.set(func(events.Head) int { return 500 })
		w := open(t, t.TempDir(), routes{"a.example.org": old, "b.example.org": fresh}, nil)
		if _, _, err := w.s.Put("one", webhook.Endpoint{URL: "https://a.example.org/"}, secret); err != nil {
			t.Fatal(err)
		}
		for _, room := range []string{"board", "sales-1", "board"} {
			w.log.Publish(events.Event{Type: "capture.recording", Capture: "c", Room: room, Data: 1})
		}
		time.Sleep(time.Minute)
		if _, _, err := w.s.Put("one", webhook.Endpoint{URL: "https://b.example.org/", Rooms: []string{"sales-*"}}, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n, _, _ := fresh.counts(); n != 1 {
			t.Errorf("the endpoint for sales-* got %d events", n)
		}
		if st := w.status("one"); st.Pending != 0 || st.Dead != 0 {
			t.Errorf("%d events wait, %d are dead", st.Pending, st.Dead)
		}
		w.stop()
	})
}

// TestUnreadableForAMoment: an event that cannot be read is not given up while
// it is there.
func TestUnreadableForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newReceiver(t, secret)
		r.anyOrder = true
		r.set(func(events.Head) int { return 500 })
		w := open(t, dir, r, one(webhook.Endpoint{}))
		w.publish(5, 5)
		time.Sleep(time.Second)
		w.publish(1100, 1) // more than the log remembers
		time.Sleep(time.Second)
		files, err := filepath.Glob(filepath.Join(dir, "events", "*.jsonl"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := os.Rename(f, f+".x"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(f, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Minute)
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(f+".x", f); err != nil {
				t.Fatal(err)
			}
		}
		r.set(nil)
		time.Sleep(time.Hour)
		if st := w.status("one"); st.Dead != 0 || st.Pending != 0 {
			t.Errorf("%d events are dead, %d wait", st.Dead, st.Pending)
		}
		if n, _, _ := r.counts(); n != 1105 {
			t.Errorf("%d of 1105 events came", n)
		}
		w.stop()
	})
}
