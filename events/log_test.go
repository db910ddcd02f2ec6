package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/events"
)

// running is a log and its Run.
type running struct {
	*events.Log
	stop func()
}

func start(t testing.TB, dir string, o events.Options) *running {
	t.Helper()
	l, err := events.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	r := &running{l, sync.OnceFunc(func() { cancel(); wg.Wait() })}
	t.Cleanup(r.stop)
	return r
}

// until waits until an event is durable.
func (r *running) until(t testing.TB, seq uint64) {
	t.Helper()
	for after := r.Last(); after < seq; {
		var err error
		if _, after, err = r.Next(t.Context(), after, 1000, events.Filter{}); err != nil {
			t.Fatal(err)
		}
	}
}

// all reads every event after a number and checks that the JSON says what the
// head says.
func all(t testing.TB, l *events.Log, after uint64, f events.Filter) (list []*events.Entry) {
	t.Helper()
	for {
		page, upTo, err := l.Read(after, 7, f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page...)
		if upTo == after && len(page) == 0 {
			break
		}
		after = upTo
	}
	for _, e := range list {
		var h events.Head
		if err := json.Unmarshal(e.JSON, &h); err != nil || h != e.Head {
			t.Fatalf("event %d: JSON says %+v, the head %+v: %v", e.Seq, h, e.Head, err)
		}
	}
	return list
}

// gapless checks both numberings.
func gapless(t testing.TB, list []*events.Entry) {
	t.Helper()
	captures := map[string]uint64{}
	for i, e := range list {
		if want := list[0].Seq + uint64(i); e.Seq != want {
			t.Fatalf("event %d has number %d, want %d", i, e.Seq, want)
		}
		if e.Capture == "" {
			continue
		}
		if last, ok := captures[e.Capture]; ok && e.CaptureSeq != last+1 || !ok && list[0].Seq == 1 && e.CaptureSeq != 1 {
			t.Fatalf("event %d is number %d of capture %s, after %d", e.Seq, e.CaptureSeq, e.Capture, last)
		}
		captures[e.Capture] = e.CaptureSeq
	}
}

func TestOrder(t *testing.T) {
	dir := t.TempDir()
	l := start(t, dir, events.Options{})
	var wg sync.WaitGroup
	for p := range 20 {
		wg.Go(func() {
			for i := range 100 {
				l.Publish(events.Event{Type: "test", Capture: fmt.Sprint("c", p%7), Room: "r,\"data\":", Data: map[string]int{"p": p, "i": i}})
			}
		})
	}
	wg.Wait()
	l.until(t, 2000)
	check := func(list []*events.Entry) {
		t.Helper()
		if len(list) != 2000 {
			t.Fatalf("%d events, want 2000", len(list))
		}
		gapless(t, list)
		next := map[int]int{}
		for _, e := range list {
			var body struct{ Data struct{ P, I int } }
			if err := json.Unmarshal(e.JSON, &body); err != nil {
				t.Fatal(err)
			}
			if body.Data.I != next[body.Data.P] {
				t.Fatalf("publisher %d: event %d comes where %d was due", body.Data.P, body.Data.I, next[body.Data.P])
			}
			next[body.Data.P]++
		}
	}
	check(all(t, l.Log, 0, events.Filter{}))
	l.stop()
	again := start(t, dir, events.Options{})
	check(all(t, again.Log, 0, events.Filter{}))
	if again.ID() != l.ID() {
		t.Errorf("the log's id was %s and is %s", l.ID(), again.ID())
	}
	again.Publish(events.Event{Type: "test", Capture: "c3"})
	again.until(t, 2001)
	if list := all(t, again.Log, 0, events.Filter{}); len(list) != 2001 {
		t.Errorf("%d events after a restart, want 2001", len(list))
	} else {
		gapless(t, list)
	}
	for _, f := range []events.Filter{{Captures: []string{"c3"}}, {Captures: []string{"?3"}}, {Only: func(h events.Head) bool { return h.Capture == "c3" }}} {
		if n := len(all(t, again.Log, 0, f)); n != 301 { // publishers 3, 10 and 17
			t.Errorf("%d events of capture c3, want 301", n)
		}
	}
	if e, err := again.Get(1234); err != nil || e.Seq != 1234 {
		t.Errorf("Get(1234) = %v, %v", e, err)
	}
	if _, err := again.Get(5000); !errors.As(err, new(*events.GoneError)) {
		t.Errorf("Get(5000) = %v", err)
	}
}

