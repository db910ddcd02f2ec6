// Package rules records matching rooms by themselves, and says why a room is
// or is not recorded, now and in the past.
//
// It stands beside the straight line: it hears who does what in which room,
// from the embedded room service or a webhook of another one, and starts and
// stops captures. Package api sets rules and asks for explanations. It promises
// that of all rules that match a room one captures it, the one of the highest
// priority, as soon as what it waits for has happened; and that every decision
// is written down when it changes. It knows no HTTP and no media.
package rules

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// Label is the label that a rule's captures carry: the rule's id.
const Label = "mixdown-rule"

// Errors of an [Engine].
var (
	ErrNotFound = errors.New("no such rule")
	ErrInvalid  = errors.New("invalid rule")
	ErrChanged  = errors.New("the rule is not the one that was meant")
)

// When a rule starts its capture.
const (
	OnStream = "stream" // with the first stream; nothing of it is missed
	OnUser   = "user"   // with the first user
)

// Terms say which rooms a rule is about, and when.
type Terms struct {
	Disabled bool              `json:"disabled,omitempty" doc:"Keeps the rule without following it."`
	Priority int               `json:"priority,omitempty" doc:"Of several rules that match a room the one with the highest priority captures it; of equals, the first by id."`
	System   string            `json:"system,omitempty" doc:"The room system." default:"mixdown"`
	Rooms    []string          `json:"rooms" minItems:"1" doc:"Patterns of room ids: * and ? as in file names, without meaning for slashes."`
	Users    []string          `json:"users,omitempty" doc:"Patterns of user ids; one such user must be in the room. None means anybody."`
	Start    string            `json:"start,omitempty" enum:"stream,user" default:"stream" doc:"What starts the capture: the first stream or the first user that matches."`
	Between  []Window          `json:"between,omitempty" doc:"Times at which the rule holds; at the end of one its capture is stopped. None means always."`
	Timezone string            `json:"timezone,omitempty" doc:"Of between, as Europe/Berlin." default:"UTC"`
	Labels   map[string]string `json:"labels,omitempty" doc:"Added to the capture's."`
}

// Window is a span of time that comes again every week. One whose end is not
// after its start ends on the next day.
type Window struct {
	Days []string `json:"days,omitempty" doc:"mon, tue, wed, thu, fri, sat, sun; none means every day." enum:"mon,tue,wed,thu,fri,sat,sun"`
	From string   `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"08:00"`
	To   string   `json:"to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"18:00"`
}

// Rule is a rule with its capture. In the capture, "{roomID}" in the id of a
// republished stream stands for the room.
type Rule struct {
	ID      string       `json:"id"`
	Version int          `json:"version" doc:"Counts the changes, from 1."`
	Changed storage.Time `json:"changedAt"`
	By      string       `json:"changedBy"`
	Terms
	Capture capture.Spec `json:"capture"`
}

var ruleIDRule = regexp.MustCompile(`^[0-9A-Za-z_-]{1,32}$`)

var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// withDefaults fills in what was left out.
func (t Terms) withDefaults() Terms {
	if t.System == "" {
		t.System = "mixdown"
	}
	if t.Start == "" {
		t.Start = OnStream
	}
	if t.Timezone == "" {
		t.Timezone = "UTC"
	}
	return t
}

func (t Terms) check() error {
	for field, patterns := range map[string][]string{"rooms": t.Rooms, "users": t.Users} {
		for _, p := range patterns {
			if _, err := matchPattern(p, ""); err != nil || p == "" || len(p) > 256 {
				return fmt.Errorf("%w: %s: %q is no pattern", ErrInvalid, field, p)
			}
		}
	}
	if len(t.Rooms) == 0 {
		return fmt.Errorf("%w: rooms: needs a pattern; * is all rooms", ErrInvalid)
	}
	if t.Start != OnStream && t.Start != OnUser {
		return fmt.Errorf("%w: start: %q is not one of stream, user", ErrInvalid, t.Start)
	}
	if _, err := time.LoadLocation(t.Timezone); err != nil {
		return fmt.Errorf("%w: timezone: %q is not known", ErrInvalid, t.Timezone)
	}
	for i, w := range t.Between {
		if _, err := w.minutes(); err != nil {
			return fmt.Errorf("%w: between[%d]: %w", ErrInvalid, i, err)
		}
	}
	return nil
}

// minutes are the window's start and end in minutes after midnight.
func (w Window) minutes() (m [2]int, err error) {
	for i, text := range []string{w.From, w.To} {
		t, err := time.Parse("15:04", text)
		if err != nil {
			return m, fmt.Errorf("%q is not a time as 08:00", text)
		}
		m[i] = t.Hour()*60 + t.Minute()
	}
	for _, d := range w.Days {
		if !slices.Contains(days, d) {
			return m, fmt.Errorf("days: %q is not one of mon, tue, wed, thu, fri, sat, sun", d)
		}
	}
	return m, nil
}

// holds says whether the rule holds at an instant.
func (t Terms) holds(at time.Time) bool {
	if len(t.Between) == 0 {
		return true
	}
	zone, err := time.LoadLocation(t.Timezone)
	if err != nil {
		return false // checked before; the zone has vanished from the system
	}
	at = at.In(zone)
	minute := at.Hour()*60 + at.Minute()
	today, yesterday := days[at.Weekday()], days[(at.Weekday()+6)%7]
	return slices.ContainsFunc(t.Between, func(w Window) bool {
		m, err := w.minutes()
		on := func(day string) bool { return len(w.Days) == 0 || slices.Contains(w.Days, day) }
		switch {
		case err != nil:
			return false
		case m[0] < m[1]:
			return on(today) && m[0] <= minute && minute < m[1]
		}
		return on(today) && minute >= m[0] || on(yesterday) && minute < m[1]
	})
}

// matchPattern is path.Match without its respect for slashes, which are
// letters of an id like all others.
func matchPattern(pattern, id string) (bool, error) {
	flat := strings.NewReplacer("/", "\x01")
	return path.Match(flat.Replace(pattern), flat.Replace(id))
}

func matchesAny(patterns []string, id string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := matchPattern(p, id)
		return ok && err == nil
	})
}

// spec is what the rule captures in a room.
func (r Rule) spec(server, roomID string) capture.Spec {
	s := r.Capture
	if s.Room.URL == "" {
		s.Room.URL = server
	}
	s.Room.System, s.Room.RoomID = r.System, roomID
	s.Labels = maps.Clone(s.Labels)
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	maps.Copy(s.Labels, r.Labels)
	s.Labels[Label] = r.ID
	s.Republish = slices.Clone(s.Republish)
	for i := range s.Republish {
		s.Republish[i].StreamID = strings.ReplaceAll(s.Republish[i].StreamID, "{roomID}", inStreamID(roomID))
	}
	return s
}

// inStreamID is a room's id with what a stream's id cannot hold replaced.
func inStreamID(roomID string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, roomID)
}
