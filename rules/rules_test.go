package rules_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/rules"
)

// captures stands in for the captures of a daemon.
type captures struct {
	mu     sync.Mutex
	all    map[string]*taken
	refuse error
	starts int
}

type taken struct {
	spec   capture.Spec
	state  capture.State
	reason string
	at     time.Time
}

func (c *captures) start(id string, spec capture.Spec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
	if c.refuse != nil {
		return c.refuse
	}
	if c.all[id] != nil {
		return fmt.Errorf("capture %s exists", id)
	}
	c.all[id] = &taken{spec: spec, state: capture.Recording, at: time.Now()}
	return nil
}

func (c *captures) refusing(err error) (starts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
	return c.starts
}

func (c *captures) started() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts
}

func (c *captures) stop(_ context.Context, id string) error {
	c.end(id, capture.Complete, "stopped")
	return nil
}

func (c *captures) end(id string, s capture.State, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[id].state, c.all[id].reason = s, reason
}

func (c *captures) state(id string) (capture.State, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.all[id]; t != nil {
		return t.state, t.reason
	}
	return "", ""
}

func (c *captures) running() map[string]rules.Running {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]rules.Running{}
	for id, t := range c.all {
		if room := t.spec.Room; !t.state.Ended() {
			found[id] = rules.Running{System: room.System, Server: room.URL, RoomID: room.RoomID, Rule: t.spec.Labels[rules.Label]}
		}
	}
	return found
}

// now lists what runs, as room:rule.
func (c *captures) now() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, t := range c.all {
		if !t.state.Ended() {
			list = append(list, t.spec.Room.RoomID+":"+t.spec.Labels[rules.Label])
		}
	}
	return strings.Join(list, " ")
}

type bed struct {
	*rules.Engine
	t        *testing.T
	captures *captures
}

// run runs a test in virtual time with an engine over an empty folder.
func run(t *testing.T, test func(b *bed)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{t: t, captures: &captures{all: map[string]*taken{}}}
		var err error
		b.Engine, err = rules.New(rules.Config{
			Dir: dir, Check: func(s capture.Spec) error {
				if len(s.Record)+len(s.Republish) == 0 {
					return &capture.SpecError{Problems: []capture.Problem{{Field: "record", Text: "nothing to do"}}}
				}
				return nil
			},
			Start: b.captures.start, Stop: b.captures.stop, State: b.captures.state, Running: b.captures.running,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		test(b)
	})
}

func (b *bed) put(id string, terms rules.Terms) rules.Rule {
	b.t.Helper()
	r, _, err := b.Put(rules.Rule{ID: id, Terms: terms, Capture: capture.Spec{Record: []capture.RecordSpec{{What: "mix"}}}}, rules.Condition{}, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bed) user(room, user string, gone ...bool) {
	b.Observe(rules.Activity{System: "mixdown", RoomID: room, UserID: user, Gone: len(gone) > 0, At: time.Now()})
}

func (b *bed) stream(room, user string, gone ...bool) {
	b.Observe(rules.Activity{System: "mixdown", RoomID: room, UserID: user, StreamID: user + "-mic", Gone: len(gone) > 0, At: time.Now()})
}

func (b *bed) want(running string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.captures.now(); got != running {
		b.t.Errorf("running %q, want %q", got, running)
	}
}

func (b *bed) verdict(d rules.Decision, rule string, want rules.Result) {
	b.t.Helper()
	for _, v := range d.Verdicts {
		if v.Rule == rule {
			if v.Result != want || v.Because == "" {
				b.t.Errorf("room %s, rule %s: %s because %q, want %s", d.RoomID, rule, v.Result, v.Because, want)
			}
			return
		}
	}
	b.t.Errorf("room %s: no verdict of rule %s", d.RoomID, rule)
}

// TestFirstStreamStartsOneCapture: patterns, users, priorities, and what
// explains them.
func TestFirstStreamStartsOneCapture(t *testing.T) {
	run(t, func(b *bed) {
		b.put("all", rules.Terms{Rooms: []string{"*"}})
		b.put("team", rules.Terms{Rooms: []string{"team-*"}, Users: []string{"agent-*"}, Priority: 5, Labels: map[string]string{"kind": "team"}})
		b.put("door", rules.Terms{Rooms: []string{"lobby"}, Start: rules.OnUser, Priority: 9})
		b.put("off", rules.Terms{Rooms: []string{"*"}, Priority: 99, Disabled: true})
		b.user("team-a", "customer")
		b.want("")
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "all", rules.NoStream)
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "team", rules.NoUser)
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "door", rules.OtherRoom)
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "off", rules.Disabled)
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "elsewhere"}), "all", rules.NobodyThere)
		b.stream("team-a", "agent-1")
		b.want("team-a:team")
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "team", rules.Recorded)
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "team-a"}), "all", rules.LowerPriority)
		b.stream("team-a", "customer")
		b.user("lobby", "guest")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.captures.started(); n != 2 {
			t.Errorf("%d starts, want 2", n)
		}
		for _, c := range b.captures.all {
			if c.spec.Room.RoomID == "team-a" && c.spec.Labels["kind"] != "team" {
				t.Errorf("labels %v", c.spec.Labels)
			}
		}
	})
}

