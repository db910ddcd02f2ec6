package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/capture"
)

// Config is what an [Engine] needs of the daemon.
type Config struct {
	Dir     string                                     // for rules and decisions, e.g. <data>/rules
	Check   func(capture.Spec) error                   // what is wrong with a spec
	Start   func(id string, spec capture.Spec) error   // begins a capture
	Stop    func(ctx context.Context, id string) error // ends one
	State   func(id string) (capture.State, string)    // of a capture, with its reason; "" if there is none
	Running func() map[string]Running                  // captures that run, by id
	Log     *slog.Logger
}

// Running is a capture that runs.
type Running struct {
	System string
	Server string // as in [Activity]
	RoomID string
	Rule   string // that started it, "" if none did
}

// Activity is what somebody did in a room.
type Activity struct {
	System   string
	Server   string // of several of that system, "" if there is one
	RoomID   string
	UserID   string
	StreamID string // "" if it is about the user
	Gone     bool   // the user left, the stream ended
	At       time.Time
}

const (
	look       = 5 * time.Second // how often times and captures are compared without an occasion
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// Engine follows rooms and rules. Its methods are safe for concurrent use.
type Engine struct {
	config    Config
	decisions *decisions
	wake      chan struct{}

	// What was heard and not yet looked at has a lock of its own, under which
	// nobody else is called: who tells of a room or a capture may hold locks
	// that the engine asks for while it decides.
	heard struct {
		sync.Mutex
		activities []Activity
		changed    []string // rooms whose capture changed its state
	}

	mu    sync.Mutex
	rules []Rule // as they are asked
	rooms map[Place]*room
	over  map[string]bool // captures that were asked to stop
}

// Place is where a room is.
type Place struct {
	System string
	Server string // as in [Activity]
	RoomID string
}

// room is an open room.
type room struct {
	Place
	since   time.Time
	users   map[string]bool
	streams map[string]string // user by stream
	dirty   bool

	matched  bool            // some rule is about it
	handled  map[string]bool // rules whose capture somebody stopped by hand: not again before the room closes
	starting bool            // a start goes on
	capture  string          // the running one
	rule     string          // whose it is
	retry    time.Time
	tries    int
	refused  string // why the last start failed
	told     string // the last decision, to write only those that differ
}

// New reads the rules that are kept in config.Dir.
func New(config Config) (*Engine, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	e := &Engine{config: config, wake: make(chan struct{}, 1), rooms: map[Place]*room{}, over: map[string]bool{}}
	if err := e.load(); err != nil {
		return nil, err
	}
	var err error
	e.decisions, err = openDecisions(config.Dir)
	return e, err
}

// Observe takes note of an activity. It does not block.
func (e *Engine) Observe(a Activity) {
	e.heard.Lock()
	e.heard.activities = append(e.heard.activities, a)
	e.heard.Unlock()
	e.poke()
}

// Reconsider makes Run look at a room: its capture changed its state. It does
// not block.
func (e *Engine) Reconsider(roomID string) {
	e.heard.Lock()
	e.heard.changed = append(e.heard.changed, roomID)
	e.heard.Unlock()
	e.poke()
}

// hearLocked brings the rooms up to what was heard.
func (e *Engine) hearLocked() {
	e.heard.Lock()
	activities, changed := e.heard.activities, e.heard.changed
	e.heard.activities, e.heard.changed = nil, nil
	e.heard.Unlock()
	for _, a := range activities {
		e.noteLocked(a)
	}
	if len(changed) == 0 {
		return
	}
	for at, r := range e.rooms {
		if slices.Contains(changed, at.RoomID) {
			r.dirty = true
		}
	}
}

func (e *Engine) noteLocked(a Activity) {
	at := Place{a.System, a.Server, a.RoomID}
	r := e.rooms[at]
	if r == nil {
		if a.Gone {
			return
		}
		r = &room{Place: at, since: a.At, users: map[string]bool{}, streams: map[string]string{}, handled: map[string]bool{}}
		e.rooms[at] = r
	}
	switch {
	case a.StreamID != "" && a.Gone:
		delete(r.streams, a.StreamID)
	case a.StreamID != "":
		r.streams[a.StreamID] = a.UserID
		r.users[a.UserID] = true // a system that tells of streams only
	case a.Gone:
		delete(r.users, a.UserID)
	default:
		r.users[a.UserID] = true
	}
	r.dirty = true
}

// poke wakes Run.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// changed makes Run look at every room. The caller holds the lock.
func (e *Engine) changed() {
	for _, r := range e.rooms {
		r.dirty, r.retry, r.tries, r.refused = true, time.Time{}, 0, ""
	}
	e.poke()
}

// Run follows the rules until ctx ends. Captures go on without it.
func (e *Engine) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer e.decisions.close()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-tick.C:
			all = true
		}
		for _, do := range e.look(all, time.Now()) {
			tasks.Go(func() { do(ctx) })
		}
		if err := e.decisions.flush(); err != nil {
			e.config.Log.Error("decisions of rules are not written down", "err", err)
		}
	}
}

// task starts or stops a capture. That may take its time, and a room must not
// wait for another one's storage.
type task func(context.Context)

// look decides about the rooms in which something happened, or about all that
// a rule is about, and returns what is to be done.
func (e *Engine) look(all bool, now time.Time) (tasks []task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hearLocked()
	var rooms []*room
	for _, r := range e.rooms {
		if (r.dirty || all && r.matched) && !r.starting {
			rooms = append(rooms, r)
		}
	}
	slices.SortFunc(rooms, func(a, b *room) int { return strings.Compare(a.RoomID, b.RoomID) })
	running := sync.OnceValue(e.config.Running)
	for _, r := range rooms {
		if do := e.decide(r, running, now); do != nil {
			tasks = append(tasks, do)
		}
	}
	if all {
		tasks = append(tasks, e.overdue(now)...)
	}
	return tasks
}

