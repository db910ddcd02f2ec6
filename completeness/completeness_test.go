package completeness_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/completeness"
	"mixdown/storage"
)

var base = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return base.Add(time.Duration(seconds * float64(time.Second)))
}

func stay(room, user string, from, to float64) completeness.Stay {
	s := completeness.Stay{System: "mixdown", RoomID: room, UserID: user, StreamID: user + "-mic", From: at(from)}
	if to > 0 {
		s.To = at(to)
	}
	return s
}

func recorded(id, room, user string, ledger storage.Ledger, spans ...float64) completeness.Recording {
	rs := completeness.RecordedStream{UserID: user, StreamID: user + "-mic", Ledger: ledger, Until: at(spans[len(spans)-1])}
	for i := 0; i+1 < len(spans); i += 2 {
		leave := storage.At(at(spans[i+1]))
		rs.Stays = append(rs.Stays, storage.Presence{Join: storage.At(at(spans[i])), Leave: &leave})
	}
	return completeness.Recording{ID: id, System: "mixdown", RoomID: room, Streams: []completeness.RecordedStream{rs}}
}

func why(system, room string, at time.Time) string { return "no rule matches " + room }

func TestReport(t *testing.T) {
	stays := []completeness.Stay{
		stay("a", "ann", 0, 60), stay("a", "bob", 30, 60), // complete
		stay("a", "ann", 100, 160), // a session of its own, half of it recorded
		stay("b", "cat", 0, 60),    // nobody recorded it
		stay("c", "dan", 0, 0),     // goes on
	}
	running := completeness.Recording{ID: "r4", System: "mixdown", RoomID: "c", Streams: []completeness.RecordedStream{{
		UserID: "dan", StreamID: "dan-mic", Stays: []storage.Presence{{Join: storage.At(at(0.1))}}, Until: at(194),
	}}}
	recordings := []completeness.Recording{
		recorded("r1", "a", "ann", storage.Ledger{"received": 58000, "lost": 2000, "span": 60000}, 0.1, 60),
		recorded("r2", "a", "bob", nil, 30, 45, 45.1, 60),
		recorded("r3", "a", "ann", nil, 130, 160), running,
	}
	r := completeness.Make(at(-10), at(1000), stays, recordings, at(200), why)
	want := []string{
		"a complete 90 90 open=false", "a partly 60 30 open=false", "b unrecorded 60 0 open=false", "c complete 200 200 open=true",
	}
	if len(r.Sessions) != len(want) {
		t.Fatalf("%d sessions: %+v", len(r.Sessions), r.Sessions)
	}
	for i, s := range r.Sessions {
		if got := fmt.Sprintf("%s %s %.0f %.0f open=%v", s.RoomID, s.Verdict, s.Seconds, s.Recorded, s.Open); got != want[i] {
			t.Errorf("session %d: %s, want %s", i, got, want[i])
		}
	}
	if m := r.Sessions[1].Streams[0].Missing; len(m) != 1 || m[0].Seconds != 30 || m[0].Why != "no rule matches a" {
		t.Errorf("missing of the second session: %+v", m)
	}
	if r.Totals.Missing != 90 || r.Totals.LostSeconds != 2 || r.Totals.Seconds != 410 {
		t.Errorf("totals %+v", r.Totals)
	}
	// A window inside: what lies outside is not asked for.
	r = completeness.Make(at(110), at(120), stays, recordings, at(200), why)
	if r.Totals.Seconds != 20 || r.Totals.Missing != 10 || r.Totals.Sessions != 2 {
		t.Errorf("of ten seconds: %+v", r.Totals)
	}
	// A recording that stopped growing covers nothing more.
	running.Streams[0].Until = at(100)
	r = completeness.Make(at(0), at(1000), stays[4:], []completeness.Recording{running}, at(200), why)
	if r.Totals.Missing != 100 {
		t.Errorf("a dead capture covers %v of 200 seconds", r.Totals.Recorded)
	}
}

func TestHistorySurvives(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		open := func() *completeness.History {
			h, err := completeness.OpenHistory(dir)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		start := time.Now()
		h := open()
		begin := func(user string) {
			h.Began(completeness.Stay{System: "mixdown", RoomID: "r", UserID: user, StreamID: user + "-mic", From: time.Now()})
		}
		begin("ann")
		begin("bob")
		time.Sleep(10 * time.Second)
		h.Ended(completeness.Stay{System: "mixdown", RoomID: "r", UserID: "ann", StreamID: "ann-mic", To: time.Now()})
		for range 20 {
			time.Sleep(time.Second)
			if err := h.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		// The daemon is killed; what it said last is from now.
		time.Sleep(time.Minute)
		h = open()
		begin("bob")
		time.Sleep(5 * time.Second)
		stays, since, err := h.Stays(start, time.Now())
		if err != nil || !since.Equal(start) {
			t.Fatalf("since %s: %v", since, err)
		}
		got := map[string]int{}
		for _, s := range stays {
			length := -1
			if !s.To.IsZero() {
				length = int(s.To.Sub(s.From).Seconds())
			}
			got[fmt.Sprintf("%s %d", s.UserID, length)]++
		}
		if len(stays) != 3 || got["ann 10"] != 1 || got["bob 30"] != 1 || got["bob -1"] != 1 {
			t.Errorf("stays %v", got)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}