// TestStoppedByHandStaysStopped until the room was empty; one that reached a
// limit starts again.
func TestStoppedByHandStaysStopped(t *testing.T) {
	run(t, func(b *bed) {
		b.put("all", rules.Terms{Rooms: []string{"*"}})
		b.stream("r", "ann")
		b.want("r:all")
		first := b.Explain(rules.Place{System: "mixdown", RoomID: "r"}).Capture
		time.Sleep(time.Hour)
		b.captures.end(first, capture.Complete, "limits.maxSeconds reached")
		b.Reconsider("r")
		synctest.Wait()
		b.want("r:all")
		second := b.Explain(rules.Place{System: "mixdown", RoomID: "r"}).Capture
		if first == second {
			t.Errorf("capture %s goes on though it ended", first)
		}
		b.captures.end(second, capture.Complete, "stopped")
		time.Sleep(time.Minute)
		b.want("")
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "r"}), "all", rules.StoppedByHand)
		at := time.Now()
		time.Sleep(time.Second)
		b.stream("r", "ann", true)
		b.user("r", "ann", true)
		synctest.Wait()
		b.stream("r", "ann")
		b.want("r:all")
		d, err := b.ExplainAt(rules.Place{System: "mixdown", RoomID: "r"}, at)
		if err != nil {
			t.Fatal(err)
		}
		b.verdict(d, "all", rules.StoppedByHand)
	})
}

// TestWindows: a rule that holds between two times starts and stops by them,
// also over midnight and a change of the clock.
func TestWindows(t *testing.T) {
	run(t, func(b *bed) { // virtual time begins on Saturday 2000-01-01 00:00 UTC
		b.put("office", rules.Terms{Rooms: []string{"*"}, Timezone: "Europe/Berlin", Between: []rules.Window{
			{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "08:00", To: "18:00"}, {Days: []string{"sat"}, From: "23:00", To: "01:00"},
		}})
		b.stream("r", "ann")
		b.want("")
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "r"}), "office", rules.OutsideTimes)
		running := func(utc string) {
			at, err := time.Parse("2006-01-02 15:04", utc)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(at))
			time.Sleep(6 * time.Second)
			synctest.Wait()
		}
		running("2000-01-01 21:58") // Saturday 22:58 in Berlin
		b.want("")
		running("2000-01-01 22:00")
		b.want("r:office")
		running("2000-01-02 00:00")
		b.want("")
		running("2000-01-03 07:00")
		b.want("r:office")
		running("2000-01-03 17:00")
		b.want("")
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "r"}), "office", rules.OutsideTimes)
		at, _ := time.Parse("2006-01-02 15:04", "2000-01-03 12:00")
		d, err := b.ExplainAt(rules.Place{System: "mixdown", RoomID: "r"}, at)
		if err != nil {
			t.Fatal(err)
		}
		b.verdict(d, "office", rules.Recorded)
	})
}

// TestRefusedStartsAreTriedAgain, with growing pauses; a rule that is wrong
// waits for its next version.
func TestRefusedStartsAreTriedAgain(t *testing.T) {
	run(t, func(b *bed) {
		b.put("all", rules.Terms{Rooms: []string{"*"}})
		b.captures.refusing(errors.New("no room for one more"))
		b.stream("r", "ann")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := b.captures.started(); n < 8 || n > 20 {
			t.Errorf("%d tries in five minutes", n)
		}
		b.verdict(b.Explain(rules.Place{System: "mixdown", RoomID: "r"}), "all", rules.Refused)
		b.captures.refusing(nil)
		time.Sleep(31 * time.Second)
		b.want("r:all")

		b.captures.refusing(&capture.SpecError{Problems: []capture.Problem{{Field: "record[0].storage", Text: "is not configured"}}})
		b.stream("r2", "ann")
		time.Sleep(time.Hour)
		synctest.Wait()
		tries := b.captures.started()
		time.Sleep(time.Hour)
		synctest.Wait()
		if b.captures.started() != tries {
			t.Error("a rule that is wrong is tried for ever")
		}
		b.captures.refusing(nil)
		b.put("all", rules.Terms{Rooms: []string{"*"}, Labels: map[string]string{"v": "2"}})
		synctest.Wait()
		if s, _ := b.captures.state(b.Explain(rules.Place{System: "mixdown", RoomID: "r2"}).Capture); s != capture.Recording {
			t.Errorf("after the rule was mended: %q", s)
		}
	})
}

