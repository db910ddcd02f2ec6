package capture

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mixdown/storage"
)

// The events of a change.
const (
	eventStarted = "capture.started"
	eventChanged = "capture.changed"
	eventPaused  = "capture.paused"
	eventResumed = "capture.resumed"
)

// ownActor is who ends a pause whose time is over.
const ownActor = "mixdown"

// control is the data of a kindControl record: a change of a running capture.
// It goes the way of all records, so that the deep path applies it at its time,
// and again after a crash; the live path applies it at once.
type control struct {
	Event    string   `json:"event"`
	Scope    *Scope   `json:"scope,omitempty"` // of a pause
	Actor    string   `json:"actor"`
	Reason   string   `json:"reason,omitempty"`
	Settings settings `json:"settings"`
}

// ErrNotRunning is returned for a change of a capture that has ended or ends.
var ErrNotRunning = errors.New("the capture does not run any more")

// PauseRequest asks for a pause.
type PauseRequest struct {
	Scope
	Mode       PauseMode `json:"mode,omitempty" enum:"silence,skip,tone" default:"silence" doc:"What is heard meanwhile: silence; nothing, no time passes in the files; or a soft tone now and then."`
	Reason     string    `json:"reason,omitempty" maxLength:"1000" doc:"Kept in events.jsonl and told with the event."`
	MaxSeconds int       `json:"maxSeconds,omitempty" minimum:"0" maximum:"31536000" doc:"Goes on by itself after so long; 0 does not."`
}

// Pause keeps what is said from now on out of what r names: out of the journal,
// every file, the live mix and its listeners. Asking for the pause that lasts
// changes nothing; asking for another of the same scope replaces it.
func (c *Capture) Pause(r PauseRequest, actor string) error {
	return c.pauseIf(r, actor, func(*Pause) bool { return true })
}

// pauseIf pauses if that is still wanted beside the pause of its scope, which
// may be nil: others may have acted since somebody found a reason.
func (c *Capture) pauseIf(r PauseRequest, actor string, still func(old *Pause) bool) error {
	setDefault(&r.Mode, PauseSilence)
	c.acting.Lock()
	defer c.acting.Unlock()
	now := c.settings.Load()
	if err := r.check(now); err != nil {
		return err
	}
	if !still(now.pause(r.Scope)) {
		return nil
	}
	p := Pause{Scope: r.Scope, Mode: r.Mode, Reason: r.Reason, Actor: actor, Since: storage.At(time.Now()), MaxSeconds: r.MaxSeconds}
	if r.MaxSeconds > 0 {
		until := storage.At(p.Since.Add(time.Duration(r.MaxSeconds) * time.Second))
		p.Until = &until
	}
	rest := slices.Clone(now.Pauses)
	if old := now.pause(r.Scope); old != nil {
		if old.Mode == p.Mode && old.Reason == p.Reason && old.MaxSeconds == p.MaxSeconds && !old.over() {
			return c.running()
		}
		p.Since = old.Since
		rest = slices.DeleteFunc(rest, func(o Pause) bool { return o.Scope == r.Scope })
	}
	next := now.withPauses(append(rest, p))
	return c.take(control{Event: eventPaused, Scope: &r.Scope, Actor: actor, Reason: r.Reason}, next, pauseDetails(p))
}

// Resume ends the pause of a scope. Without one it does nothing.
func (c *Capture) Resume(sc Scope, actor, reason string) error {
	return c.resumeIf(sc, actor, reason, func(*Pause) bool { return true })
}

// over says that the time of a pause is over.
func (p *Pause) over() bool { return p.Until != nil && !time.Now().Before(p.Until.Time) }

// resumeIf resumes if the pause that there is now is still one to be ended.
func (c *Capture) resumeIf(sc Scope, actor, reason string, still func(*Pause) bool) error {
	c.acting.Lock()
	defer c.acting.Unlock()
	now := c.settings.Load()
	if err := (PauseRequest{Scope: sc, Mode: PauseSilence}).check(now); err != nil {
		return err
	}
	p := now.pause(sc)
	if p == nil {
		return c.running()
	}
	if !still(p) {
		return nil
	}
	next := now.withPauses(slices.DeleteFunc(slices.Clone(now.Pauses), func(o Pause) bool { return o.Scope == sc }))
	details := pauseDetails(*p)
	details["actor"], details["reason"] = actor, reason
	return c.take(control{Event: eventResumed, Scope: &sc, Actor: actor, Reason: reason}, next, details)
}

