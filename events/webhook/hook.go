package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

const (
	tryFor     = 72 * time.Hour // after an event happened
	maxPending = 100_000        // events that wait; what comes after them stays unread
	saveEvery  = time.Second

	stateExt = ".state.json"
	deadExt  = ".dead.json"
)

// item is an event that waits.
type item struct {
	Seq   uint64    `json:"seq"`
	Until time.Time `json:"until"` // when it is given up
}

// lane are the events of one capture that wait, in their order. The first of
// them is being tried.
type lane struct {
	Items     []item `json:"items"`
	Attempts  int    `json:"attempts,omitempty"` // of the first
	LastError string `json:"lastError,omitempty"`

	next time.Time // when the first may be tried again
	busy bool
}

// state is NAME.state.json.
type state struct {
	LogID string           `json:"log"`
	Read  uint64           `json:"read"` // events up to here wait below, or are settled
	Lanes map[string]*lane `json:"lanes,omitempty"`
	Sent  uint64           `json:"sent"` // events that were taken
}

// hook delivers to one endpoint.
type hook struct {
	s    *Sender
	name string

	poke   chan struct{} // something changed
	ended  chan struct{} // closed when run has returned
	cancel context.CancelFunc

	saving sync.Mutex // held by save

	mu       sync.Mutex
	def      definition
	version  int // of def
	state    state
	dead     []Letter // oldest first
	pending  int
	failures int       // in a row, over all lanes
	notUntil time.Time // no request before
	last     *LastTry
	began    bool // run was called
	removed  bool // end was called
	changed  bool // state is not on disk
	died     bool // dead is not on disk
	revived  bool // something is in dead on disk that is to be in state
}

func openHook(s *Sender, name string, d definition) (*hook, error) {
	h := &hook{s: s, name: name, def: d, poke: make(chan struct{}, 1), ended: make(chan struct{})}
	err := h.read(stateExt, &h.state)
	if err == nil {
		err = h.read(deadExt, &h.dead)
	}
	if err != nil {
		return nil, err
	}
	if h.state.LogID != s.config.Log.ID() { // new, or of another data folder
		h.state, h.dead, h.changed = state{LogID: s.config.Log.ID(), Read: s.config.Log.Last()}, nil, true
	}
	if h.state.Lanes == nil {
		h.state.Lanes = map[string]*lane{}
	}
	for _, l := range h.state.Lanes {
		h.pending += len(l.Items)
	}
	return h, h.save()
}

func (h *hook) read(ext string, v any) error {
	b, err := os.ReadFile(h.s.file(h.name, ext))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ext, err)
	}
	return nil
}

// save writes what changed: in both files rather than in none, if it ends
// between them.
func (h *hook) save() error {
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	var b, dead []byte
	var err error
	if h.changed {
		b, err = json.Marshal(h.state)
	}
	if h.died && err == nil {
		dead, err = json.Marshal(h.dead)
	}
	revived := h.revived
	h.changed, h.died, h.revived = false, false, false
	h.mu.Unlock()
	files := []struct {
		ext  string
		data []byte
	}{{deadExt, dead}, {stateExt, b}}
	if revived {
		slices.Reverse(files)
	}
	for _, f := range files {
		if f.data != nil && err == nil {
			err = storage.WriteFile(h.s.file(h.name, f.ext), f.data, 0o600)
		}
	}
	if err != nil {
		h.mu.Lock()
		h.changed, h.died, h.revived = h.changed || b != nil, h.died || dead != nil, h.revived || revived
		h.mu.Unlock()
	}
	return err
}

// run delivers until ctx ends or end is called.
func (h *hook) run(ctx context.Context) {
	defer close(h.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	h.began, h.cancel = true, cancel
	removed := h.removed
	h.mu.Unlock()
	if removed {
		return
	}
	var posts sync.WaitGroup
	defer func() {
		posts.Wait()
		h.saved(h.save())
	}()
	saveAt, closed := time.Now(), false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := h.s.config.Log.Changed()
		if closed { // what waits is delivered nevertheless
			changed = nil
		}
		more := h.fill()
		due, wait := h.due()
		for _, capture := range due {
			posts.Go(func() { h.deliver(ctx, capture) })
		}
		now := time.Now()
		if h.unsaved() {
			if now.Before(saveAt) {
				wait = min(wait, saveAt.Sub(now))
			} else {
				h.saved(h.save())
				saveAt = now.Add(saveEvery)
			}
		}
		if more {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-changed:
			closed = h.logEnded()
		case <-h.poke:
		case <-timer.C:
		}
	}
}

