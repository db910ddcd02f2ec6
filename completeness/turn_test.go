package completeness

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTurn: a full history that cannot be turned goes on, and is turned when it
// can be; nothing is lost meanwhile.
func TestTurn(t *testing.T) {
	dir := t.TempDir()
	h, err := OpenHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	stay := func(id string) {
		h.Began(Stay{System: "mixdown", RoomID: "r", UserID: "u", StreamID: id, From: time.Now()})
	}
	stay("before")
	if err := h.Flush(); err != nil {
		t.Fatal(err)
	}
	// A folder is where the new file is to be: it is renamed, and not made anew.
	name := filepath.Join(dir, historyName)
	h.size = maxHistory
	if err := os.Mkdir(name+".old", 0o700); err != nil {
		t.Fatal(err)
	}
	stay("meanwhile")
	if err := h.Flush(); err == nil {
		t.Error("the history was turned onto a folder")
	}
	if err := os.Remove(name + ".old"); err != nil {
		t.Fatal(err)
	}
	// As if it had been renamed, and no new one could be made.
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"after", "later"} {
		stay(id)
		if err := h.Flush(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	list, _, err := h.Stays(begun.Add(-time.Minute), time.Now().Add(time.Minute))
	if err != nil || len(list) != 4 {
		t.Errorf("%d of 4 stays, %v", len(list), err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
