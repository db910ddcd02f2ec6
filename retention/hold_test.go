package retention_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mixdown/retention"
	"mixdown/storage"
)

func openHolds(t testing.TB, dir string) *retention.Holds {
	t.Helper()
	h, err := retention.OpenHolds(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func place(t testing.TB, h *retention.Holds, id string, s retention.Selector) {
	t.Helper()
	if _, _, err := h.Place(retention.Hold{ID: id, Selector: s, Reason: "litigation", By: "admin"}); err != nil {
		t.Fatal(err)
	}
}

func code(err error) retention.Code {
	var r *retention.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func at(hour int) storage.Time { return storage.At(time.Date(2027, 3, 1, hour, 0, 0, 0, time.UTC)) }

func TestSelectors(t *testing.T) {
	rec := retention.Recording{
		ID: "c1", Room: storage.Room{RoomID: "desk"}, Users: []string{"ann", "bob"}, Labels: map[string]string{"case": "A-17"},
		Start: at(10).Time, End: at(12).Time,
	}
	running := rec
	running.End = time.Time{}
	for _, c := range []struct {
		s            retention.Selector
		ended, still bool
	}{
		{retention.Selector{All: true}, true, true},
		{retention.Selector{RecordingID: "c1"}, true, true},
		{retention.Selector{RecordingID: "c"}, false, false},
		{retention.Selector{RoomID: "desk"}, true, true},
		{retention.Selector{RoomID: "desk", UserID: "bob"}, true, true},
		{retention.Selector{RoomID: "desk", UserID: "eve"}, false, false},
		{retention.Selector{Label: "case"}, true, true},
		{retention.Selector{Label: "case=A-17"}, true, true},
		{retention.Selector{Label: "case=A-18"}, false, false},
		{retention.Selector{Label: "suit"}, false, false},
		{retention.Selector{From: at(11)}, true, true},
		{retention.Selector{From: at(12)}, true, true}, // the last sample counts
		{retention.Selector{From: at(13)}, false, true},
		{retention.Selector{To: at(10)}, true, true},
		{retention.Selector{To: at(9)}, false, false},
		{retention.Selector{From: at(9), To: at(11), RoomID: "desk", Label: "case"}, true, true},
	} {
		if got := c.s.Selects(rec); got != c.ended {
			t.Errorf("%+v selects the recording: %v", c.s, got)
		}
		if got := c.s.Selects(running); got != c.still {
			t.Errorf("%+v selects it while it runs: %v", c.s, got)
		}
	}
}

func TestHoldsStay(t *testing.T) {
	dir := t.TempDir()
	h := openHolds(t, dir)
	rec := retention.Recording{ID: "c1", Room: storage.Room{RoomID: "desk"}}
	place(t, h, "h1", retention.Selector{RoomID: "desk", From: storage.Time{Time: time.Date(2027, 1, 1, 0, 0, 0, 1234, time.UTC)}})
	place(t, h, "h2", retention.Selector{All: true})
	for range 2 {
		if got := h.Of(rec); !slices.Equal(got, []string{"h1", "h2"}) {
			t.Errorf("held by %v", got)
		}
		free := false
		if err := h.WhileFree(rec, func() error { free = true; return nil }); code(err) != retention.Held || free {
			t.Errorf("free: %v, %v", free, err)
		}
		h = openHolds(t, dir) // a restart
	}
	if _, created, err := h.Place(retention.Hold{ID: "h1", Selector: retention.Selector{RoomID: "desk", From: storage.Time{Time: time.Date(2027, 1, 1, 0, 0, 0, 1234, time.UTC)}}, Reason: "litigation"}); created || err != nil {
		t.Errorf("the same again: %v, %v", created, err)
	}
	if _, _, err := h.Place(retention.Hold{ID: "h1", Selector: retention.Selector{RoomID: "other"}, Reason: "litigation"}); code(err) != retention.HoldChanged {
		t.Errorf("another under its id: %v", err)
	}
	for _, id := range []string{"h1", "h2"} {
		if _, err := h.Release(id); err != nil {
			t.Error(err)
		}
		if _, err := h.Release(id); code(err) != retention.NoHold {
			t.Errorf("release again: %v", err)
		}
	}
	if err := openHolds(t, dir).WhileFree(rec, func() error { return nil }); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

// Another process deletes beside the daemon: a hold waits for it, and from then
// on keeps everything from it.
func TestHoldsOfAnotherProcess(t *testing.T) {
	dir, r := t.TempDir(), retention.Recording{ID: "x"}
	h := openHolds(t, dir)
	place := func() error {
		_, _, err := h.Place(retention.Hold{ID: "h", Selector: retention.Selector{All: true}, Reason: "x"})
		return err
	}
	placed := make(chan error, 1)
	err := retention.WhileFree(dir, r, func() error {
		go func() { placed <- place() }()
		select {
		case err := <-placed:
			t.Errorf("placed while something is deleted: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-placed; err != nil {
		t.Fatal(err)
	}
	err = retention.WhileFree(dir, r, func() error {
		t.Error("deleted what is held")
		return nil
	})
	if err == nil {
		t.Error("not refused")
	}
}

func TestBadHolds(t *testing.T) {
	h := openHolds(t, t.TempDir())
	for name, hold := range map[string]retention.Hold{
		"id":      {ID: "../x", Selector: retention.Selector{All: true}, Reason: "r"},
		"nothing": {ID: "h", Reason: "r"},
		"both":    {ID: "h", Selector: retention.Selector{All: true, RoomID: "x"}, Reason: "r"},
		"range":   {ID: "h", Selector: retention.Selector{From: at(3), To: at(2)}, Reason: "r"},
		"reason":  {ID: "h", Selector: retention.Selector{All: true}, Reason: " "},
	} {
		if _, _, err := h.Place(hold); code(err) != retention.BadHold {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(h.List()) != 0 {
		t.Errorf("placed: %v", h.List())
	}
}

// A hold that cannot be read may select anything.
func TestDamagedHoldKeepsEverything(t *testing.T) {
	for _, text := range []string{"", "{", `{"id":"other","selector":{"all":true}}`, `{"id":"h","selector":{}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "h.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h := openHolds(t, dir)
		if err := h.WhileFree(retention.Recording{ID: "c1"}, func() error { t.Error("deleted"); return nil }); code(err) != retention.Blind || h.Trouble() == nil {
			t.Errorf("with hold %q: %v", text, err)
		}
	}
}

// Once Place has returned, nothing goes.
func TestNothingGoesAfterPlace(t *testing.T) {
	for range 50 {
		h := openHolds(t, t.TempDir())
		var mu sync.Mutex
		placed := false
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					_ = h.WhileFree(retention.Recording{ID: "c1"}, func() error {
						mu.Lock()
						defer mu.Unlock()
						if placed {
							t.Error("something was deleted after the hold was acknowledged")
						}
						return nil
					})
				}
			})
		}
		place(t, h, "h", retention.Selector{RecordingID: "c1"})
		mu.Lock()
		placed = true
		mu.Unlock()
		wg.Wait()
	}
}
