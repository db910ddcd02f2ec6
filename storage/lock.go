package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Deleter is a bucket that objects can be taken out of. Whoever calls it has
// asked package retention first: a bucket knows locks, but not holds.
type Deleter interface {
	// Delete removes an object for good, in a bucket that keeps versions
	// every version of it. Deleting what is not there is success. An object
	// under a lock stays, and the error wraps ErrLocked.
	Delete(ctx context.Context, key string) error
}

// Locker is a bucket that can keep objects from being deleted or overwritten
// until an instant.
type Locker interface {
	// CanLock says why the bucket cannot lock in this mode: an error that
	// wraps ErrNoLock. Another error says that it could not be asked.
	CanLock(ctx context.Context, mode LockMode) error
	// Lock reads an object's lock back; of one without, it is the zero Lock.
	// The error wraps fs.ErrNotExist if there is no such object.
	Lock(ctx context.Context, key string) (Lock, error)
	// ExtendLock locks an object, or locks it for longer. A lock that is as
	// long already stays as it is: none gets shorter or weaker.
	ExtendLock(ctx context.Context, key string, l Lock) error
}

// LockMode is how strong a lock is.
type LockMode string

// The modes of locks, as S3 has them.
const (
	Unlocked   LockMode = ""
	Governance LockMode = "governance" // somebody with a special permission can lift it
	Compliance LockMode = "compliance" // nobody can, the bucket's owner included
)

// Lock keeps an object. Buckets keep whole seconds.
type Lock struct {
	Mode  LockMode
	Until time.Time
}

// Covers says that l keeps an object at least as long and as strongly as
// want asks.
func (l Lock) Covers(want Lock) bool {
	switch {
	case want.Mode == Unlocked:
		return true
	case l.Mode == Unlocked, want.Mode == Compliance && l.Mode != Compliance:
		return false
	}
	return !l.Until.Before(want.Until.Truncate(time.Second))
}

// String is as "compliance until 2027-01-01T00:00:00Z".
func (l Lock) String() string {
	if l.Mode == Unlocked {
		return "no lock"
	}
	return fmt.Sprintf("%s until %s", l.Mode, l.Until.UTC().Format(time.RFC3339))
}

// ErrLocked is returned when a lock keeps an object.
var ErrLocked = errors.New("the object is locked")

// ErrNoLock is returned by a bucket that cannot lock objects as asked.
var ErrNoLock = errors.New("the bucket cannot lock objects so")

// confirmLock reads back the lock that an object was stored with, and sets it
// if it is not there: an earlier Put whose answer was lost may have been one
// without, or with a shorter one.
func confirmLock(ctx context.Context, b Bucket, key string, want Lock) error {
	if want.Mode == Unlocked {
		return nil
	}
	locker, ok := b.(Locker)
	if !ok {
		return fmt.Errorf("lock %s: %w", key, ErrNoLock)
	}
	got, err := locker.Lock(ctx, key)
	if err == nil && !got.Covers(want) {
		if err = locker.ExtendLock(ctx, key, want); err == nil {
			got, err = locker.Lock(ctx, key)
		}
	}
	if err == nil && !got.Covers(want) {
		err = fmt.Errorf("the bucket shows %s", got)
	}
	if err != nil {
		return fmt.Errorf("lock %s, %s: %w", key, want, err)
	}
	return nil
}
