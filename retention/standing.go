package retention

import (
	"context"
	"fmt"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// Standing is where a recording stands: why it is still there.
type Standing struct {
	ID          string          `json:"id"`
	Class       string          `json:"class,omitempty"`
	Days        int             `json:"days,omitempty"`
	RetainUntil *storage.Time   `json:"retainUntil" doc:"When its retention is over; null while it runs, and for a recording that is kept for ever."`
	Extended    bool            `json:"extended" doc:"RetainUntil is later than the manifest says."`
	Holds       []string        `json:"holds" doc:"The holds that keep it, whatever its retention says."`
	Locks       map[string]Kept `json:"locks,omitempty" doc:"By storage."`
	Disposing   bool            `json:"disposing,omitempty" doc:"Its disposal has begun."`
}

// Kept is how a storage keeps a recording's objects.
type Kept struct {
	Mode  storage.LockMode `json:"mode" enum:"governance,compliance"`
	Until *storage.Time    `json:"until" doc:"All objects are locked until then, as read back from the storage; null: not confirmed yet."`
}

// Standing tells where a recording stands.
func (k *Keeper) Standing(id string) (Standing, error) {
	r, ok := k.config.Recordings.Get(id)
	if !ok {
		return Standing{}, k.absent(id)
	}
	held := k.Of(r)
	k.mu.Lock()
	defer k.mu.Unlock()
	st := Standing{ID: id, Holds: append([]string{}, held...)}
	if until := k.untilLocked(r); !until.IsZero() {
		at := storage.At(until)
		st.RetainUntil = &at
	}
	s := k.states[id]
	_, st.Disposing = k.plans[id]
	if r.Policy == nil {
		st.Extended = !s.Until.IsZero()
		return st, nil
	}
	st.Class, st.Days = r.Policy.Class, r.Policy.Days
	st.Extended = r.Policy.RetainUntil == nil && !s.Until.IsZero() || r.Policy.RetainUntil != nil && st.RetainUntil.After(r.Policy.RetainUntil.Time)
	for name, mode := range r.Policy.Locks {
		if st.Locks == nil {
			st.Locks = map[string]Kept{}
		}
		kept := Kept{Mode: mode}
		if at, ok := s.Locked[name]; ok {
			kept.Until = &at
		}
		st.Locks[name] = kept
	}
	return st, nil
}

// absent is why a recording is not there.
func (k *Keeper) absent(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone[id] {
		return refuse(Disposed, "recording %s was disposed of", id)
	}
	return refuse(NotFound, "there is no recording %q", id)
}

// Extend keeps a recording until an instant, or for days from its end; the one
// that is not zero counts. A retention never gets shorter. Locks follow at
// once; a storage that does not answer now is asked again by Run, and Standing
// tells.
func (k *Keeper) Extend(ctx context.Context, id string, until time.Time, days int) (Standing, error) {
	r, ok := k.config.Recordings.Get(id)
	if !ok {
		return Standing{}, k.absent(id)
	}
	if days > 0 {
		if r.End.IsZero() {
			return Standing{}, refuse(Running, "recording %s has no end yet to count days from: give until, or stop its capture first", id)
		}
		until = r.End.AddDate(0, 0, days)
	}
	changed, err := k.extend(r, storage.At(until))
	if err != nil {
		return Standing{}, err
	}
	if changed && k.unlocked(r) {
		k.attempt(ctx, id, func() error { return k.confirm(ctx, r) })
	}
	st, err := k.Standing(id)
	if err == nil && changed {
		k.publish("retention.extended", r, map[string]any{"recordingID": id, "retainUntil": st.RetainUntil, "standing": st})
	}
	return st, err
}

func (k *Keeper) extend(r Recording, until storage.Time) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, begun := k.plans[r.ID]; begun {
		return false, refuse(Disposed, "recording %s is being disposed of", r.ID)
	}
	s, now := k.states[r.ID], k.untilLocked(r)
	switch {
	case until.Before(now):
		e := refuse(Shorter, "recording %s is kept until %s; a retention never gets shorter", r.ID, storage.At(now))
		e.Until = now
		return false, e
	case until.Equal(now):
		return false, nil
	}
	s.Until = until
	return true, k.save(r.ID, s)
}

// publish tells of something that happened to a recording.
func (k *Keeper) publish(kind string, r Recording, data any) {
	k.config.Events.Publish(events.Event{Type: kind, Capture: r.ID, Room: r.Room.RoomID, Data: data})
}

// PlaceHold places a hold and tells of it.
func (k *Keeper) PlaceHold(h Hold) (Hold, bool, error) {
	placed, created, err := k.Place(h)
	if created {
		k.config.Events.Publish(events.Event{Type: "hold.placed", Room: h.Selector.RoomID, Data: map[string]any{"hold": placed}})
	}
	return placed, created, err
}

// ReleaseHold releases a hold and tells of it.
func (k *Keeper) ReleaseHold(id, by string) error {
	h, err := k.Release(id)
	if err != nil {
		return err
	}
	k.config.Events.Publish(events.Event{Type: "hold.released", Room: h.Selector.RoomID, Data: map[string]any{"hold": h, "by": by}})
	return nil
}

// Stats are figures of a keeper.
type Stats struct {
	Holds     int
	Disposing int // disposals that have begun and not ended
	Disposed  int
	Troubled  int // recordings that could not be disposed of, or locked, and are tried again
}

// Stats tells them.
func (k *Keeper) Stats() Stats {
	held := len(k.List())
	k.mu.Lock()
	defer k.mu.Unlock()
	return Stats{held, len(k.plans), len(k.gone), len(k.retry)}
}

// Trouble is what an operator must mend; nil when all is well.
func (k *Keeper) Trouble() error {
	if k.blind != nil {
		return fmt.Errorf("nothing is disposed of: %w", k.blind)
	}
	return nil
}
