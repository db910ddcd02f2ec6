package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/storage"
	"mixdown/storage/lines"
)

// Result is what a rule makes of a room.
type Result string

// The results.
const (
	Recorded      Result = "recorded"        // its capture runs
	Starting      Result = "starting"        // it won and starts one
	Disabled      Result = "disabled"        //
	OtherRoom     Result = "other_room"      // the room's id does not match
	OtherSystem   Result = "other_system"    // nor does its system
	NobodyThere   Result = "nobody_there"    // the room is not open
	NoUser        Result = "no_user"         // nobody there matches users
	NoStream      Result = "no_stream"       // nobody of them publishes yet
	OutsideTimes  Result = "outside_times"   // between does not hold
	LowerPriority Result = "lower_priority"  // another rule captures the room
	StoppedByHand Result = "stopped_by_hand" // not again before the room closes
	Refused       Result = "refused"         // the start failed; it is tried again
)

// Verdict is what one rule made of a room, and of what inputs.
type Verdict struct {
	Rule    string `json:"rule"`
	Version int    `json:"version"`
	Result  Result `json:"result"`
	Because string `json:"because" doc:"The same in words, with the values that were compared."`
}

// Decision is what all rules made of a room at an instant.
type Decision struct {
	At       storage.Time `json:"at"`
	System   string       `json:"system"`
	Server   string       `json:"server,omitempty" doc:"Of several servers of that system."`
	RoomID   string       `json:"roomID"`
	Open     bool         `json:"open" doc:"Somebody is in the room."`
	Users    []string     `json:"users"`
	Streams  []string     `json:"streams"`
	Capture  string       `json:"capture,omitempty" doc:"The capture that a rule has running there."`
	Verdicts []Verdict    `json:"verdicts" doc:"By the rules in the order in which they are asked."`
}

// ask asks every rule about a room and returns the one that wants to capture
// it, if its capture does not run yet. The caller holds the lock.
func (e *Engine) ask(r *room, now time.Time) (all []Verdict, winner *Rule) {
	taken := ""
	for i := range e.rules {
		rule := &e.rules[i]
		v := Verdict{Rule: rule.ID, Version: rule.Version}
		v.Result, v.Because = rule.judge(r, now)
		switch {
		case r.capture != "" && r.rule == rule.ID:
			v.Result, v.Because = Recorded, "capture "+r.capture+" is running"
			taken = rule.ID
		case v.Result != Starting:
		case r.capture != "":
			v.Result, v.Because = LowerPriority, fmt.Sprintf("rule %s has capture %s running; one rule captures a room", r.rule, r.capture)
		case taken != "":
			v.Result, v.Because = LowerPriority, fmt.Sprintf("rule %s comes first", taken)
		default:
			taken, winner = rule.ID, rule
			if r.refused != "" && now.Before(r.retry) {
				v.Result, v.Because = Refused, r.refused
			}
		}
		all = append(all, v)
	}
	return all, winner
}

// judge looks at one rule alone.
func (rule *Rule) judge(r *room, now time.Time) (Result, string) {
	switch {
	case rule.System != r.System:
		return OtherSystem, fmt.Sprintf("the room is of %s, the rule of %s", r.System, rule.System)
	case r.Server != "" && rule.Capture.Room.URL != "" && rule.Capture.Room.URL != r.Server:
		return OtherSystem, fmt.Sprintf("the room is of server %s, the rule of %s", r.Server, rule.Capture.Room.URL)
	case !matchesAny(rule.Rooms, r.RoomID):
		return OtherRoom, fmt.Sprintf("%q matches none of %s", r.RoomID, strings.Join(rule.Rooms, ", "))
	case rule.Disabled:
		return Disabled, "the rule is disabled"
	case r.handled[rule.ID]:
		return StoppedByHand, "its capture was stopped by hand; it starts again when the room was empty"
	case !rule.holds(now):
		return OutsideTimes, fmt.Sprintf("it is %s in %s", now.In(rule.zone()).Format("Mon 15:04"), rule.Timezone)
	case len(r.users) == 0:
		return NobodyThere, "nobody is in the room"
	}
	users, _ := r.people()
	matching := func(user string) bool { return len(rule.Users) == 0 || matchesAny(rule.Users, user) }
	if !slices.ContainsFunc(users, matching) {
		return NoUser, fmt.Sprintf("of %s nobody matches %s", strings.Join(users, ", "), strings.Join(rule.Users, ", "))
	}
	if rule.Start == OnStream && len(r.streams) == 0 {
		return NoStream, "nobody publishes yet"
	}
	return Starting, "all its terms are met"
}

