package capture

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/events"
	"mixdown/joiner"
	"mixdown/storage"
)

// Config is what captures need from the daemon.
type Config struct {
	Dir      string                         // where captures keep their journals, e.g. <data>/captures
	Spool    *storage.Spool                 // where segments go
	Storages []string                       // names of the buckets; LocalStorage among them
	Systems  map[string]joiner.System       // by name: mixdown, livekit, …
	URL      func(RoomSpec) (string, error) // where a room is, with what the configuration knows
	Token    func(system string, l joiner.Login) (string, error)
	Push     joiner.Pusher          // publishes elsewhere; nil: cannot
	CheckURL func(url string) error // says why a URL of a spec must not be dialled; nil: all may
	Key      *storage.Key           // signs recordings
	Events   events.Publisher       // nil discards

	// Retain decides how long a new recording is kept, and refuses one that
	// its storages cannot keep so; without a retention it is kept for ever.
	Retain     func(id string, spec Spec) (*storage.Retention, error)
	Encryption Encryption  // of the recordings
	Audience   func(n int) // told 1 and -1 when a live mix begins and ends; nil is nobody
	Log        *slog.Logger

	freeze func() func(streamID string) bool // tests let the decoders of one timeline freeze
	Fault  storage.Fault                     // of the journals' disk; for tests

	// Admit says whether there is room for one more capture beside those that
	// run; nil admits all. What it refuses was not started.
	Admit func(spec Spec, running int) error

	// Elsewhere says, by storage, where else its files go.
	Elsewhere map[string]Elsewhere
	// Try tries a storage out for a capture; nil: none is tried. Away says why
	// one takes nothing now, "" if it does.
	Try  func(ctx context.Context, storage string, spec Spec) (storage.Probed, error)
	Away func(storage string) string

	// Space is the room on the disk; nil is ample.
	Space func() storage.SpaceLevel

	// Local waits until everything below a prefix has arrived in the given
	// storages: a stop is answered when the recording is where it belongs on
	// this machine.
	Local func(ctx context.Context, prefix string, storages ...string) error

	// Stamp gets a time stamp of a SHA-256 from an authority; nil if there is
	// none.
	Stamp func(ctx context.Context, sum [32]byte) (stamp []byte, at time.Time, err error)

	flusher *flusher      // of the manager
	lane    lane          // likewise
	sealed  chan struct{} // says that a recording was sealed
}

// Errors of a [Manager].
var (
	ErrNotFound = errors.New("no such capture")
	ErrBadID    = errors.New("a capture's id needs 1 to 64 of 0-9 A-Z a-z _ -")
)

// ConflictError is returned by Start for an id that is in use with another
// spec.
type ConflictError struct {
	ID          string
	Differences []string // fields that differ
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("capture %s exists and differs in %s", e.ID, strings.Join(e.Differences, ", "))
}

// Manager keeps all captures of a daemon, running and ended.
type Manager struct {
	config Config
	wake   chan struct{}

	mu       sync.Mutex
	captures map[string]*Capture
	stuck    map[string]*Capture // of them, those whose files cannot be opened now
	waiting  []*Capture          // to be run
	closed   bool
}

// NewManager reads what earlier lives of the daemon left in config.Dir.
// Captures that had not ended go on when [Manager.Run] is called.
func NewManager(config Config) (*Manager, error) {
	if config.Events == nil {
		config.Events = events.Discard
	}
	config.flusher, config.lane, config.sealed = &flusher{}, newLane(), make(chan struct{}, 1)
	m := &Manager{config: config, wake: make(chan struct{}, 1), captures: map[string]*Capture{}, stuck: map[string]*Capture{}}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the captures' folder: %w", err)
	}
	entries, err := os.ReadDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the captures' folder: %w", err)
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(config.folder(e.Name()), savedName)); errors.Is(err, fs.ErrNotExist) {
			continue // a start that never got as far as its first file
		}
		m.resume(e.Name())
	}
	return m, nil
}

// begin hands a capture to Run.
func (m *Manager) begin(c *Capture) {
	m.waiting = append(m.waiting, c)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns the captures that wait for Run.
func (m *Manager) take() []*Capture {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.waiting
	m.waiting = nil
	return all
}

// Run runs captures until ctx ends, then interrupts them and waits for them.
// They go on when the next manager runs.
func (m *Manager) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer m.close()
	wg.Go(func() { m.config.flusher.run(ctx) })
	wg.Go(func() { m.stamp(ctx) })
	wg.Go(func() { m.retry(ctx) })
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.wake:
			for _, c := range m.take() {
				wg.Go(func() { m.run(ctx, c) })
			}
		}
	}
}

// run keeps one capture's trouble to itself.
func (m *Manager) run(ctx context.Context, c *Capture) {
	defer func() {
		if v := recover(); v != nil {
			c.setState(Interrupted, c.panicked("the capture", v).Error())
		}
	}()
	if err := c.Run(ctx); err != nil {
		c.log.Error("capture ended with trouble", "err", err)
	}
}

