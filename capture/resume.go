package capture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"time"

	"mixdown/joiner"
	"mixdown/storage"
)

// saved is capture.json: what of a capture outlives the process besides its
// journal and its segments.
type saved struct {
	ID     string        `json:"id"`
	Spec   Spec          `json:"spec"`
	To     []string      `json:"recipients,omitempty"` // to whom the recording is encrypted
	Start  time.Time     `json:"start"`
	StopAt time.Duration `json:"stopAt,omitempty"`
	State  State         `json:"state"`
	Reason string        `json:"reason,omitempty"`
	End    time.Time     `json:"end,omitzero"`
	Status *Status       `json:"status,omitempty"` // of an ended capture

	Retention *storage.Retention `json:"retention,omitempty"` // as decided at the start
	Control   *control           `json:"control,omitempty"`   // the last change
	ControlAt time.Duration      `json:"controlAt,omitempty"`
	// What was told last, for the case that nobody heard it.
	Changes []change `json:"changes,omitempty"`
	News    []news   `json:"news,omitempty"` // of an ended capture; a running one has its journal
}

// Names in a capture's folder.
const (
	savedName   = "capture.json"
	journalName = "journal"
)

// newCapture makes a capture that starts now.
func newCapture(env *Config, id string, spec Spec, keep *storage.Retention, recipients []string) (*Capture, error) {
	dir := env.folder(id)
	if _, err := os.Stat(filepath.Join(dir, savedName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("the files of an earlier capture of this name are in %s and cannot be read: mend or remove them, or choose another id", dir), err)
	}
	if err := setAside(dir); err != nil {
		return nil, err
	}
	if err := errors.Join(storage.MakeFolder(dir), os.Chmod(dir, 0o700)); err != nil {
		return nil, err
	}
	c := assemble(env, saved{ID: id, Spec: spec, Start: time.Now().UTC().Round(time.Millisecond), State: Waiting, Retention: keep, To: recipients})
	err := c.open()
	if err == nil {
		c.mu.Lock()
		c.noteLocked(Waiting, "", nil)
		c.mu.Unlock()
		err = c.save()
	}
	if err != nil {
		return nil, errors.Join(err, c.discard())
	}
	if err := c.saveManifest(); err != nil {
		c.setTrouble(err) // it is stored again with the first segments
	}
	c.tellSaved()
	return c, nil
}

// setAside renames the folder of a start that was cut short before its first
// file, or of a capture whose first file somebody took away: another capture
// must not go on in it, and what is in it is not ours to remove.
func setAside(dir string) error {
	for n := 1; ; n++ {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		aside := fmt.Sprintf("%s.cut-%d", dir, n)
		if _, err := os.Stat(aside); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Rename(dir, aside); err != nil {
			return fmt.Errorf("set %s aside, which has no %s: %w", dir, savedName, err)
		}
		return nil
	}
}

// discard takes away what is left of a start that failed: it must not begin by
// itself when the daemon is back.
func (c *Capture) discard() error {
	if c.timeline != nil {
		c.release()
		_ = c.journal.Close() // nothing is in it
	}
	err := os.Remove(filepath.Join(c.dir, savedName))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.RemoveAll(c.dir)
	}
	return err
}

// loadCapture reads a capture of an earlier life. One that had not ended is
// brought to where its journal ends. If that fails it is returned, too, as far as
// capture.json tells of it.
func loadCapture(env *Config, id string) (*Capture, error) {
	b, err := os.ReadFile(filepath.Join(env.folder(id), savedName))
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", savedName, err)
	}
	c := assemble(env, s)
	if s.State.Ended() {
		close(c.done)
		c.tellAgain(s.News)
		if err := c.forget(); err != nil { // should the end have been cut short
			c.log.Warn("what was left of an ended capture could not be removed", "err", err)
		}
		return c, nil
	}
	if s.State != Interrupted { // nobody had the time to say so
		c.mu.Lock()
		c.noteLocked(Interrupted, "the daemon was restarted", nil)
		c.mu.Unlock()
	}
	if err := c.open(); err != nil {
		return c, err
	}
	c.publishStatus(c.timeline.applied)
	c.tellSegmentsAgain()
	c.tellNews()
	if err := c.saveAndTell(); err != nil {
		c.setTrouble(err) // a full disk keeps nobody from going on
	}
	return c, nil
}