func (rule *Rule) zone() *time.Location {
	zone, err := time.LoadLocation(rule.Timezone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// decision is how the room stands. The caller holds the lock.
func (r *room) decision(verdicts []Verdict, now time.Time) Decision {
	d := Decision{At: storage.At(now), System: r.System, Server: r.Server, RoomID: r.RoomID, Capture: r.capture, Verdicts: verdicts}
	d.Users, d.Streams = r.people()
	d.Open = len(d.Users)+len(d.Streams) > 0
	if d.Users == nil {
		d.Users = []string{}
	}
	if d.Streams == nil {
		d.Streams = []string{}
	}
	if d.Verdicts == nil {
		d.Verdicts = []Verdict{}
	}
	return d
}

// note writes a decision down if it is another one than before. The caller
// holds the lock.
func (e *Engine) note(r *room, verdicts []Verdict, now time.Time) {
	d := r.decision(verdicts, now)
	same := d
	same.At = storage.Time{}
	same.Verdicts = slices.Clone(verdicts)
	for i := range same.Verdicts {
		if same.Verdicts[i].Result == OutsideTimes {
			same.Verdicts[i].Because = "" // tells the time
		}
	}
	b, err := json.Marshal(same)
	if err != nil || string(b) == r.told {
		return
	}
	r.told = string(b)
	e.decisions.add(d)
}

// Explain says what the rules make of a room now: without a server, of the one
// that is open on the first of them.
func (e *Engine) Explain(p Place) Decision {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hearLocked()
	r := e.find(p)
	if r == nil {
		r = &room{Place: p}
	}
	verdicts, _ := e.ask(r, now)
	return r.decision(verdicts, now)
}

// ExplainAt says what the rules made of a room at an instant in the past,
// without a server on whichever. fs.ErrNotExist is wrapped if none is known.
func (e *Engine) ExplainAt(p Place, at time.Time) (Decision, error) { return e.decisions.at(p, at) }

const (
	decisionsName = "decisions.jsonl"
	maxDecisions  = 64 << 20 // bytes of a file; there are two
)

// decisions is the file of decisions: one JSON object a line. A full one
// becomes the old one, and the old one before that goes.
type decisions struct {
	dir  string
	mu   sync.Mutex
	file *os.File
	size int64
	buf  []byte
}

func openDecisions(dir string) (*decisions, error) {
	d := &decisions{dir: dir}
	return d, d.open()
}

func (d *decisions) open() (err error) {
	name := filepath.Join(d.dir, decisionsName)
	if d.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the decisions of rules: %w", err)
	}
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	d.size = info.Size()
	return nil
}

func (d *decisions) add(v Decision) {
	line, err := json.Marshal(v)
	if err != nil {
		return // strings and a time: cannot happen
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buf = append(append(d.buf, line...), '\n')
}

// flush writes what was added.
func (d *decisions) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flushLocked()
}

func (d *decisions) flushLocked() error {
	if len(d.buf) == 0 {
		return nil
	}
	n, err := d.file.Write(d.buf)
	d.size += int64(n)
	d.buf = append(d.buf[:0], d.buf[n:]...)
	if err != nil || d.size < maxDecisions {
		return err
	}
	return d.turn()
}

// turn begins a new file. If that fails the old one goes on.
func (d *decisions) turn() error {
	f, err := storage.TurnFile(d.file, filepath.Join(d.dir, decisionsName))
	if f != nil {
		d.file, d.size = f, 0
	}
	return err
}

func (d *decisions) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.flushLocked()
	_ = d.file.Close()
}

// at finds the last decision about a room at or before an instant.
func (d *decisions) at(p Place, at time.Time) (found Decision, err error) {
	d.mu.Lock()
	err = d.flushLocked()
	d.mu.Unlock()
	if err != nil {
		return found, err
	}
	ok := false
	name := filepath.Join(d.dir, decisionsName)
	for _, file := range []string{name + ".old", name} {
		err := eachDecision(file, func(v Decision) {
			if v.System == p.System && (p.Server == "" || v.Server == p.Server) && v.RoomID == p.RoomID && !v.At.After(at) {
				found, ok = v, true
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	if !ok {
		return found, fmt.Errorf("no decision about room %s at or before %s is on record: %w", p.RoomID, storage.At(at), fs.ErrNotExist)
	}
	return found, nil
}

func eachDecision(file string, fn func(Decision)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = lines.New(f, 0).Each(func(line []byte) error {
		var v Decision
		if json.Unmarshal(line, &v) == nil {
			fn(v)
		}
		return nil
	})
	return err
}

// suffix tells rooms apart in the ids of captures.
func suffix(p Place) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.System + "\x00" + p.Server + "\x00" + p.RoomID)) // never fails
	return fmt.Sprintf("%08x", h.Sum32())
}

// find is an open room, without a server the one on the first that has it. The
// caller holds the lock.
func (e *Engine) find(p Place) (found *room) {
	if r := e.rooms[p]; r != nil || p.Server != "" {
		return r
	}
	for at, r := range e.rooms {
		if at.System == p.System && at.RoomID == p.RoomID && (found == nil || at.Server < found.Server) {
			found = r
		}
	}
	return found
}
