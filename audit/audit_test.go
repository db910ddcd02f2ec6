package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/audit"
	"mixdown/events"
	"mixdown/storage"
)

// seen keeps what was published.
type seen struct {
	mu  sync.Mutex
	all []events.Event
}

func (s *seen) Publish(e events.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
}

func (s *seen) count(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// memoryDir is a folder on which fsync costs nothing.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mixdown-audit-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newKey(t testing.TB) *storage.Key {
	t.Helper()
	key, err := storage.LoadOrCreateKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t testing.TB, dir string, key *storage.Key) *audit.Log {
	t.Helper()
	l, err := audit.Open(audit.Config{Dir: dir, Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// acts lets n acts happen.
func acts(t testing.TB, l *audit.Log, n int) {
	t.Helper()
	for i := range n {
		ctx := audit.With(t.Context(), audit.Who{Actor: "ann (k7)", From: "192.0.2.1"})
		a, err := l.Begin(ctx, "put-capture", fmt.Sprintf("/v1/captures/c%d", i))
		if err != nil {
			t.Fatal(err)
		}
		audit.Note(audit.Attach(ctx, a), "room", "desk")
		if err := a.End(audit.OK, 201); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t testing.TB, dir string, key *storage.Key) audit.Report {
	t.Helper()
	r, err := audit.VerifyDir(dir, key.PublicKeys())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestActs(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	acts(t, l, 2)
	a, err := l.Begin(t.Context(), "dispose", "c1")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.End("recording_held", 0), a.End(audit.OK, 0), l.Close()); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, key) // a restart goes on
	defer l.Close()
	if f := l.Found(); len(f.Problems)+len(f.Notes) > 0 || f.Entries != 6 || f.SignedBy != key.ID() {
		t.Errorf("found at the start: %+v", f)
	}
	acts(t, l, 1)
	all, err := l.Entries(0, 100)
	if err != nil || len(all) != 8 {
		t.Fatalf("%d entries: %v", len(all), err)
	}
	if e := all[0]; e.Seq != 1 || e.Actor != "ann (k7)" || e.From != "192.0.2.1" || e.Operation != "put-capture" || e.Object != "/v1/captures/c0" || e.Outcome != "" || time.Since(e.At.Time).Abs() > time.Minute {
		t.Errorf("a beginning: %+v", e)
	}
	if e := all[1]; e.Of != 1 || e.Outcome != audit.OK || e.Status != 201 || e.Details["room"] != "desk" || e.Actor != "ann (k7)" {
		t.Errorf("an end: %+v", e)
	}
	if e := all[5]; e.Of != 5 || e.Actor != audit.Daemon || e.Outcome != "recording_held" {
		t.Errorf("the daemon's own: %+v", e)
	}
	if page, err := l.Entries(3, 2); err != nil || len(page) != 2 || page[0].Seq != 4 {
		t.Errorf("a page: %+v, %v", page, err)
	}
}

// Nil acts are those of calls that nobody audits.
func TestNoAct(t *testing.T) {
	var a *audit.Act
	a.Note("x", 1)
	if err := a.End(audit.OK, 200); err != nil || a.Seq() != 0 {
		t.Error(err)
	}
	audit.Note(t.Context(), "x", 1)
}

// Ten thousand acts of a hundred callers at once, over many files: one chain,
// checked in a moment.
func TestTenThousandActs(t *testing.T) {
	dir, key := memoryDir(t), newKey(t)
	l := open(t, dir, key)
	l.SetStretch(256 << 10)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { acts(t, l, 50) })
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r := verify(t, dir, key)
	t.Logf("%d entries verified in %s", r.Entries, time.Since(start))
	if r.Entries != 10_000 || len(r.Problems)+len(r.Notes) > 0 || r.SignedBy != key.ID() {
		t.Errorf("%+v", r)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl")); len(files) < 5 {
		t.Errorf("%d files", len(files))
	}
	l = open(t, dir, key)
	defer l.Close()
	page, err := l.Entries(7_000, 3)
	if err != nil || len(page) != 3 || page[0].Seq != 7_001 {
		t.Errorf("a page in the middle: %+v, %v", page, err)
	}
	var b bytes.Buffer
	if err := l.Export(&b, 5_000); err != nil {
		t.Fatal(err)
	}
	r, err = audit.VerifyExport(&b, key.PublicKeys())
	if err != nil || r.Entries != 5_000 || len(r.Problems) > 0 || len(r.Notes) != 1 {
		t.Errorf("an export of the later half: %+v, %v", r, err)
	}
}

// An act whose entry cannot be written is refused, and leaves no trace when
// the disk is well again.
func TestRefusedWhenNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(*audit.Log) (mend func()){
		"write": func(l *audit.Log) func() { return l.FailWrites() },
		"fsync": func(l *audit.Log) func() { l.FailSync(errors.New("no")); return func() { l.FailSync(nil) } },
	} {
		dir, key := t.TempDir(), newKey(t)
		l := open(t, dir, key)
		acts(t, l, 3)
		mend := spoil(l)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if a, err := l.Begin(t.Context(), "delete-recording", "c1"); err == nil || a != nil {
					t.Errorf("%s: the act was allowed", name)
				}
			})
		}
		wg.Wait()
		mend()
		acts(t, l, 3)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir, key); r.Entries != 12 || len(r.Problems)+len(r.Notes) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A crash in the middle of a line cuts it; it was not acknowledged.
func TestTornLine(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	acts(t, l, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "000000000001.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"seq":5,"at":"2027-01-0`)
	f.Close()
	l = open(t, dir, key)
	if f := l.Found(); len(f.Problems) > 0 {
		t.Errorf("a torn line: %v", f.Problems)
	}
	acts(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, key); r.Entries != 6 || len(r.Problems) > 0 {
		t.Errorf("%+v", r)
	}
}

// What was tampered with while the daemon was down is told and noted; the log
// goes on behind it, and the break stays visible.
func TestBrokenLogGoesOn(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	acts(t, l, 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "000000000001.jsonl")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte("192.0.2.1"), []byte("192.0.2.9"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	var told seen
	l, err = audit.Open(audit.Config{Dir: dir, Key: key, Events: &told, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Found().Problems) != 1 || told.count("audit.broken") != 1 {
		t.Errorf("found %v, told %d times", l.Found().Problems, told.count("audit.broken"))
	}
	acts(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := verify(t, dir, key)
	if r.Entries != 14 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "act 2") {
		t.Errorf("%+v", r)
	}
}

// The head on disk is never more than a second behind; one a day is published.
func TestCheckpoints(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	synctest.Test(t, func(t *testing.T) {
		var told seen
		l, err := audit.Open(audit.Config{Dir: dir, Key: key, Events: &told, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		stop := make(chan struct{})
		ctx := withStop(t, stop)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait() // it has seen that there is nothing
		acts(t, l, 3)
		time.Sleep(1500 * time.Millisecond)
		if r := verify(t, dir, key); r.Entries != 6 || len(r.Notes)+len(r.Problems) > 0 {
			t.Errorf("after a second: %+v", r)
		}
		time.Sleep(49 * time.Hour)
		if n := told.count("audit.checkpoint"); n != 2 {
			t.Errorf("%d heads published in two days; there was nothing at the start", n)
		}
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
