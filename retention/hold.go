package retention

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"mixdown/storage"
)

// Hold keeps every recording that its selector chooses, those to come
// included, whatever their retention says, until it is released.
type Hold struct {
	ID       string       `json:"id"`
	Selector Selector     `json:"selector"`
	Reason   string       `json:"reason"`
	By       string       `json:"by"` // who placed it
	At       storage.Time `json:"at"` // when it was placed
}

// Selector chooses recordings: those that all of its members choose.
type Selector struct {
	RecordingID string       `json:"recordingID,omitempty"`
	RoomID      string       `json:"roomID,omitempty"`
	UserID      string       `json:"userID,omitempty" doc:"Somebody who was in the room."`
	Label       string       `json:"label,omitempty" doc:"name=value, or a name."`
	From        storage.Time `json:"from,omitzero" doc:"Recordings that end after this instant."`
	To          storage.Time `json:"to,omitzero" doc:"Recordings that start before this instant."`
	All         bool         `json:"all,omitempty" doc:"Every recording; needed where nothing else is given."`
}

// Selects says whether a recording is chosen.
func (s Selector) Selects(r Recording) bool {
	name, value, exact := strings.Cut(s.Label, "=")
	have, labelled := r.Labels[name]
	switch {
	case s.RecordingID != "" && s.RecordingID != r.ID,
		s.RoomID != "" && s.RoomID != r.Room.RoomID,
		s.UserID != "" && !slices.Contains(r.Users, s.UserID),
		s.Label != "" && (!labelled || exact && have != value),
		!s.From.IsZero() && !r.End.IsZero() && r.End.Before(s.From.Time),
		!s.To.IsZero() && r.Start.After(s.To.Time):
		return false
	}
	return true
}

// check says what is wrong with a selector.
func (s Selector) check() string {
	rest := s
	rest.All = false
	switch nothing := rest == (Selector{}); {
	case nothing && !s.All:
		return "chooses nothing: give recordingID, roomID, userID, label, from or to; or all, to hold every recording"
	case !nothing && s.All:
		return "all does not go with anything else"
	case !s.From.IsZero() && !s.To.IsZero() && s.To.Before(s.From.Time):
		return "to is before from"
	}
	return ""
}

var holdID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// Holds are the holds of a daemon, kept in a folder: one file each, durable
// before Place returns. All methods are safe for concurrent use.
type Holds struct {
	dir string

	// mu is held for reading while something is deleted and for writing while
	// a hold is placed: once Place has returned nothing goes any more.
	mu    sync.RWMutex
	all   map[string]Hold
	blind error // a hold could not be read: nobody knows what it selects
}

// OpenHolds reads the holds of the folder dir. One that cannot be read keeps
// everything: deletions are refused until it is mended.
func OpenHolds(dir string) (*Holds, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open holds: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open holds: %w", err)
	}
	h := &Holds{dir: dir, all: map[string]Hold{}}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue // a write that a crash interrupted
		}
		hold, err := readJSON[Hold](filepath.Join(dir, e.Name()))
		if err == nil && (hold.ID != id || hold.Selector.check() != "") {
			err = errors.New("it is no hold of this name")
		}
		if err != nil {
			h.blind = errors.Join(h.blind, fmt.Errorf("hold %s: %w", e.Name(), err))
			continue
		}
		h.all[id] = hold
	}
	return h, nil
}

// Trouble says which holds cannot be read.
func (h *Holds) Trouble() error { return h.blind }

func readJSON[T any](name string) (v T, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(b, &v)
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return storage.WriteFile(name, append(b, '\n'), 0o600)
}

// removeFile removes a file, durably. One that is not there is success.
func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Place places a hold. When it returns nothing that the hold selects is
// deleted any more, not even the rest of what is being disposed of. Placing
// the same hold again is harmless, and false; another one under its id is
// refused.
func (h *Holds) Place(hold Hold) (Hold, bool, error) {
	if !holdID.MatchString(hold.ID) {
		return Hold{}, false, refuse(BadHold, "%q: a hold's id needs 1 to 64 of 0-9 A-Z a-z _ -", hold.ID)
	}
	if wrong := hold.Selector.check(); wrong != "" {
		return Hold{}, false, refuse(BadHold, "selector: %s", wrong)
	}
	if strings.TrimSpace(hold.Reason) == "" {
		return Hold{}, false, refuse(BadHold, "reason: is not given")
	}
	for _, at := range []*storage.Time{&hold.Selector.From, &hold.Selector.To} {
		if !at.IsZero() {
			*at = storage.At(at.Time) // as it is kept
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.all[hold.ID]; ok {
		if !reflect.DeepEqual(old.Selector, hold.Selector) || old.Reason != hold.Reason {
			return Hold{}, false, refuse(HoldChanged, "hold %s exists with another selector or reason: place a new one, then release this one", hold.ID)
		}
		return old, false, nil
	}
	unlock, err := lockHolds(h.dir, syscall.LOCK_EX)
	if err != nil {
		return Hold{}, false, fmt.Errorf("keep hold %s: %w", hold.ID, err)
	}
	defer unlock()
	hold.At = storage.At(time.Now())
	if err := writeJSON(filepath.Join(h.dir, hold.ID+".json"), hold); err != nil {
		return Hold{}, false, fmt.Errorf("keep hold %s: %w", hold.ID, err)
	}
	h.all[hold.ID] = hold
	return hold, true, nil
}

// Release takes a hold away.
func (h *Holds) Release(id string) (Hold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hold, ok := h.all[id]
	if !ok {
		return Hold{}, refuse(NoHold, "there is no hold %q", id)
	}
	if err := removeFile(filepath.Join(h.dir, id+".json")); err != nil {
		return Hold{}, fmt.Errorf("release hold %s: %w", id, err)
	}
	delete(h.all, id)
	return hold, nil
}

// Get finds a hold.
func (h *Holds) Get(id string) (Hold, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if hold, ok := h.all[id]; ok {
		return hold, nil
	}
	return Hold{}, refuse(NoHold, "there is no hold %q", id)
}

// List lists the holds by their ids.
func (h *Holds) List() []Hold {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := []Hold{}
	for _, hold := range h.all {
		all = append(all, hold)
	}
	slices.SortFunc(all, func(a, b Hold) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Of lists the ids of the holds that select a recording.
func (h *Holds) Of(r Recording) []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.of(r)
}

func (h *Holds) of(r Recording) (ids []string) {
	for id, hold := range h.all {
		if hold.Selector.Selects(r) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// lockHolds holds back other processes: who places a hold, or deletes.
func lockHolds(dir string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written
}

// WhileFree is [Holds.WhileFree] for another process than the daemon that has
// its holds in the folder dir.
func WhileFree(dir string, r Recording, fn func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open holds: %w", err)
	}
	unlock, err := lockHolds(dir, syscall.LOCK_SH)
	if err != nil {
		return fmt.Errorf("open holds: %w", err)
	}
	defer unlock()
	h, err := OpenHolds(dir)
	if err != nil {
		return err
	}
	return h.WhileFree(r, fn)
}

// WhileFree runs fn, which takes something of the recording away for good,
// unless a hold keeps it: then the error is a *Refusal. No hold is placed while
// fn runs, so fn should be short.
func (h *Holds) WhileFree(r Recording, fn func() error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.blind != nil {
		return refuse(Blind, "nothing can be deleted: %v; mend or remove that file and start the daemon again", h.blind)
	}
	if ids := h.of(r); len(ids) > 0 {
		e := refuse(Held, "recording %s is held by %s", r.ID, strings.Join(ids, ", "))
		e.Holds = ids
		return e
	}
	return fn()
}
