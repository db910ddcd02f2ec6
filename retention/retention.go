// Package retention says how long recordings are kept, keeps those that are
// held, and disposes of the others when their time is over.
//
// It stands behind the straight line: what capture has recorded and the
// uploader has stored is kept here, until nothing may keep it any more. It
// knows recordings by a small description, not captures; cmd wires the two.
// Package api calls it for people, the uploader asks it for locks, and Run
// does the rest by itself.
//
// It promises: nothing is deleted while a hold selects it, before its time or
// under a lock; what is deleted is deleted in every storage, to the end, also
// if the process dies in the middle; and what was there is written down in a
// signed certificate, with hashes. It does not erase parts of recordings.
package retention

import (
	"fmt"
	"time"

	"mixdown/storage"
)

// Recording is what retention knows of one.
type Recording struct {
	ID       string
	Room     storage.Room
	Users    []string // that were in the room or published
	Labels   map[string]string
	Start    time.Time
	End      time.Time          // zero while it runs
	Base     string             // its folder in every storage: <room>/<id>
	Storages []string           // that may hold a part of it
	Policy   *storage.Retention // nil: kept for ever
}

// Recordings is where recordings are found. It does not block on networks.
type Recordings interface {
	// Get finds one.
	Get(id string) (Recording, bool)
	// All lists them.
	All() []Recording
	// Forget takes away what the daemon keeps of an ended recording besides
	// its files in the storages. Forgetting what is not there is success.
	Forget(id string) error
}

// Code names why something was refused. Codes are stable.
type Code string

// Why something can be refused.
const (
	Held        Code = "recording_held"
	Locked      Code = "recording_locked"
	NotOver     Code = "retention_not_over"
	Running     Code = "recording_running"
	Uploading   Code = "uploads_pending"
	Disposed    Code = "recording_disposed"
	Shorter     Code = "retention_shorter"
	NotFound    Code = "recording_not_found"
	HoldChanged Code = "hold_conflict"
	NoHold      Code = "hold_not_found"
	BadHold     Code = "invalid_hold"
	NoClass     Code = "unknown_class"
	NoLock      Code = "lock_unsupported"
	LockUnknown Code = "lock_unknown"
	Blind       Code = "holds_unreadable"
)

// Refusal is the error of what may not be done now.
type Refusal struct {
	Code  Code
	Text  string
	Holds []string  // ids of the holds that keep the recording
	Until time.Time // when it may be tried again; zero if that is not known
}

func (r *Refusal) Error() string { return r.Text }

func refuse(c Code, format string, args ...any) *Refusal {
	return &Refusal{Code: c, Text: fmt.Sprintf(format, args...)}
}