func pauseDetails(p Pause) map[string]any {
	d := map[string]any{"mode": p.Mode, "reason": p.Reason, "actor": p.Actor, "since": p.Since}
	if p.Until != nil {
		d["until"] = *p.Until
	}
	for name, id := range map[string]string{"userID": p.UserID, "streamID": p.StreamID, "output": p.Output} {
		if id != "" {
			d[name] = id
		}
	}
	return d
}

func (r PauseRequest) check(s *settings) error {
	var e SpecError
	if !slices.Contains([]PauseMode{PauseSilence, PauseSkip, PauseTone}, r.Mode) {
		e.Problems = append(e.Problems, Problem{"mode", fmt.Sprintf("%q is not one of silence, skip, tone", r.Mode)})
	}
	if !r.single() {
		e.Problems = append(e.Problems, Problem{"userID", "name one of userID, streamID and output, or none"})
	}
	if r.Output != "" && !s.hasOutput(r.Output) {
		e.Problems = append(e.Problems, Problem{"output", fmt.Sprintf("%q is no output of this capture; name the id of a record entry, the streamID of a republish entry, or listeners", r.Output)})
	}
	if r.MaxSeconds < 0 {
		e.Problems = append(e.Problems, Problem{"maxSeconds", "is below 0"})
	}
	if len(e.Problems) > 0 {
		return &e
	}
	return nil
}

// running refuses changes of what has ended.
func (c *Capture) running() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.state.Ended() || c.mu.state == Finalizing || c.mu.stopAt > 0 {
		return fmt.Errorf("change %s: %w", c.id, ErrNotRunning)
	}
	return nil
}

// take lets a change take effect: first for the packets, then for those who
// listen live, on disk before it is answered, and for the recording in its
// time. The caller holds acting.
func (c *Capture) take(con control, next *settings, details map[string]any) error {
	if err := c.running(); err != nil {
		return err
	}
	before := c.settings.Load()
	next.Revision = before.Revision + 1
	con.Settings = *next
	at := c.room.turn(con, next)
	c.live.change(next)
	c.mu.Lock()
	c.mu.control, c.mu.controlAt = &con, at
	c.mu.status.Spec, c.mu.status.Pauses = next.over(c.spec).Redacted(), nonNil(next.Pauses)
	c.mu.Unlock()
	c.log.Info(con.Event, "by", con.Actor, "reason", con.Reason)
	reason := ""
	if p := next.whole(); p != nil {
		reason = p.Reason
	}
	to := c.present()
	if c.move(to, reason, details, Waiting, Recording, Paused) && "capture."+string(to) == con.Event {
		details = nil // the change of the state says it
	}
	err := c.tellChanges()
	if err == nil {
		err = c.save()
	}
	if err != nil {
		c.setTrouble(err) // it holds all the same, and the journal is another witness
	}
	if details != nil {
		c.tell(con.Event, details)
	}
	return nil
}

// expire ends the pauses whose time is over and tells how long until the next.
func (c *Capture) expire() time.Duration {
	next := time.Hour
	for _, p := range c.settings.Load().Pauses {
		if p.Until == nil {
			continue
		}
		left := time.Until(p.Until.Time)
		if left > 0 {
			next = min(next, left)
			continue
		}
		err := c.resumeIf(p.Scope, ownActor, fmt.Sprintf("maxSeconds %d reached", p.MaxSeconds), (*Pause).over)
		if err != nil && !errors.Is(err, ErrNotRunning) {
			c.log.Error("a pause cannot end", "err", err)
		}
	}
	return next
}

// turn moves the gates of all streams and puts the change among the records,
// between two packets.
func (r *room) turn(con control, next *settings) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.c.settings.Load()
	at := r.c.inbox.control(r.c.clock.now, con, func(at time.Duration) {
		for _, rec := range r.active {
			rec.move(next, at)
		}
	})
	r.c.settings.Store(next)
	for _, s := range r.declined {
		if before.excluded(s) && !next.excluded(s) {
			r.c.live.pubs.OfferAgain()
			break
		}
	}
	return at
}

// restoreSettings finds out how things stand after a restart: what the journal
// tells, or a change that came after its end and is in capture.json only.
func (c *Capture) restoreSettings() {
	told := c.timeline.told
	c.mu.Lock()
	con, at := c.mu.control, c.mu.controlAt
	if con == nil || con.Settings.Revision < told.Revision {
		c.mu.control, c.mu.controlAt = &control{Settings: told}, 0
	}
	c.mu.Unlock()
	if con == nil || con.Settings.Revision <= told.Revision {
		c.settings.Store(&told)
		return
	}
	c.settings.Store(&con.Settings)
	c.inbox.control(func() time.Duration { return min(at, c.clock.now()) }, *con, nil)
}