// TestNothingIsShownBeforeItIsDurable lets readers follow while the folder is
// away: they see nothing, and later everything.
func TestNothingIsShownBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "events")
		l := start(t, dir, events.Options{})
		l.Publish(events.Event{Type: "first"})
		l.until(t, 1)
		away := dir + ".away"
		// The open file still takes writes; a full one must be followed by
		// another, and that fails.
		for range 5 {
			l.Publish(events.Event{Type: "big", Data: strings.Repeat("x", 1<<20-100)})
		}
		l.until(t, 6)
		must(t, os.Rename(dir, away))
		l.Publish(events.Event{Type: "a"})
		time.Sleep(10 * time.Second)
		if n := l.Last(); n != 6 {
			t.Errorf("event %d was shown while nothing could be written", n)
		}
		if f := l.Figures(); f.Trouble == nil || f.Pending != 1 {
			t.Errorf("figures %+v show no trouble", f)
		}
		must(t, os.Rename(away, dir))
		time.Sleep(3 * time.Second)
		if f := l.Figures(); f.Trouble != nil || f.Pending != 0 || f.Last != 7 || f.Dropped != 0 {
			t.Errorf("figures %+v after the disk is back", f)
		}
		gapless(t, all(t, l.Log, 0, events.Filter{}))
		l.stop()
	})
}

// TestBoundedMemory publishes more than is held while the disk fails: what is
// lost is counted and told, numbered events lose only their data.
func TestBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "events")
		l := start(t, dir, events.Options{})
		must(t, os.Rename(dir, dir+".away"))
		data := strings.Repeat("x", 256<<10)
		const n = 2 * events.MaxPending / (256 << 10)
		for i := range n {
			l.Publish(events.Event{Type: "plain", Data: data})
			l.Publish(events.Event{Type: "state", Capture: "c", Series: "state", Number: uint64(i + 1), Data: data})
		}
		f := l.Figures()
		must(t, os.Rename(dir+".away", dir))
		time.Sleep(3 * time.Second)
		l.Publish(events.Event{Type: "after"})
		time.Sleep(time.Second)
		list := all(t, l.Log, 0, events.Filter{})
		gapless(t, list)
		kinds := map[string]int{}
		bytes := 0
		for _, e := range list {
			kinds[e.Type]++
			bytes += len(e.JSON)
		}
		if kinds["state"] != n || kinds["events.dropped"] != 1 || kinds["after"] != 1 || kinds["plain"]+int(f.Dropped) != n || f.Dropped == 0 {
			t.Errorf("kinds %v, %d dropped, of %d", kinds, f.Dropped, n)
		}
		if bytes > events.MaxPending*5/4 {
			t.Errorf("%d bytes were held", bytes)
		}
		l.stop()
	})
}

// TestRetention: after ten days the oldest are gone, and whoever asks for them
// is told so.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := start(t, dir, events.Options{})
		const hours = 240
		for i := range hours {
			l.Publish(events.Event{Type: "tick", Capture: "long", Series: "tick", Number: uint64(i + 1)})
			time.Sleep(time.Hour)
		}
		time.Sleep(time.Minute)
		f := l.Figures()
		if f.Oldest < hours-170 || f.Oldest > hours-166 || f.Last != hours {
			t.Errorf("kept are %d to %d", f.Oldest, f.Last)
		}
		var gone *events.GoneError
		if _, _, err := l.Read(3, 1, events.Filter{}); !errors.As(err, &gone) || gone.Oldest != f.Oldest {
			t.Errorf("Read(3) = %v", err)
		}
		if _, _, err := l.Read(hours+1, 1, events.Filter{}); !errors.As(err, &gone) {
			t.Errorf("Read beyond the end = %v", err)
		}
		list := all(t, l.Log, 0, events.Filter{})
		gapless(t, list)
		if list[0].CaptureSeq != f.Oldest {
			t.Errorf("the oldest is number %d of its capture, want %d", list[0].CaptureSeq, f.Oldest)
		}
		l.stop()

		// What happened in files that are gone is still known.
		l = start(t, dir, events.Options{})
		for i := range hours {
			l.Publish(events.Event{Type: "tick", Capture: "long", Series: "tick", Number: uint64(i + 1), At: time.Now().Add(-time.Hour)})
		}
		l.Publish(events.Event{Type: "tick", Capture: "long", Series: "tick", Number: hours + 1})
		time.Sleep(time.Second)
		if last := all(t, l.Log, hours, events.Filter{}); len(last) != 1 || last[0].CaptureSeq != hours+1 {
			t.Errorf("after telling all again there are %d new events", len(last))
		}
		l.stop()
	})
}

func TestMaxBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, t.TempDir(), events.Options{MaxBytes: 16 << 20})
		for range 400 {
			l.Publish(events.Event{Type: "big", Data: strings.Repeat("x", 100<<10)})
			time.Sleep(time.Second)
		}
		if f := l.Figures(); f.Bytes > 21<<20 || f.Oldest < 100 {
			t.Errorf("figures %+v", f)
		}
		l.stop()
	})
}

