package rules_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/rules"
)

// outside runs an engine over captures that start as start does.
func outside(t *testing.T, c *captures, start func(string, capture.Spec) error, test func(e *rules.Engine)) {
	e, err := rules.New(rules.Config{
		Dir: t.TempDir(), Check: func(capture.Spec) error { return nil },
		Start: start, Stop: c.stop, State: c.state, Running: c.running, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = e.Run(ctx) })
	test(e)
}

var aMix = capture.Spec{Record: []capture.RecordSpec{{What: "mix"}}}

// TestWindowAfterRestart: what a rule started before a restart ends with its
// window, though nothing was heard of the room since.
func TestWindowAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &captures{all: map[string]*taken{}}
		day := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		time.Sleep(time.Until(day.Add(17 * time.Hour)))
		outside(t, c, c.start, func(e *rules.Engine) {
			terms := rules.Terms{System: "livekit", Rooms: []string{"*"}, Between: []rules.Window{{From: "08:00", To: "18:00"}}}
			if _, _, err := e.Put(rules.Rule{ID: "hours", Terms: terms, Capture: aMix}, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
			// As the captures are resumed.
			room := capture.RoomSpec{System: "livekit", RoomID: "desk"}
			if err := c.start("hours-1", capture.Spec{Room: room, Labels: map[string]string{rules.Label: "hours"}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Minute)
			if c.now() != "desk:hours" {
				t.Errorf("at 17:50 %q is recorded", c.now())
			}
			time.Sleep(11 * time.Minute)
			if c.now() != "" {
				t.Errorf("at 18:01 %q is recorded", c.now())
			}
		})
	})
}

// TestTwoServers: rooms of one name on two servers are two rooms.
func TestTwoServers(t *testing.T) {
	run(t, func(b *bed) {
		for _, server := range []string{"one", "two"} {
			spec := aMix
			spec.Room.URL = server
			if _, _, err := b.Put(rules.Rule{ID: server, Terms: rules.Terms{System: "livekit", Rooms: []string{"*"}}, Capture: spec}, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
		}
		for _, server := range []string{"one", "two"} {
			b.Observe(rules.Activity{System: "livekit", Server: server, RoomID: "daily", UserID: "u", At: time.Now()})
			b.Observe(rules.Activity{System: "livekit", Server: server, RoomID: "daily", UserID: "u", StreamID: "u-mic", At: time.Now()})
			time.Sleep(time.Minute)
		}
		if n := b.captures.started(); n != 2 {
			t.Errorf("%d of 2 rooms are recorded", n)
		}
		for _, server := range []string{"one", "two"} {
			room := rules.Place{System: "livekit", Server: server, RoomID: "daily"}
			past, err := b.ExplainAt(room, time.Now())
			if now := b.Explain(room); err != nil || !strings.HasPrefix(now.Capture, server) || past.Capture != now.Capture || past.Server != server {
				t.Errorf("on server %s: now %+v, on record %+v, %v", server, now, past, err)
			}
		}
	})
}

// TestDeletedRuleStarts: a rule that is deleted while its capture starts leaves
// none behind.
func TestDeletedRuleStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &captures{all: map[string]*taken{}}
		slow := func(id string, s capture.Spec) error {
			time.Sleep(time.Second) // a storage is away
			return c.start(id, s)
		}
		outside(t, c, slow, func(e *rules.Engine) {
			if _, _, err := e.Put(rules.Rule{ID: "r", Terms: rules.Terms{Rooms: []string{"*"}}, Capture: aMix}, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
			e.Observe(rules.Activity{System: "mixdown", RoomID: "x", UserID: "u", StreamID: "m", At: time.Now()})
			time.Sleep(100 * time.Millisecond)
			if err := e.Delete("r"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if c.now() != "" {
				t.Errorf("after the rule was deleted %q is recorded", c.now())
			}
		})
	})
}

// TestManyRoomsStart: rooms that begin while a storage is away do not wait for
// one another.
func TestManyRoomsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &captures{all: map[string]*taken{}}
		slow := func(id string, s capture.Spec) error {
			time.Sleep(time.Second)
			return c.start(id, s)
		}
		outside(t, c, slow, func(e *rules.Engine) {
			if _, _, err := e.Put(rules.Rule{ID: "r", Terms: rules.Terms{Rooms: []string{"*"}}, Capture: aMix}, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				e.Observe(rules.Activity{System: "mixdown", RoomID: fmt.Sprint("room-", i), UserID: "u", StreamID: "m", At: time.Now()})
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(1100 * time.Millisecond)
			if n := len(strings.Fields(c.now())); n != 50 {
				t.Errorf("%d of 50 rooms are recorded 1.1 s after the last began", n)
			}
			time.Sleep(time.Minute)
			if n := c.started(); n != 50 {
				t.Errorf("%d captures were started for 50 rooms", n)
			}
		})
	})
}

// TestMendedRuleStarts: a rule that is mended while its capture is refused is
// asked again at once.
func TestMendedRuleStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &captures{all: map[string]*taken{}}
		start := func(id string, s capture.Spec) error {
			time.Sleep(time.Second)
			if s.Labels["works"] == "" {
				return &capture.SpecError{Problems: []capture.Problem{{Field: "labels", Text: "works is missing"}}}
			}
			return c.start(id, s)
		}
		outside(t, c, start, func(e *rules.Engine) {
			rule := rules.Rule{ID: "r", Terms: rules.Terms{Rooms: []string{"*"}}, Capture: aMix}
			if _, _, err := e.Put(rule, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
			e.Observe(rules.Activity{System: "mixdown", RoomID: "x", UserID: "u", StreamID: "m", At: time.Now()})
			time.Sleep(500 * time.Millisecond)
			rule.Capture.Labels = map[string]string{"works": "yes"}
			if _, _, err := e.Put(rule, rules.Condition{}, "test"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if c.now() != "x:r" {
				t.Errorf("with the mended rule %q is recorded", c.now())
			}
		})
	})
}