// assemble makes the parts of a capture that need no disk.
func assemble(env *Config, s saved) *Capture {
	s.Spec = s.Spec.withDefaults() // it may be of an older daemon
	c := &Capture{
		id: s.ID, spec: s.Spec, retention: s.Retention, recipients: s.To, env: env, dir: env.folder(s.ID), clock: newClock(s.Start),
		log:   env.Log.With("capture", s.ID, "room", s.Spec.Room.RoomID),
		inbox: &inbox{}, done: make(chan struct{}),
	}
	c.watchdog = watchdog{status: ListeningStatus{Verdict: Empty, Since: storage.At(s.Start)}, blamed: map[string]int{}}
	c.ending, c.stop = context.WithCancelCause(context.Background())
	c.mu.state, c.mu.reason, c.mu.stopAt, c.mu.ended = s.State, s.Reason, s.StopAt, s.End
	c.mu.changes, c.mu.since = s.Changes, s.Start
	if n := len(s.Changes); n > 0 {
		c.mu.since = s.Changes[n-1].At
	}
	c.mu.control, c.mu.controlAt = s.Control, s.ControlAt
	now := settingsOf(s.Spec)
	if s.Control != nil {
		now = &s.Control.Settings
	}
	c.settings.Store(now)
	c.mu.status = Status{
		ID: s.ID, Start: storage.At(s.Start), Spec: now.over(s.Spec).Redacted(), Pauses: nonNil(now.Pauses),
		Users: []storage.User{}, Streams: []StreamStatus{}, Outputs: []OutputStatus{},
	}
	if s.Status != nil {
		c.mu.status = *s.Status
	}
	c.live = newLive(&c.settings, c.spec.Mix, c.id, c.clock, c.log)
	c.live.push = env.Push
	if env.Audience != nil {
		c.live.audience = env.Audience
	}
	c.room = &room{c: c, active: map[string]*receiver{}, declined: map[string]joiner.Stream{}, absent: map[string]string{}}
	return c
}

// Base is the recording's folder in every storage.
func (c *Capture) Base() string { return path.Join(storage.KeyName(c.spec.Room.RoomID), c.id) }

// open opens the capture's files and renders what the journal holds.
func (c *Capture) open() (err error) {
	a, err := openArchive(c.env.Spool, filepath.Join(c.dir, "segments.jsonl"), c.Base(), c.clock, c.tellSegment)
	if err != nil {
		return err
	}
	var e *eventLog
	defer func() {
		if err != nil {
			c.shut(a, e)
		}
	}()
	a.placed = c.env.placed
	a.storages = c.Storages()
	if err := a.encrypt(c.recipients, c.dir); err != nil {
		return err
	}
	key, err := c.secret()
	if err != nil {
		return err
	}
	e, err = openEventLog(filepath.Join(c.dir, storage.EventsName), c.clock, key)
	if err != nil {
		return err
	}
	if c.journal, err = openJournal(filepath.Join(c.dir, journalName), c.env.Fault); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if key != nil {
		c.journal.Encrypt(key.Journal())
	}
	c.keeper = &keeper{inbox: c.inbox, journal: c.journal, clock: c.clock}
	if err := c.rebuild(a, e, math.MaxInt64); err != nil {
		return err
	}
	if behind := c.clock.reach(max(c.timeline.applied, c.timeline.last)); behind > 0 {
		c.log.Warn("the clock of this machine is behind the recording, which goes on where it ended: what follows is recorded as later than it is by the clock", "by", behind)
	}
	c.keeper.durable = c.timeline.last // the journal was made durable when it was opened
	c.publishStatus(c.timeline.applied)
	return c.rejoin()
}

// shut closes what open has opened before it failed.
func (c *Capture) shut(a *archive, e *eventLog) {
	a.abandon()
	errs := []error{a.close()}
	if e != nil {
		errs = append(errs, e.close())
	}
	if c.journal != nil {
		errs = append(errs, c.journal.Close())
	}
	c.journal, c.keeper, c.timeline = nil, nil, nil
	if err := errors.Join(errs...); err != nil {
		c.log.Warn("a file could not be closed", "err", err)
	}
}

func openJournal(dir string, f storage.Fault) (*storage.Journal, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return storage.CreateJournalWith(dir, f)
	}
	return storage.OpenJournalWith(dir, f)
}