func (m *Manager) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// Start starts a capture; an empty id makes one. Starting again what already
// runs, or ran, returns the same capture and false.
func (m *Manager) Start(id string, spec Spec) (*Capture, bool, error) {
	if id == "" {
		id = strings.ToLower(rand.Text()[:16])
	}
	if !captureIDRule.MatchString(id) {
		return nil, false, fmt.Errorf("%q: %w", id, ErrBadID)
	}
	spec = spec.withDefaults()
	if c, err := m.Get(id); err == nil { // as it is shown it means the same
		spec.Unredact(c.spec)
	}
	if err := m.Check(spec); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := m.same(id, spec); c != nil || err != nil {
		return c, false, err
	}
	to, err := m.config.Encryption.recipients(spec)
	if err != nil {
		return nil, false, err
	}
	keep, err := m.ask(id, spec)
	if err != nil {
		return nil, false, fmt.Errorf("start capture %s: %w", id, err)
	}
	if c, err := m.same(id, spec); c != nil || err != nil {
		return c, false, err // started meanwhile
	}
	if m.closed {
		return nil, false, ErrShutdown
	}
	if err := m.vacant(spec); err != nil {
		return nil, false, err
	}
	if m.config.Admit != nil {
		if err := m.config.Admit(spec, m.runningLocked()); err != nil {
			return nil, false, err
		}
	}
	c, err := newCapture(&m.config, id, spec, keep, to.Strings())
	if err != nil {
		return nil, false, fmt.Errorf("start capture %s: %w", id, err)
	}
	m.captures[id] = c
	m.begin(c)
	return c, true, nil
}

func (m *Manager) runningLocked() (n int) {
	for _, c := range m.captures {
		if s, _ := c.State(); !s.Ended() {
			n++
		}
	}
	return n
}

// Count is how many captures run and how many streams they hear.
func (m *Manager) Count() (captures, streams int) {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.captures))
	m.mu.Unlock()
	for _, c := range all {
		if s, _ := c.State(); !s.Ended() {
			captures++
			streams += c.room.present()
		}
	}
	return captures, streams
}

// Check says what is wrong with a spec, as Start would.
func (m *Manager) Check(spec Spec) error {
	spec = spec.withDefaults()
	if err := spec.check(&m.config); err != nil {
		return err
	}
	_, err := m.config.Encryption.recipients(spec)
	return err
}

// same is the capture of an id, if there is one and it has the same spec.
func (m *Manager) same(id string, spec Spec) (*Capture, error) {
	c := m.captures[id]
	if c == nil {
		return nil, nil
	}
	if diff := differences(c.spec, spec); len(diff) > 0 {
		return nil, &ConflictError{id, diff}
	}
	return c, nil
}

// ask asks the storages whether a capture's files can be delivered, and how
// long they will be kept. Others are not kept waiting meanwhile.
func (m *Manager) ask(id string, spec Spec) (*storage.Retention, error) {
	m.mu.Unlock()
	defer m.mu.Lock()
	if err := m.config.reach(spec); err != nil {
		return nil, err
	}
	return m.retain(id, spec)
}

func (m *Manager) retain(id string, spec Spec) (*storage.Retention, error) {
	if m.config.Retain == nil {
		return nil, nil
	}
	return m.config.Retain(id, spec)
}

// Forget takes away what is kept of an ended capture besides its files in the
// storages: from then on it never was. One that is not known is success.
func (m *Manager) Forget(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.captures[id]; c != nil && !c.Status().State.Ended() {
		return fmt.Errorf("forget capture %s: it has not ended", id)
	}
	if !captureIDRule.MatchString(id) {
		return fmt.Errorf("%q: %w", id, ErrBadID)
	}
	// A capture without its first file is none to the next start, even if
	// this is cut short.
	err := os.Remove(filepath.Join(m.config.folder(id), savedName))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.RemoveAll(m.config.folder(id))
	}
	if err != nil {
		return fmt.Errorf("forget capture %s: %w", id, err)
	}
	delete(m.captures, id)
	return nil
}

// vacant refuses a recorder that would throw another one out of its room.
func (m *Manager) vacant(spec Spec) error {
	if spec.User.UserID == defaultUserID {
		return nil // gets a name of its own
	}
	for _, c := range m.captures {
		if c.spec.Room.same(spec.Room) && c.spec.User.UserID == spec.User.UserID && !c.Status().State.Ended() {
			return &SpecError{[]Problem{{"user.userID", fmt.Sprintf(
				"%q is already in this room for capture %s; choose another userID, or leave it out", spec.User.UserID, c.id)}}}
		}
	}
	return nil
}

// Get returns a capture.
func (m *Manager) Get(id string) (*Capture, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.captures[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%q: %w", id, ErrNotFound)
}

// List returns all captures, oldest first.
func (m *Manager) List() []*Capture {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Collect(maps.Values(m.captures))
	slices.SortFunc(all, func(a, b *Capture) int {
		if d := a.clock.start.Compare(b.clock.start); d != 0 {
			return d
		}
		return strings.Compare(a.id, b.id)
	})
	return all
}

// folder is where a capture keeps its own files.
func (config *Config) folder(id string) string { return filepath.Join(config.Dir, id) }
