package retention

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"mixdown/storage"
)

// LockOf is the lock with which an object of a recording is stored: what the
// uploader asks. It counts from now, because the end of the recording may not
// be known yet; when it is, confirm makes up for the difference.
func (k *Keeper) LockOf(bucket, key string) storage.Lock {
	base, id := recordingOf(key)
	r, ok := k.config.Recordings.Get(id)
	if !ok || r.Policy == nil || r.Base != base {
		return storage.Lock{}
	}
	mode := r.Policy.Locks[bucket]
	if mode == storage.Unlocked {
		return storage.Lock{}
	}
	now := time.Now()
	until := now.AddDate(0, 0, r.Policy.Days)
	if over := k.until(r); over.After(until) || !r.End.IsZero() {
		until = over
	}
	if until.Before(now.Add(time.Minute)) {
		return storage.Lock{} // it comes after its time; a bucket refuses locks of the past
	}
	return storage.Lock{Mode: mode, Until: until}
}

// recordingOf is the recording that an object's key is of: its folder and its id,
// empty if it is of none.
func recordingOf(key string) (base, id string) {
	room, rest, _ := strings.Cut(key, "/")
	id, _, inside := strings.Cut(rest, "/")
	if !inside {
		return "", ""
	}
	return room + "/" + id, id
}

// Uploaded is told of each attempt of the uploader. What comes after the locks
// of a recording were confirmed, as a time stamp or a newer manifest, may lie
// there without one: they are confirmed again.
func (k *Keeper) Uploaded(bucket, key string, err error) {
	if err != nil {
		return
	}
	_, id := recordingOf(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, confirming := k.late[place{id, bucket}]; confirming {
		k.late[place{id, bucket}] = true // it may not be in the list
	}
	s, ok := k.states[id]
	if _, noted := s.Locked[bucket]; !ok || !noted {
		return
	}
	s.Locked = maps.Clone(s.Locked)
	delete(s.Locked, bucket)
	if err := k.save(id, s); err != nil {
		k.states[id] = s // it holds until the next restart
		k.config.Log.Error("a recording's locks are to be confirmed again", "recording", id, "err", err)
	}
}

// unlocked says that an ended recording's locks are not known to be as long as
// they should be.
func (k *Keeper) unlocked(r Recording) bool {
	if r.Policy == nil || r.End.IsZero() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	until := k.untilLocked(r)
	if !until.After(time.Now()) {
		return false // no lock lies in the past
	}
	for name := range r.Policy.Locks {
		if k.states[r.ID].Locked[name].Before(until) {
			return true
		}
	}
	return false
}

// confirm locks every object of a recording until its retention is over, as
// far as they are not, and reads each lock back.
func (k *Keeper) confirm(ctx context.Context, r Recording) error {
	until := k.until(r)
	for name, mode := range r.Policy.Locks {
		if err := k.confirmAt(ctx, r, name, storage.Lock{Mode: mode, Until: until}); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) confirmAt(ctx context.Context, r Recording, name string, want storage.Lock) error {
	at := place{r.ID, name}
	k.mu.Lock()
	done := !k.states[r.ID].Locked[name].Before(want.Until)
	k.late[at] = false
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.late, at)
		k.mu.Unlock()
	}()
	if n, _ := k.config.Pending(name, r.Base+"/"); done || n > 0 {
		return nil // what is still to come is locked when it is there
	}
	if err := k.confirmIn(ctx, r, name, want); err != nil {
		return fmt.Errorf("lock recording %s in storage %s: %w", r.ID, name, err)
	}
	return k.noteLocked(at, want.Until)
}

func (k *Keeper) confirmIn(ctx context.Context, r Recording, name string, want storage.Lock) error {
	bucket := k.config.Storages[name]
	locker, ok := bucket.(storage.Locker)
	if !ok {
		return storage.ErrNoLock
	}
	for o, err := range bucket.List(ctx, r.Base+"/") {
		if err == nil {
			err = k.limiter.Wait(ctx)
		}
		if err == nil {
			err = locker.ExtendLock(ctx, o.Key, want)
		}
		if err != nil {
			return err
		}
		got, err := locker.Lock(ctx, o.Key)
		if err != nil {
			return err
		}
		if !got.Covers(want) {
			return fmt.Errorf("%s: asked for %s, the bucket shows %s", o.Key, want, got)
		}
	}
	return nil
}

func (k *Keeper) noteLocked(at place, until time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.late[at] {
		return nil // the next round looks again
	}
	s := k.states[at.recording]
	s.Locked = maps.Clone(s.Locked)
	if s.Locked == nil {
		s.Locked = map[string]storage.Time{}
	}
	s.Locked[at.storage] = storage.At(until)
	return k.save(at.recording, s)
}