// TestRulesAreKept, with versions; setting the same again changes nothing.
func TestRulesAreKept(t *testing.T) {
	dir := t.TempDir()
	open := func() *rules.Engine {
		e, err := rules.New(rules.Config{Dir: dir, Check: func(capture.Spec) error { return nil }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	for i, want := range []struct {
		priority, version int
		created           bool
	}{{1, 1, true}, {1, 1, false}, {2, 2, false}} {
		r, created, err := e.Put(rules.Rule{ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Priority: want.priority}}, rules.Condition{}, "ann")
		if err != nil || r.Version != want.version || created != want.created {
			t.Errorf("put %d: version %d, created %v, %v", i, r.Version, created, err)
		}
	}
	if r, err := open().Rule("a"); err != nil || r.Version != 2 || r.By != "ann" {
		t.Errorf("after a restart: %+v %v", r, err)
	}
	put := func(c rules.Condition, priority int) error {
		_, _, err := e.Put(rules.Rule{ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Priority: priority}}, c, "bob")
		return err
	}
	seen, err := e.Rule("a")
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		c  rules.Condition
		ok bool
	}{
		{rules.Condition{Tags: []string{"1-0"}}, false},
		{rules.Condition{New: true}, false},
		{rules.Condition{Tags: []string{"1-0", seen.Tag()}}, true},
		{rules.Condition{Tags: []string{seen.Tag()}}, false}, // it is another now
		{rules.Condition{Tags: []string{"*"}}, true},
		{rules.Condition{}, true},
	} {
		if err := put(test.c, 10+i); (err == nil) != test.ok || err != nil && !errors.Is(err, rules.ErrChanged) {
			t.Errorf("condition %d: %v", i, err)
		}
	}
	if err := e.Delete("a"); err != nil {
		t.Error(err)
	}
	if err := put(rules.Condition{Tags: []string{"*"}}, 1); !errors.Is(err, rules.ErrChanged) {
		t.Errorf("a rule that is gone: %v", err)
	}
	if err := open().Delete("a"); !errors.Is(err, rules.ErrNotFound) {
		t.Errorf("delete what is gone: %v", err)
	}
	if _, err := open().ExplainAt(rules.Place{System: "mixdown", RoomID: "r"}, time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("explain an unknown past: %v", err)
	}
	for name, bad := range map[string]rules.Rule{
		"id":       {ID: "a b", Terms: rules.Terms{Rooms: []string{"*"}}},
		"pattern":  {ID: "a", Terms: rules.Terms{Rooms: []string{"["}}},
		"no room":  {ID: "a"},
		"zone":     {ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Timezone: "Mars/North"}},
		"time":     {ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Between: []rules.Window{{From: "8", To: "9"}}}},
		"weekday":  {ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Between: []rules.Window{{From: "08:00", To: "09:00", Days: []string{"funday"}}}}},
		"no start": {ID: "a", Terms: rules.Terms{Rooms: []string{"*"}, Start: "never"}},
	} {
		if _, _, err := e.Put(bad, rules.Condition{}, "ann"); !errors.Is(err, rules.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyIdleRooms: rooms that no rule is about are not looked at again, and
// closed rooms leave nothing behind.
func TestManyIdleRooms(t *testing.T) {
	run(t, func(b *bed) {
		b.put("some", rules.Terms{Rooms: []string{"board"}})
		for i := range 5000 {
			b.user(fmt.Sprint("idle-", i), fmt.Sprint("user-", i))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i := range 5000 {
			b.user(fmt.Sprint("idle-", i), fmt.Sprint("user-", i), true)
		}
		b.stream("board", "ann")
		time.Sleep(2 * time.Second)
		b.want("board:some")
		if n := b.OpenRooms(); n != 1 {
			t.Errorf("%d rooms are kept", n)
		}
	})
}

// TestWhoTellsMayHoldLocks: captures and rooms tell of what happens while they
// hold locks that the engine asks for when it decides.
func TestWhoTellsMayHoldLocks(t *testing.T) {
	c := &captures{all: map[string]*taken{}}
	e, err := rules.New(rules.Config{
		Dir: t.TempDir(), Check: func(capture.Spec) error { return nil },
		Start: c.start, Stop: c.stop, State: c.state, Running: c.running, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	if _, _, err := e.Put(rules.Rule{ID: "all", Terms: rules.Terms{Rooms: []string{"*"}}}, rules.Condition{}, "test"); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		c.mu.Lock()
		room := fmt.Sprint("room-", i%20)
		e.Observe(rules.Activity{System: "mixdown", RoomID: room, UserID: "ann", StreamID: "mic", Gone: i%3 == 0, At: time.Now()})
		e.Reconsider(room)
		c.mu.Unlock()
		if i%100 == 0 {
			e.Explain(rules.Place{System: "mixdown", RoomID: room})
		}
	}
	cancel()
	wg.Wait()
}
