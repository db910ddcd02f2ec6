package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/storage"
)

const (
	// startTry is how long a start waits for its destinations to be tried: a
	// right one answers in a few round trips, and a server that is away must
	// not cost what is being said meanwhile.
	startTry = time.Second
	// dryTry is how long a dry run does.
	dryTry = 2500 * time.Millisecond
)

// Elsewhere is where the files of a storage go besides it.
type Elsewhere struct {
	Copies  []string // all of them, at once
	Backups []string // those that it could not be given for long
}

// Destination is a storage of a capture as a dry run found it.
type Destination struct {
	Storage   string              `json:"storage"`
	Role      string              `json:"role" enum:"storage,copy,backup" doc:"Named by the capture, or by the configuration of one that is."`
	OK        bool                `json:"ok" doc:"A byte was put, read and deleted."`
	Code      storage.FailureCode `json:"code,omitempty" doc:"What is wrong, by a stable name." example:"wrong_key"`
	Permanent bool                `json:"permanent,omitempty" doc:"It stays wrong until somebody mends it: a start is refused. Otherwise a start goes on, and files wait in the spool."`
	Detail    string              `json:"detail,omitempty"`
	SkewMS    int64               `json:"clockSkewMs" doc:"This machine's clock minus the storage's, to the second."`
	TookMS    int64               `json:"tookMs"`
	Notes     []string            `json:"notes,omitempty"`
}

// DestinationError says that files of a capture could not be delivered as
// things are.
type DestinationError struct{ Failed []Destination }

// Error implements error.
func (e *DestinationError) Error() string {
	var all []string
	for _, d := range e.Failed {
		all = append(all, fmt.Sprintf("storage %s: %s", d.Storage, d.Detail))
	}
	return strings.Join(all, "; ")
}

// destinations lists where files of a capture go, without their findings.
func (config *Config) destinations(spec Spec) (all []Destination) {
	add := func(role string, names ...string) {
		for _, name := range names {
			if !slices.ContainsFunc(all, func(d Destination) bool { return d.Storage == name }) {
				all = append(all, Destination{Storage: name, Role: role})
			}
		}
	}
	for _, r := range spec.Record {
		add("storage", r.Storage)
	}
	for _, r := range spec.Record {
		add("copy", config.Elsewhere[r.Storage].Copies...)
	}
	for _, r := range spec.Record {
		add("backup", config.Elsewhere[r.Storage].Backups...)
	}
	return all
}

// try tries all destinations of a capture at once.
func (config *Config) try(ctx context.Context, spec Spec) []Destination {
	all := config.destinations(spec)
	if config.Try == nil {
		return nil
	}
	var trying sync.WaitGroup
	for i := range all {
		d := &all[i]
		trying.Go(func() {
			p, err := config.Try(ctx, d.Storage, spec)
			d.OK, d.Code, d.Permanent = err == nil, storage.FailureOf(err), errors.Is(err, storage.ErrPermanent)
			d.SkewMS, d.TookMS, d.Notes = p.Skew.Milliseconds(), p.Took.Milliseconds(), p.Notes
			if err != nil {
				d.Detail = err.Error()
			}
		})
	}
	trying.Wait()
	return all
}

// DryRun checks a spec and tries every storage that it leads to: a byte is
// put, read and deleted in each. The error is that of [Manager.Start], but a
// *DestinationError also when a storage is merely away.
func (m *Manager) DryRun(ctx context.Context, spec Spec) (Spec, []Destination, error) {
	spec = spec.withDefaults()
	if err := m.Check(spec); err != nil {
		return spec, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dryTry)
	defer cancel()
	found := m.config.try(ctx, spec)
	err := failed(found, func(Destination) bool { return true })
	if err == nil {
		_, err = m.retain("", spec)
	}
	return spec.Redacted(), found, err
}

// reach refuses a start whose files could never be delivered. Where a storage
// is merely away the capture goes on: that is what the spool is for.
func (config *Config) reach(spec Spec) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTry)
	defer cancel()
	found := config.try(ctx, spec)
	for _, d := range found {
		if !d.OK && !d.blocks() {
			config.Log.Warn("a storage is not there; files wait in the spool", "storage", d.Storage, "room", spec.Room.RoomID, "err", d.Detail)
		}
	}
	return failed(found, Destination.blocks)
}

// blocks says that a start is refused: the storage stays wrong until somebody
// mends it. A backup may be mended in time.
func (d Destination) blocks() bool { return !d.OK && d.Permanent && d.Role != "backup" }

func failed(all []Destination, counts func(Destination) bool) error {
	var e DestinationError
	for _, d := range all {
		if !d.OK && counts(d) {
			e.Failed = append(e.Failed, d)
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	// The code of the first is that of the answer: what the capture itself
	// names and what only an operator can mend come first.
	slices.SortStableFunc(e.Failed, func(a, b Destination) int { return rank(a) - rank(b) })
	return &e
}

func rank(d Destination) int {
	if d.blocks() {
		return 0
	}
	return 1
}

// Storages lists every storage that holds the recording or a part of it: each
// gets the manifest.
func (c *Capture) Storages() []string { return c.places("storage", "copy") }

// Places are the storages, and those that may hold what one of them could not
// be given: by what the configuration says today, and by what it said when the
// outputs began.
func (c *Capture) Places() []string {
	all := c.places("storage", "copy", "backup")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.mu.status.Outputs {
		for _, name := range slices.Concat(o.Storage, o.Backup) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// extend lets the files of a running capture go where none went before, if a
// start would have been allowed to: after says where they are to go.
func (c *Capture) extend(after Spec) error {
	had := c.Storages()
	if !slices.ContainsFunc(after.Record, func(r RecordSpec) bool { return !slices.Contains(had, r.Storage) }) {
		return nil
	}
	if err := c.env.reach(after); err != nil || c.env.Retain == nil {
		return err
	}
	keep, err := c.env.Retain(c.id, after)
	if err != nil || keep == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retention == nil {
		return nil // it began without one
	}
	r := *c.retention // as decided at the start, but for the new
	r.Locks = map[string]storage.LockMode{}
	maps.Copy(r.Locks, keep.Locks)
	maps.Copy(r.Locks, c.retention.Locks)
	c.retention = &r
	return nil
}

func (c *Capture) places(roles ...string) []string {
	all := []string{}
	now, spec := c.settings.Load(), c.spec
	spec.Record = slices.Concat(now.Record, now.Retired)
	for _, d := range c.env.destinations(spec) {
		if slices.Contains(roles, d.Role) {
			all = append(all, d.Storage)
		}
	}
	return all
}

// placed is an output with all the storages that its files go to.
func (config *Config) placed(o storage.Output) storage.Output {
	asked := o.Storage
	o.Storage = slices.Clone(asked)
	for _, name := range asked {
		for _, also := range config.Elsewhere[name].Copies {
			if !slices.Contains(o.Storage, also) {
				o.Storage = append(o.Storage, also)
			}
		}
	}
	for _, name := range asked {
		for _, backup := range config.Elsewhere[name].Backups {
			if !slices.Contains(o.Storage, backup) && !slices.Contains(o.Backup, backup) {
				o.Backup = append(o.Backup, backup)
			}
		}
	}
	return o
}

// away tells which storages of the capture take nothing now.
func (c *Capture) away() (all []string) {
	if c.env.Away == nil {
		return nil
	}
	for _, name := range c.Storages() {
		if text := c.env.Away(name); text != "" {
			all = append(all, text)
		}
	}
	return all
}
