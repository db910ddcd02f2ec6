package retention

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"mixdown/storage"
)

// askFor is how long a bucket may take to say whether it can lock.
const askFor = 5 * time.Second

// Admit decides how long a recording that is about to start will be kept, by
// the name of a class or a number of days, and checks that its storages can
// keep it so. nil is for ever. An error is a *Refusal.
func (k *Keeper) Admit(ctx context.Context, id, class string, days int, storages []string) (*storage.Retention, error) {
	if err := k.vacant(id); err != nil {
		return nil, err
	}
	if days > 0 {
		return &storage.Retention{Days: days}, nil
	}
	if class == "" {
		class = k.config.Default
	}
	if class == "" {
		return nil, nil
	}
	c, ok := k.config.Classes[class]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(k.config.Classes)), ", ")
		return nil, refuse(NoClass, "retention.class: %q is not configured; configured are %s", class, cmpOr(known, "none"))
	}
	r := &storage.Retention{Class: class, Days: c.Days, Early: c.Early}
	if c.Lock == storage.Unlocked {
		return r, nil
	}
	r.Locks = map[string]storage.LockMode{}
	for _, name := range storages {
		if err := k.lockable(ctx, class, name, c.Lock); err != nil {
			return nil, err
		}
		r.Locks[name] = c.Lock
	}
	return r, nil
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// vacant refuses the id of a recording that was disposed of: its certificate
// is about one recording.
func (k *Keeper) vacant(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, begun := k.plans[id]; begun || k.gone[id] {
		return refuse(Disposed, "recording %s was disposed of; choose another id", id)
	}
	return nil
}

// lockable refuses a storage that cannot lock as a class asks. One that cannot
// be asked now is trusted if it ever said so in this life of the daemon.
func (k *Keeper) lockable(ctx context.Context, class, name string, mode storage.LockMode) error {
	locker, ok := k.config.Storages[name].(storage.Locker)
	if !ok {
		return refuse(NoLock, "retention class %s asks for a %s lock, and storage %s has none", class, mode, name)
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	err := locker.CanLock(ctx, mode)
	key := name + " " + string(mode)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.canDo[key] = true
		return nil
	case errors.Is(err, storage.ErrNoLock):
		delete(k.canDo, key)
		return refuse(NoLock, "retention class %s asks for a %s lock; storage %s: %v", class, mode, name, err)
	case k.canDo[key]:
		return nil
	}
	return refuse(LockUnknown, "retention class %s asks for a %s lock, and storage %s could not be asked whether it has one: %v", class, mode, name, err)
}
