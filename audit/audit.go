// Package audit is the log of every act: who did what to what, when, from
// where, and how it ended. It is a file of JSON lines, each of which holds the
// SHA-256 of the one before, under signed heads; so nothing can be changed,
// taken out or cut off without being found.
//
// It stands beside package api, which lets an act begin only when that is
// written down and durable, and beside package retention, for what the daemon
// does by itself. It promises that an act that happened is in the log, at
// least as one that began; it does not promise that its end is, if the process
// dies in the middle or the disk is full.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"

	"mixdown/storage"
)

// Entry is one line of the log. An act has two: that it began, and how it
// ended.
type Entry struct {
	Seq       int64          `json:"seq"` // 1, 2, 3 …
	At        storage.Time   `json:"at"`
	Actor     string         `json:"actor"`          // a key, or mixdown itself
	From      string         `json:"from,omitempty"` // the actor's address
	Operation string         `json:"operation"`
	Object    string         `json:"object,omitempty"`
	Of        int64          `json:"of,omitempty"`      // of an end: the Seq of the beginning
	Outcome   string         `json:"outcome,omitempty"` // of an end: ok, or the code of what went wrong
	Status    int            `json:"status,omitempty"`  // of an end over HTTP
	Details   map[string]any `json:"details,omitempty"`
	Prev      string         `json:"prev"` // SHA-256 of the line before, hex; of the first, 64 zeros
}

const (
	// longestLine is the longest one that is written. Readers take more.
	longestLine = 64 << 10
	// longestField is how much of a field is kept of an entry that is longer.
	longestField = 1 << 10
)

// line is the entry as it is written. Whatever somebody sends, their act can be
// written down: what is too long is shortened, and the entry says so.
func (e *Entry) line() ([]byte, error) {
	b, err := json.Marshal(e)
	if err == nil && len(b) >= longestLine {
		short := *e
		short.Object, short.Operation, short.Actor, short.Outcome = cut(e.Object), cut(e.Operation), cut(e.Actor), cut(e.Outcome)
		if e.Details != nil {
			short.Details = map[string]any{"omitted": fmt.Sprintf("the entry had %d bytes", len(b))}
		}
		b, err = json.Marshal(&short)
	}
	return append(b, '\n'), err
}

func cut(s string) string {
	if len(s) <= longestField {
		return s
	}
	return strings.ToValidUTF8(s[:longestField], "") + "…"
}

// OK is the outcome of what went well.
const OK = "ok"

// Daemon is the actor of what the daemon does by itself.
const Daemon = "mixdown"

// Who does something.
type Who struct {
	Actor string
	From  string // an address; "" if it is the daemon itself
}

type whoKey struct{}
type actKey struct{}

// With notes in a context who acts.
func With(ctx context.Context, w Who) context.Context { return context.WithValue(ctx, whoKey{}, w) }

// ActorOf is who acts; without anybody it is the daemon itself.
func ActorOf(ctx context.Context) Who {
	if w, ok := ctx.Value(whoKey{}).(Who); ok {
		return w
	}
	return Who{Actor: Daemon}
}

// Act is something that began and is to end. Its methods are safe for
// concurrent use and do nothing on a nil Act.
type Act struct {
	log   *Log
	begun Entry
	head  Head // of begun

	mu      sync.Mutex
	details map[string]any
	ended   bool
}

// Begin writes that an act begins. On an error it must not happen.
func (l *Log) Begin(ctx context.Context, operation, object string) (*Act, error) {
	w := ActorOf(ctx)
	e := Entry{Actor: w.Actor, From: w.From, Operation: operation, Object: object}
	h, err := l.write(&e)
	if err != nil {
		return nil, err
	}
	return &Act{log: l, begun: e, head: h}, nil
}

// Seq is the number of the act.
func (a *Act) Seq() int64 {
	if a == nil {
		return 0
	}
	return a.begun.Seq
}

// Receipt is the number of the act and the hash of its entry: whoever keeps it
// can prove what must be in the log.
func (a *Act) Receipt() string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%d %s", a.head.Seq, a.head.Hash)
}

// Note adds to what the end of the act will say.
func (a *Act) Note(name string, value any) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.details == nil {
		a.details = map[string]any{}
	}
	a.details[name] = value
}

// End writes how the act ended; a second call does nothing. The act has
// happened, so an error is for the log of the daemon only.
func (a *Act) End(outcome string, status int) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		return nil
	}
	a.ended = true
	details := maps.Clone(a.details)
	a.mu.Unlock()
	e := a.begun
	e.Of, e.Outcome, e.Status, e.Details = a.begun.Seq, outcome, status, details
	_, err := a.log.write(&e)
	return err
}

// Attach puts an act into a context, so that who carries it out can add to
// what its end says.
func Attach(ctx context.Context, a *Act) context.Context { return context.WithValue(ctx, actKey{}, a) }

// Note adds to the act of a context, if there is one.
func Note(ctx context.Context, name string, value any) {
	a, _ := ctx.Value(actKey{}).(*Act)
	a.Note(name, value)
}
