package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mixdown/audit"
	"mixdown/events"
	"mixdown/storage"
)

// Storage is what a storage must be able to do for its recordings to be
// disposed of. One that is also a [storage.Locker] can keep them.
type Storage interface {
	storage.Bucket
	storage.Browser
	storage.Deleter
}

// Class is a rule by which recordings are kept.
type Class struct {
	Days  int
	Lock  storage.LockMode
	Early bool // may be disposed of before, by request
}

// Config is what a [Keeper] needs of the daemon.
type Config struct {
	Dir        string // <data>/retention: holds, and what is known of recordings
	Disposals  string // <data>/disposals: plans and certificates
	Classes    map[string]Class
	Default    string // class of captures that name none
	Recordings Recordings
	Storages   map[string]Storage
	Pending    func(storage, prefix string) (files int, bytes int64)  // what waits in the spool
	Put        func(key string, data []byte, storages []string) error // queues a small object
	Key        *storage.Key                                           // signs certificates
	Audit      *audit.Log
	Events     events.Publisher
	Log        *slog.Logger
	Rate       rate.Limit // requests per second while disposing; 0 is a hundred

	fault func(step string) error // stands before every step of a disposal; for tests
}

const (
	every = time.Minute
	// again is when a recording is tried again that could not be disposed of,
	// or locked.
	again       = 10 * time.Minute
	defaultRate = 100
)

// Keeper keeps recordings and disposes of them. It is safe for concurrent use.
type Keeper struct {
	*Holds
	config  Config
	limiter *rate.Limiter
	turn    chan struct{} // held while one recording is disposed of

	mu     sync.Mutex
	states map[string]state       // by recording
	plans  map[string]Certificate // disposals that have begun
	gone   map[string]bool        // recordings that are disposed of
	retry  map[string]time.Time   // when a recording that made trouble is tried again
	canDo  map[string]bool        // storage and mode: a bucket that said that it can lock so
	late   map[place]bool         // whose locks are being confirmed: whether something came meanwhile
}

// place is a recording in a storage.
type place struct{ recording, storage string }

// state is what is known of a recording besides its policy.
type state struct {
	Until  storage.Time            `json:"until,omitzero"`   // extended to
	Locked map[string]storage.Time `json:"locked,omitempty"` // by storage: all objects are locked until, as read back
}

// New reads what earlier lives of the daemon left.
func New(config Config) (*Keeper, error) {
	if config.Events == nil {
		config.Events = events.Discard
	}
	if config.Rate == 0 {
		config.Rate = defaultRate
	}
	holds, err := OpenHolds(filepath.Join(config.Dir, "holds"))
	if err != nil {
		return nil, err
	}
	k := &Keeper{
		Holds: holds, config: config, limiter: rate.NewLimiter(config.Rate, 1), turn: make(chan struct{}, 1),
		states: map[string]state{}, late: map[place]bool{}, plans: map[string]Certificate{}, gone: map[string]bool{},
		retry: map[string]time.Time{}, canDo: map[string]bool{},
	}
	if err := holds.Trouble(); err != nil {
		config.Log.Error("a hold cannot be read, so nothing will be disposed of", "err", err)
	}
	for _, read := range []func() error{k.readStates, k.readDisposals} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("open retention: %w", err)
		}
	}
	return k, nil
}

func (k *Keeper) stateFile(id string) string {
	return filepath.Join(k.config.Dir, "recordings", id+".json")
}

func (k *Keeper) readStates() error {
	dir := filepath.Dir(k.stateFile(""))
	return eachFile(dir, ".json", func(id, name string) error {
		s, err := readJSON[state](name)
		if err != nil {
			// What was extended is not known: as good as a hold.
			k.blind = errors.Join(k.blind, fmt.Errorf("%s: %w", name, err))
			k.config.Log.Error("what a recording was extended to cannot be read, so nothing will be disposed of", "file", name, "err", err)
		}
		k.states[id] = s
		return nil
	})
}

// eachFile calls fn with the files of a folder, which it makes if it is not
// there.
func eachFile(dir, ext string, fn func(id, name string) error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ext)
		if !ok || strings.HasPrefix(id, ".") || strings.Contains(id, ".") {
			continue // something else, or a write that a crash interrupted
		}
		if err := fn(id, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// save keeps a recording's state. The caller holds k.mu.
func (k *Keeper) save(id string, s state) error {
	if err := writeJSON(k.stateFile(id), s); err != nil {
		return fmt.Errorf("keep the retention of %s: %w", id, err)
	}
	k.states[id] = s
	return nil
}

// Run disposes of what is over and keeps locks as long as they should be,
// until ctx ends. A disposal that is cut short goes on with the next Run.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		k.Round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round does once what Run does every minute.
func (k *Keeper) Round(ctx context.Context) {
	for _, id := range k.begun() {
		k.attempt(ctx, id, func() error { return k.resume(ctx, id) })
	}
	all := k.config.Recordings.All()
	slices.SortFunc(all, func(a, b Recording) int {
		return cmp.Or(k.until(a).Compare(k.until(b)), a.Start.Compare(b.Start), strings.Compare(a.ID, b.ID))
	})
	for _, r := range all {
		switch {
		case ctx.Err() != nil:
			return
		case k.expired(r):
			k.attempt(ctx, r.ID, func() error {
				_, err := k.dispose(ctx, r.ID, order{cause: Expired, by: audit.Daemon})
				return err
			})
		case k.unlocked(r):
			k.attempt(ctx, r.ID, func() error { return k.confirm(ctx, r) })
		}
	}
}

// begun lists the recordings whose disposal has begun.
func (k *Keeper) begun() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.plans))
}

// attempt does something about a recording that may fail, and leaves it alone
// for a while if it did.
func (k *Keeper) attempt(ctx context.Context, id string, do func() error) {
	k.mu.Lock()
	wait := time.Now().Before(k.retry[id])
	k.mu.Unlock()
	if wait {
		return
	}
	err := do()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.retry, id)
	var refused *Refusal
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &refused):
		k.config.Log.Debug("a recording stays", "recording", id, "reason", err)
	default:
		k.retry[id] = time.Now().Add(again)
		k.config.Log.Warn("a recording's retention could not be kept; it is tried again", "recording", id, "in", again, "err", err)
	}
}

// until is when a recording's retention is over. It is the zero time for one
// that is kept for ever or still runs, unless that was extended.
func (k *Keeper) until(r Recording) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.untilLocked(r)
}

func (k *Keeper) untilLocked(r Recording) time.Time {
	extended := k.states[r.ID].Until.Time
	if r.Policy == nil || r.Policy.RetainUntil == nil || r.Policy.RetainUntil.Before(extended) {
		return extended
	}
	return r.Policy.RetainUntil.Time
}

// expired says that a recording is to be disposed of, as far as its own time
// goes.
func (k *Keeper) expired(r Recording) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, begun := k.plans[r.ID]
	return !begun && r.Policy != nil && r.Policy.RetainUntil != nil && !r.End.IsZero() && !time.Now().Before(k.untilLocked(r))
}
