package joiner

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// roster stands between a System and the Room: it remembers who and what the
// room was told of, so that what went away between two connections is told as
// removed, makes sure that the calls come one at a time, and catches panics.
type roster struct {
	mu      sync.Mutex
	room    Room
	users   map[string]User
	streams map[string]Stream

	// The present connection.
	since  time.Time // when it was up
	cancel context.CancelCauseFunc

	broken error // a panic of room's
}

func newRoster(room Room) *roster {
	return &roster{room: room, users: make(map[string]User), streams: make(map[string]Stream)}
}

func (r *roster) begin(cancel context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.cancel = time.Time{}, cancel
}

// cut ends the present connection.
func (r *roster) cut(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel(why)
	}
}

func (r *roster) up() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since
}

func (r *roster) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// Event implements [Room].
func (r *roster) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case StateChanged:
		if e.State == Connected && r.since.IsZero() {
			r.since = time.Now()
		}
	case Present:
		r.reconcile(e)
		return
	case UserAdded:
		known, ok := r.users[e.User.ID]
		r.users[e.User.ID] = e.User
		if ok && known == e.User {
			return
		}
	case UserRemoved:
		if _, ok := r.users[e.User.ID]; !ok {
			return
		}
		delete(r.users, e.User.ID)
	case StreamRemoved:
		if _, ok := r.streams[e.StreamID]; !ok {
			return
		}
		delete(r.streams, e.StreamID)
	case StreamChanged:
		known, ok := r.streams[e.Stream.ID]
		if !ok || known == e.Stream {
			return
		}
		r.streams[e.Stream.ID] = e.Stream
	}
	r.tell(e)
}

// Stream implements [Room].
func (r *roster) Stream(s Stream) (receiver Receiver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.streams[s.ID]; ok && known.User.ID != s.User.ID {
		r.tell(StreamRemoved{StreamID: s.ID, Reason: "published by another user"})
	}
	r.streams[s.ID] = s
	r.guard(func() { receiver = r.room.Stream(s) })
	return receiver
}

// reconcile tells what is gone.
func (r *roster) reconcile(there Present) {
	for _, id := range slices.Sorted(maps.Keys(r.streams)) {
		if !slices.Contains(there.Streams, id) {
			delete(r.streams, id)
			r.tell(StreamRemoved{StreamID: id, Reason: "gone while disconnected"})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.users)) {
		if u := r.users[id]; !slices.Contains(there.Users, id) {
			delete(r.users, id)
			r.tell(UserRemoved{User: u})
		}
	}
}

func (r *roster) tell(e Event) {
	r.guard(func() { r.room.Event(e) })
}

// guard runs a call of the room's; after a panic there are no more calls but
// the last one, which says that the login is over.
func (r *roster) guard(call func()) {
	defer func() {
		if v := recover(); v != nil && r.broken == nil {
			r.broken = panicked("room", v)
			if r.cancel != nil {
				r.cancel(r.broken)
			}
		}
	}()
	if r.broken == nil {
		call()
	}
}