// logEnded says that the log is closed and all of it was read.
func (h *hook) logEnded() bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h.mu.Lock()
	read := h.state.Read
	h.mu.Unlock()
	_, _, err := h.s.config.Log.Next(ctx, read, 1, events.Filter{})
	return errors.Is(err, events.ErrClosed)
}

func (h *hook) saved(err error) {
	if err != nil {
		h.s.config.Logger.Error("what is delivered to a webhook could not be written down; after a crash it is sent again", "webhook", h.name, "err", err)
	}
}

func (h *hook) unsaved() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed || h.died
}

// end stops run and waits for it.
func (h *hook) end() {
	h.mu.Lock()
	h.removed = true
	began, cancel := h.began, h.cancel
	h.mu.Unlock()
	if began {
		cancel()
		<-h.ended
	}
}

// drained says that all of the log was read and nothing waits that might be
// delivered soon.
func (h *hook) drained() bool {
	last := h.s.config.Log.Last()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.def.Disabled || h.failures > 0 || h.state.Read >= last && h.pending == 0
}

func (h *hook) configured() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.def.Configured
}

// redefine changes the definition, if change returns nil.
func (h *hook) redefine(change func(*definition) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.def
	if err := change(&d); err != nil {
		return err
	}
	h.def = d
	h.version++
	h.awakeLocked()
	return nil
}

// awakeLocked lets everything be tried now.
func (h *hook) awakeLocked() {
	h.failures, h.notUntil = 0, time.Time{}
	for _, l := range h.state.Lanes {
		l.next = time.Time{}
	}
	h.wakeLocked()
}

func (h *hook) wakeLocked() {
	select {
	case h.poke <- struct{}{}:
	default:
	}
}

// fill reads on in the log and says whether there is more to read at once.
func (h *hook) fill() (more bool) {
	h.mu.Lock()
	read, f, room := h.state.Read, h.def.filter(), maxPending-h.pending
	h.mu.Unlock()
	if room <= 0 {
		return false
	}
	list, upTo, err := h.s.config.Log.Read(read, min(room, 1000), f)
	var gone *events.GoneError
	if errors.As(err, &gone) {
		h.s.config.Logger.Error("a webhook misses events that are not kept any more", "webhook", h.name, "from", read+1, "to", gone.Oldest-1)
		upTo, err = gone.Oldest-1, nil
	}
	if err != nil {
		h.s.config.Logger.Error("a webhook cannot read the log of events", "webhook", h.name, "err", err)
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range list {
		l := h.state.Lanes[e.Capture]
		if l == nil {
			l = &lane{}
			h.state.Lanes[e.Capture] = l
		}
		l.Items = append(l.Items, item{e.Seq, e.Time.Add(tryFor)})
		h.pending++
	}
	h.changed = h.changed || len(list) > 0
	h.state.Read = upTo
	return len(list) > 0
}

// deliver tries the first event of a lane once.
func (h *hook) deliver(ctx context.Context, capture string) {
	h.mu.Lock()
	l := h.state.Lanes[capture]
	it, d, version := l.Items[0], h.def, h.version
	h.mu.Unlock()
	e, err := h.s.config.Log.Get(it.Seq)
	f := d.filter()
	wanted := err != nil || f.Match(e.Head) // it may have been narrowed since the event waits
	var a Attempt
	if err == nil && wanted {
		a = h.s.post(ctx, d, messageID(h.s.config.Log.ID(), it.Seq), e.JSON)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.wakeLocked()
	l.busy = false
	switch {
	case !wanted:
		h.settleLocked(l)
		return
	case ctx.Err() != nil && !a.ok(): // it was we who stopped
	case version != h.version && err == nil && !a.ok(): // so said the endpoint of before
		return
	case errors.As(err, new(*events.GoneError)):
		h.giveUpLocked(l, err.Error())
	case err != nil: // no failure of the endpoint, and it may pass
		h.s.config.Logger.Error("a webhook cannot read an event that waits", "webhook", h.name, "seq", it.Seq, "err", err)
		l.next = time.Now().Add(jitter(longestProbe))
	case a.ok():
		h.settleLocked(l)
		h.state.Sent++
		if h.failures >= downAfter {
			h.awakeLocked()
		}
		h.failures = 0
	default:
		h.failedLocked(l, a)
	}
	if err == nil && ctx.Err() == nil {
		h.last = &LastTry{storage.At(time.Now()), it.Seq, a}
	}
}

// settleLocked takes the first event out of a lane.
func (h *hook) settleLocked(l *lane) {
	l.Items, l.Attempts, l.LastError, l.next = l.Items[1:], 0, "", time.Time{}
	h.pending--
	h.changed = true
}

func messageID(logID string, seq uint64) string { return fmt.Sprintf("evt_%s_%d", logID, seq) }