// rebuild makes the timeline from what the journal holds up to capture time
// upTo. It is what a restart does, and what a running capture does when a disk
// that was full has room again.
func (c *Capture) rebuild(a *archive, e *eventLog, upTo time.Duration) error {
	if err := a.catchUp(); err != nil {
		return err
	}
	var checkpoint []byte
	var t *timeline
	apply := func(r storage.Record) {
		if time.Duration(r.At) <= upTo { // what is later is still due
			t.replay(r)
		}
	}
	begin := func() (err error) {
		if t != nil {
			return nil
		}
		snapshot, due := splitCheckpoint(checkpoint)
		if t, err = restoreTimeline(c.spec, a, e, snapshot); err != nil {
			return err
		}
		if c.env.freeze != nil {
			t.frozen = c.env.freeze()
		}
		for _, r := range due {
			apply(r)
		}
		return nil
	}
	err := c.replay(func(candidate []byte) bool {
		checkpoint = bytes.Clone(candidate) // the last one asked about is taken
		return a.covers(candidate) >= 0
	}, func(r storage.Record) error {
		if err := begin(); err != nil {
			return err
		}
		apply(r)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) && t == nil {
		err = nil // killed before the first checkpoint: nothing was heard yet
	}
	if errors.Is(err, storage.ErrTorn) {
		c.log.Error("the journal is damaged: what it lost is silence, declared in the ledger", "err", err)
		err = nil
	}
	if err = errors.Join(err, begin()); err != nil {
		return fmt.Errorf("replay the journal: %w", err)
	}
	c.timeline = t
	if len(checkpoint) == 0 {
		if err := c.rotate(t); err != nil {
			return err
		}
		c.stretches, c.allKnown = []int64{t.frame}, true
	}
	return t.err
}

// replay replays the journal from the newest checkpoint that is wanted, or from
// the oldest. What was before that was cut when nothing needed it: as long as a
// pause skips, one taken in it covers all, and after it no longer.
func (c *Capture) replay(want func(checkpoint []byte) bool, fn func(storage.Record) error) error {
	var oldest []byte
	_, err := c.journal.Replay(func(candidate []byte) bool {
		oldest = bytes.Clone(candidate)
		return want(candidate)
	}, fn)
	if errors.Is(err, fs.ErrNotExist) && oldest != nil {
		_, err = c.journal.Replay(func(candidate []byte) bool { return bytes.Equal(candidate, oldest) }, fn)
	}
	return err
}

// rejoin prepares the room for the streams that were in it when the journal
// ended: they keep their receivers until the room says otherwise.
func (c *Capture) rejoin() error {
	t := c.timeline
	c.inbox.last = max(t.applied, t.last)
	c.restoreSettings()
	c.live.change(c.settings.Load())
	c.room.next = uint32(len(t.streams))
	for _, s := range t.streams {
		if !s.done && s.left < 0 {
			rec := &receiver{c: c, num: s.num, stream: s.rec.Stream}
			rec.move(c.settings.Load(), 0)
			c.room.active[s.rec.Stream.ID] = rec
			c.live.addStream(rec)
		}
	}
	if t.linked {
		c.inbox.event(kindLink, 0, c.inbox.last, json.RawMessage(linkDown))
	}
	return nil
}

// told is who and what the room was told of when the journal ended.
func (c *Capture) told() (users []joiner.User, streams []joiner.Stream) {
	for _, u := range c.timeline.users {
		if u.Joins[len(u.Joins)-1].Leave == nil {
			users = append(users, joiner.User{ID: u.UserID, Name: u.UserName})
		}
	}
	for _, r := range c.room.active {
		streams = append(streams, r.stream)
	}
	return users, streams
}

// save writes capture.json.
func (c *Capture) save() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	s := saved{
		ID: c.id, Spec: c.spec, Start: c.clock.start, StopAt: c.mu.stopAt, State: c.mu.state, Reason: c.mu.reason, End: c.mu.ended,
		Retention: c.retention, To: c.recipients, Changes: c.mu.changes, Control: c.mu.control, ControlAt: c.mu.controlAt,
	}
	c.mu.Unlock()
	if s.State.Ended() {
		status := c.Status()
		s.Status, s.News = &status, c.recentNews
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := storage.WriteFile(filepath.Join(c.dir, savedName), b, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", savedName, err)
	}
	return nil
}
