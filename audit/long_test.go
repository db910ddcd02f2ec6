package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/storage"
)

// TestLongActs: an act of any size is written down, read again and verified,
// and what an earlier program wrote of it, too.
func TestLongActs(t *testing.T) {
	dir := t.TempDir()
	key, err := storage.LoadOrCreateKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	open := func() *Log {
		t.Helper()
		l, err := Open(Config{Dir: dir, Key: key, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	long := strings.Repeat("&", 400000)
	for _, object := range []string{"short", long} {
		act, err := l.Begin(With(context.Background(), Who{Actor: "ann", From: "127.0.0.1"}), "put-hold", object)
		if err != nil {
			t.Fatal(err)
		}
		act.Note("selector", long)
		if err := act.End(OK, 201); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := l.Entries(0, 100)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if e := entries[1]; e.Details["selector"] != nil || !strings.Contains(fmt.Sprint(e.Details["omitted"]), "bytes") || e.Outcome != OK {
		t.Errorf("the end of a long act: %.300v", e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	// A line of 2 MB, as they were once written, in its place.
	names, err := stretches(dir)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	l = open()
	head := l.Head()
	old := fmt.Sprintf(`{"seq":%d,"at":"2026-11-27T10:00:00.000Z","actor":"ann","operation":"put-hold","object":"%s","prev":"%s"}`+"\n", head.Seq+1, strings.Repeat("x", 2<<20), head.Hash)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, names[0]), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(old); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	if r := l.Found(); len(r.Problems) > 0 || r.Entries != 5 {
		t.Errorf("%d entries, problems %q", r.Entries, r.Problems)
	}
	if entries, err := l.Entries(4, 10); err != nil || len(entries) != 1 || len(entries[0].Object) != 2<<20 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