// overdue finds what runs past the times of its rule in rooms of which nothing
// is known: after a restart nobody may have come or gone there. The caller holds
// the lock.
func (e *Engine) overdue(now time.Time) (tasks []task) {
	running := e.config.Running()
	for id, c := range running {
		if i := e.index(c.Rule); i >= 0 && !e.rules[i].holds(now) && !e.over[id] {
			tasks = append(tasks, e.stop(id))
		}
	}
	maps.DeleteFunc(e.over, func(id string, _ bool) bool {
		_, runs := running[id]
		return !runs
	})
	return tasks
}

// stop ends a capture, once. The caller holds the lock.
func (e *Engine) stop(id string) task {
	e.over[id] = true
	return func(ctx context.Context) {
		if err := e.config.Stop(ctx, id); err != nil && ctx.Err() == nil {
			e.config.Log.Error("a rule could not stop its capture", "capture", id, "err", err)
			e.mu.Lock()
			delete(e.over, id) // it is asked again
			e.mu.Unlock()
		}
	}
}

// index is where a rule is, -1 if it is not. The caller holds the lock.
func (e *Engine) index(id string) int {
	return slices.IndexFunc(e.rules, func(r Rule) bool { return r.ID == id })
}

// decide says what the rules want of one room to be started or stopped, and
// writes down why. The caller holds the lock.
func (e *Engine) decide(r *room, running func() map[string]Running, now time.Time) (do task) {
	r.dirty = false
	e.settle(r, running)
	verdicts, winner := e.ask(r, now)
	r.matched = slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Result != OtherRoom })
	if winner != nil && r.capture == "" && !now.Before(r.retry) {
		r.starting = true
		rule := *winner
		return func(ctx context.Context) { e.start(ctx, r, rule, now) }
	}
	if r.capture != "" && r.rule != "" {
		if i := e.index(r.rule); i >= 0 && !e.rules[i].holds(now) {
			do = e.stop(r.capture)
			r.capture, r.rule = "", ""
			verdicts, _ = e.ask(r, now)
		}
	}
	e.note(r, verdicts, now)
	if len(r.users) == 0 && len(r.streams) == 0 {
		delete(e.rooms, r.Place)
	}
	return do
}

// settle learns what became of the room's capture. The caller holds the lock.
func (e *Engine) settle(r *room, running func() map[string]Running) {
	if r.capture == "" {
		for id, c := range running() {
			if c.Rule != "" && (Place{c.System, c.Server, c.RoomID}) == r.Place && !e.over[id] {
				r.capture, r.rule = id, c.Rule
			}
		}
		return
	}
	state, reason := e.config.State(r.capture)
	if state != "" && !state.Ended() && state != capture.Finalizing {
		return
	}
	if reason == capture.ErrStopped.Error() {
		r.handled[r.rule] = true
	}
	if state == capture.Failed {
		r.refused = "its capture failed: " + reason
		e.putOff(r, time.Now())
	}
	r.capture, r.rule = "", ""
}

func (e *Engine) putOff(r *room, now time.Time) {
	r.retry = now.Add(min(lastRetry, firstRetry<<min(r.tries, 5)))
	r.tries++
}

// start starts the capture of a rule, whereupon the room is looked at again. If
// the rule was taken away while the storages were asked, its capture is stopped.
func (e *Engine) start(ctx context.Context, r *room, rule Rule, now time.Time) {
	id := fmt.Sprintf("%s-%s", rule.ID, now.UTC().Format("20060102T150405.000"))
	id = strings.ReplaceAll(id, ".", "") + "-" + suffix(r.Place)
	err := e.config.Start(id, rule.spec(r.Server, r.RoomID))
	if undo := e.started(r, rule, id, err); undo != nil {
		undo(ctx)
	}
}

// started notes how a start went.
func (e *Engine) started(r *room, rule Rule, id string, err error) (undo task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r.starting, r.dirty = false, true
	defer e.poke()
	var wrong *capture.SpecError
	switch i := e.index(rule.ID); {
	case err == nil && (i < 0 || e.rules[i].Disabled):
		e.config.Log.Info("a rule that was taken away had started a capture", "rule", rule.ID, "room", r.RoomID, "capture", id)
		return e.stop(id)
	case err == nil:
		r.capture, r.rule, r.tries, r.refused = id, rule.ID, 0, ""
		e.config.Log.Info("a rule started a capture", "rule", rule.ID, "room", r.RoomID, "capture", id)
	case i >= 0 && e.rules[i].Version != rule.Version: // it was changed meanwhile: asked at once
	case errors.As(err, &wrong): // until somebody changes the rule
		r.refused, r.retry = err.Error(), time.Now().AddDate(1, 0, 0)
		e.config.Log.Error("a rule cannot start its capture", "rule", rule.ID, "room", r.RoomID, "err", err)
	default:
		r.refused = err.Error()
		e.putOff(r, time.Now())
		e.config.Log.Warn("a rule could not start its capture", "rule", rule.ID, "room", r.RoomID, "err", err, "again", time.Until(r.retry))
	}
	return nil
}

// people lists who is there, sorted.
func (r *room) people() (users, streams []string) {
	return slices.Sorted(maps.Keys(r.users)), slices.Sorted(maps.Keys(r.streams))
}

// OpenRooms is the number of rooms in which somebody is.
func (e *Engine) OpenRooms() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hearLocked()
	return len(e.rooms)
}