// TestDamage: a torn tail and a flipped bit cost the lines they are in.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	l := start(t, dir, events.Options{})
	for range 10 {
		l.Publish(events.Event{Type: "x", Data: "hello"})
	}
	l.until(t, 10)
	l.stop()
	files, err := filepath.Glob(filepath.Join(dir, "0*.jsonl"))
	must(t, err)
	b, err := os.ReadFile(files[0])
	must(t, err)
	lines := strings.SplitAfter(string(b), "\n")
	lines[4] = strings.Replace(lines[4], "hello", "hallo", 1)
	lines[9] = lines[9][:20]
	must(t, os.WriteFile(files[0], []byte(strings.Join(lines, "")), 0o600))
	must(t, os.Remove(filepath.Join(dir, "index.json")))
	l = start(t, dir, events.Options{})
	l.Publish(events.Event{Type: "y"})
	l.until(t, 10)
	var seqs []uint64
	for _, e := range all(t, l.Log, 0, events.Filter{}) {
		seqs = append(seqs, e.Seq)
	}
	if want := []uint64{1, 2, 3, 4, 6, 7, 8, 9, 10}; !slices.Equal(seqs, want) {
		t.Errorf("events %v are left, want %v", seqs, want)
	}
}

func TestSeries(t *testing.T) {
	l := start(t, t.TempDir(), events.Options{})
	tell := func(n uint64) {
		l.Publish(events.Event{Type: "s", Capture: "a", Series: "state", Number: n})
	}
	for _, n := range []uint64{1, 2, 2, 1, 3} {
		tell(n)
	}
	l.Publish(events.Event{Type: "s", Capture: "a", Series: "segments", Number: 1})
	l.Publish(events.Event{Type: "s", Capture: "b", Series: "state", Number: 1})
	l.Publish(events.Event{Type: "s", Capture: "old", Series: "state", Number: 1, At: time.Now().Add(-time.Hour)}) // before the log was made
	l.until(t, 5)
	if n := len(all(t, l.Log, 0, events.Filter{})); n != 5 {
		t.Errorf("%d events, want 5", n)
	}
}

func TestDataThatDoesNotFit(t *testing.T) {
	l := start(t, t.TempDir(), events.Options{})
	l.Publish(events.Event{Type: "huge", Data: strings.Repeat("x", 2<<20)})
	l.Publish(events.Event{Type: "bad", Data: func() {}})
	l.Publish(events.Event{Type: "none"})
	l.until(t, 3)
	list := all(t, l.Log, 0, events.Filter{})
	for i, want := range []string{`"omitted":"the data is`, `"omitted":"json`, `"data":{}`} {
		if !strings.Contains(string(list[i].JSON), want) {
			t.Errorf("%s lacks %s", list[i].JSON[:min(300, len(list[i].JSON))], want)
		}
	}
}

// TestFollowers: a thousand readers share what is in memory.
func TestFollowers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	l := start(t, dir, events.Options{})
	const readers, n = 1000, 200
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for after := uint64(0); after < n; {
				list, upTo, err := l.Next(t.Context(), after, 100, events.Filter{})
				if err != nil || list[0].Seq != after+1 {
					t.Errorf("after %d: %v", after, err)
					return
				}
				after = upTo
			}
		})
	}
	for range n / 2 {
		l.Publish(events.Event{Type: "x"})
		l.Publish(events.Event{Type: "x"})
	}
	wg.Wait()
	must(t, os.Rename(dir, dir+".away")) // nobody needs the files for this
	if list, _, err := l.Read(0, n, events.Filter{}); err != nil || len(list) != n {
		t.Errorf("%d events from memory, %v", len(list), err)
	}
	must(t, os.Rename(dir+".away", dir))
}

func TestClosed(t *testing.T) {
	l := start(t, t.TempDir(), events.Options{})
	l.Publish(events.Event{Type: "last"})
	l.stop()
	if list, upTo, err := l.Next(t.Context(), 0, 10, events.Filter{}); err != nil || len(list) != 1 || upTo != 1 {
		t.Errorf("the last event: %v, %v", list, err)
	}
	if _, _, err := l.Next(t.Context(), 1, 10, events.Filter{}); !errors.Is(err, events.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	l.Publish(events.Event{Type: "late"}) // and nothing happens
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "x", true}, {"", "", true}, {"", "x", false}, {"a", "a", true}, {"capture.*", "capture.recording", true},
		{"capture.*", "captured", false}, {"*.sealed", "segment.sealed", true}, {"a*a", "a", false}, {"a*a", "aa", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"*b*b*", "abcb", true}, {"*b*b*", "abc", false}, {"**", "x", true}, {"?*", "", false}, {"a*bc*d", "abcbcd", true},
	} {
		if got := events.Match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c*", "axxbycz")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.ContainsFunc(pattern+s, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			return
		}
		re := regexp.QuoteMeta(pattern)
		re = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(re)
		if want := regexp.MustCompile("^" + re + "$").MatchString(s); events.Match(pattern, s) != want {
			t.Errorf("match(%q, %q) = %v, want %v", pattern, s, !want, want)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}
