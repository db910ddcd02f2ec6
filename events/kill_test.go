package events_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"mixdown/events"
)

// TestMain is also the process that dies: it tells changes of three captures,
// as far as its list goes, and says on standard output what a reader has seen.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EVENTS_TEST_DIR"); dir != "" {
		if err := doomed(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// doomed keeps its own list of changes, as captures do: durable before it is
// told. A new life tells all of it again.
func doomed(dir string) error {
	ctx := context.Background()
	l, err := events.Open(dir+"/events", events.Options{})
	if err != nil {
		return err
	}
	go func() { _ = l.Run(ctx) }() // until the process is killed
	go func() {
		for after := l.Last(); ; {
			list, upTo, err := l.Next(ctx, after, 100, events.Filter{})
			if err != nil {
				return
			}
			for _, e := range list {
				fmt.Printf("%d %s %d\n", e.Seq, e.Capture, e.Number)
			}
			after = upTo
		}
	}()
	list, err := os.OpenFile(dir+"/list", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	counts := map[string]uint64{}
	tell := func(line string) {
		id, n, _ := strings.Cut(line, " ")
		counts[id], _ = strconv.ParseUint(n, 10, 64)
		l.Publish(events.Event{Type: "change", Capture: id, Series: "state", Number: counts[id]})
		l.Publish(events.Event{Type: "unnumbered", Capture: id})
	}
	for s := bufio.NewScanner(list); s.Scan(); {
		tell(s.Text())
	}
	for {
		id := string(rune('a' + rand.IntN(3)))
		line := fmt.Sprintf("%s %d", id, counts[id]+1)
		if _, err := fmt.Fprintln(list, line); err != nil {
			return err
		}
		tell(line)
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
}

// TestKills kills the process at random moments: nothing that was seen changes
// its number, and every change that a publisher knew of is in the log once,
// in order, after the next start.
func TestKills(t *testing.T) {
	kills := 30
	if os.Getenv("MIXDOWN_SOAK") != "" {
		kills = 500
	}
	dir := t.TempDir()
	seen := map[uint64]string{}
	for range kills {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "EVENTS_TEST_DIR="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for left := rand.IntN(60); left > 0 && lines.Scan(); left-- {
			note(t, seen, lines.Text())
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			note(t, seen, lines.Text())
		}
		_ = cmd.Wait() // it was killed
		cancel()
	}
	known, err := os.ReadFile(dir + "/list")
	must(t, err)
	l := start(t, dir+"/events", events.Options{})
	want := map[string]uint64{}
	for line := range strings.Lines(string(known)) {
		id, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[id], _ = strconv.ParseUint(n, 10, 64)
		l.Publish(events.Event{Type: "change", Capture: id, Series: "state", Number: want[id]})
	}
	l.Publish(events.Event{Type: "end"})
	l.until(t, l.Last()+1)
	time.Sleep(200 * time.Millisecond)
	list := all(t, l.Log, 0, events.Filter{})
	gapless(t, list)
	got := map[string]uint64{}
	for _, e := range list {
		if line, ok := seen[e.Seq]; ok && line != fmt.Sprintf("%d %s %d", e.Seq, e.Capture, e.Number) {
			t.Errorf("event %d was %q and is now of %s %d", e.Seq, line, e.Capture, e.Number)
		}
		delete(seen, e.Seq)
		if e.Type != "change" {
			continue
		}
		if got[e.Capture]++; e.Number != got[e.Capture] {
			t.Fatalf("change %d of %s comes where %d was due", e.Number, e.Capture, got[e.Capture])
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d events were seen and are gone", len(seen))
	}
	if !maps.Equal(got, want) {
		t.Errorf("the log has %v changes, the publisher knew of %v", got, want)
	}
	t.Logf("%d kills, %d events", kills, len(list))
}

func note(t *testing.T, seen map[uint64]string, line string) {
	t.Helper()
	seq, _, _ := strings.Cut(line, " ")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return // cut by the kill
	}
	if strings.Count(line, " ") == 2 {
		seen[n] = line
	}
}
