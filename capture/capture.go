// Package capture is one running job: a participant in a room, the live mix
// and the deep mix of what it hears, and the outputs of both.
//
// It stands in the middle of the straight line and owns it:
//
//	joiner ─┬─► inbox ─► keeper ─┬─► timeline: playout.Deep ─► mixer ─► encoder ─► spool
//	        │                    └─► journal (disk), by the flusher of all captures
//	        └─► playout.Live ─► mixer ─► opus ─► publication, live listeners
//
// What happens in the room becomes a row of records with times. The flusher
// writes them to the journal four times a second and syncs it twice; the
// timeline depends on them only, in batches of half a second, and renders what
// is five seconds old. After a crash the same records are applied again from the journal, so a
// crash is not an event for the audio. Package api is the caller, through
// [Manager].
//
// Goroutines of a running capture: the timeline (Run itself), the participant,
// the clock of the live mix while something live is asked for, and one for
// each encoder behind it. The flusher is one for all captures.
package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mixdown/joiner"
	"mixdown/storage"
)

const (
	// LocalStorage is the storage that always exists.
	LocalStorage = "local"

	batch           = 500 * time.Millisecond // of the timeline
	depth           = 5 * time.Second        // how far the timeline is behind the room
	checkpointEvery = 15 * time.Second
	mendEvery       = 5 * time.Second
	finishTries     = 3                      // to write what can be left to the next start
	patience        = 15 * time.Second       // of who stops a capture that cannot be sealed
	grace           = 300 * time.Millisecond // for retransmissions after a stop
)

// Causes of the end of a capture.
var (
	ErrStopped  = errors.New("stopped")
	ErrShutdown = errors.New("the daemon shuts down")
	errMaximum  = errors.New("limits.maxSeconds reached")
	errIdle     = errors.New("limits.idleSeconds without a stream reached")
)

// Capture is one running or ended capture. Its methods are safe for
// concurrent use.
type Capture struct {
	id         string
	spec       Spec     // as it was asked for; settings says what has become of it
	recipients []string // to whom the recording is encrypted; none: it is not
	env        *Config
	log        *slog.Logger
	dir        string // <data>/captures/<id>
	clock      *clock

	retention *storage.Retention // as decided at the start; nil: kept for ever

	mendAt time.Duration // when a spoiled timeline is tried again
	cutAt  int64         // how the archive stood when the journal was cut

	stretches []int64 // frames of the checkpoints in the journal, oldest first
	allKnown  bool    // no others are in it

	watchdog    watchdog
	participant *joiner.Participant

	mixesLost  map[string]bool // republished mixes that were told as lost; of Run
	recentNews []news          // what was told last of who came and left; of Run
	listed     listed          // what the stored manifest says

	acting   sync.Mutex // held by who changes settings
	settings atomic.Pointer[settings]

	inbox    *inbox
	journal  *storage.Journal
	keeper   *keeper
	timeline *timeline
	live     *live
	room     *room

	stop   context.CancelCauseFunc
	ending context.Context // done when Stop was called; carries the cause
	done   chan struct{}   // closed when Run has returned

	changing sync.Mutex // held while the state changes and is told
	saving   sync.Mutex // held while capture.json is written

	mu struct {
		sync.Mutex
		state   State
		reason  string
		since   time.Time     // of the state
		changes []change      // the last ones, oldest first
		told    uint64        // number of the last change that was told
		stopAt  time.Duration // where the recording ends, once that is decided
		ended   time.Time
		status  Status    // of the last batch
		trouble string    // what the operator must mend; empty when all is well
		logged  time.Time // when that was logged

		control   *control // the last change of settings, and its capture time
		controlAt time.Duration
	}
}

// Run captures until the capture is stopped, a limit is reached, the room
// throws the recorder out or ctx ends. When it returns the recording is
// sealed locally, or, if ctx ended, interrupted and ready to be resumed.
func (c *Capture) Run(ctx context.Context) error {
	defer close(c.done)
	if c.stopping() > 0 { // the last life of the daemon ended before the recording was sealed
		return c.finish(ctx, ErrStopped)
	}
	if limit := c.settings.Load().Limits.max(); c.clock.now() >= limit { // it was down for the rest of it
		c.end(limit, errMaximum)
		return c.finish(ctx, errMaximum)
	}
	var wg sync.WaitGroup
	defer wg.Wait()

	inRoom, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	left := make(chan error, 1)
	c.participant = joiner.NewParticipant(c.env.Systems[c.spec.Room.System], c.login(), c.room, c.live.pubs, nil, c.log)
	c.participant.Resume(c.told())
	wg.Go(func() { left <- c.participant.Run(inRoom) })
	wg.Go(func() {
		defer c.guard("live mix")
		c.live.run(inRoom)
	})

	c.env.flusher.add(c)
	defer c.env.flusher.remove(c)
	cause := c.loop(ctx, left)
	c.stop(cause) // whatever the cause: who listens live must not wait for more
	if asked := context.Cause(c.ending); resumable(cause) && !resumable(asked) {
		cause = asked // the daemon ends beside a stop, which counts
	}
	if !resumable(cause) {
		c.end(c.clock.now(), cause)
		c.wait(ctx, grace)
	}
	leave(cause)
	wg.Wait()
	return c.finish(ctx, cause)
}

// end says where the recording ends, and why.
func (c *Capture) end(at time.Duration, cause error) {
	c.mu.Lock()
	c.mu.stopAt = at
	c.mu.Unlock()
	c.setState(Finalizing, cause.Error())
}

// loop feeds the timeline batch by batch until there is a reason to end.
func (c *Capture) loop(ctx context.Context, left <-chan error) error {
	next := c.timeline.applied + batch
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ErrShutdown
		case <-c.ending.Done():
			return context.Cause(c.ending)
		case err := <-left:
			return fmt.Errorf("room %s: %w", c.spec.Room.RoomID, err)
		case <-timer.C:
		}
		c.keeper.hand() // however slow the disk is
		kept, _ := c.keeper.until()
		for ; next <= kept; next += batch {
			c.step(next)
		}
		if err := c.tellChanges(); err != nil {
			c.setTrouble(err)
		}
		c.followSpace()
		if cause := c.limit(); cause != nil {
			return cause
		}
		timer.Reset(min(untilBeat(max(writeEvery/2, next-c.clock.now())), c.expire()))
	}
}

// step moves everything up to capture time upTo through the journal into the
// timeline. Trouble with the disk is reported, never fatal: what is in memory
// goes on, and a timeline that could not write is made anew from the journal.
func (c *Capture) step(upTo time.Duration) {
	for _, r := range c.keeper.take(upTo) {
		c.timeline.apply(r)
	}
	c.render(frameAt(upTo - depth))
	c.timeline.applied = upTo
	_, err := c.keeper.until()
	if c.timeline.active() {
		c.timeline.busy = upTo
	}
	if werr := c.timeline.flush(); werr != nil {
		err = errors.Join(err, werr, c.mend(upTo, err == nil))
	} else if err == nil {
		err = errors.Join(c.checkpoint(upTo), c.refreshManifest(upTo))
	}
	c.setTrouble(err)
	c.publishStatus(upTo)
	c.tellRepublished()
	c.tellNews()
	c.watch()
}

// render advances the timeline in its turn.
func (c *Capture) render(limit int64) {
	defer c.env.lane.enter()()
	c.timeline.advance(limit)
}

// mend makes a spoiled timeline anew from the journal, every few seconds until
// the disk takes it.
func (c *Capture) mend(upTo time.Duration, journaled bool) error {
	if !journaled || upTo < c.mendAt {
		return nil
	}
	c.mendAt = upTo + mendEvery
	c.keeper.write() // what is replayed is read from the file
	if _, err := c.keeper.until(); err != nil {
		return err
	}
	if err := c.rebuild(c.timeline.archive, c.timeline.events, upTo); err != nil {
		return err
	}
	for c.timeline.applied < upTo {
		c.timeline.applied += batch
		c.timeline.advance(frameAt(c.timeline.applied - depth))
	}
	c.log.Info("the recording was written again from the journal")
	return c.timeline.err
}

// checkpoint rotates the journal now and then, and cuts what the sealed
// segments cover.
func (c *Capture) checkpoint(at time.Duration) error {
	if at < c.timeline.checkpointed+checkpointEvery {
		return nil
	}
	err := c.rotate(c.timeline)
	if err == nil {
		c.timeline.checkpointed = at
		c.stretches = append(c.stretches, c.timeline.frame)
	}
	return errors.Join(err, c.cut()) // on a full disk that makes room
}

// limit is the reason to end by itself, if there is one.
func (c *Capture) limit() error {
	now, limits := c.clock.now(), c.settings.Load().Limits
	switch {
	case now >= limits.max():
		return errMaximum
	case now-c.timeline.busy >= limits.idle():
		return errIdle
	}
	return nil
}

// ErrUnsealed is returned by Stop while the disk does not take the end of a
// recording.
var ErrUnsealed = errors.New("what is recorded cannot be written now and is held in memory; it is sealed as soon as it can be")

// Stop ends the capture and waits until its recording is sealed locally. If that
// is in trouble it does not wait for the end of it.
func (c *Capture) Stop(ctx context.Context) error {
	c.stop(ErrStopped)
	impatient := time.NewTicker(patience)
	defer impatient.Stop()
	for {
		select {
		case <-c.done:
			if err := c.stopLater(); err != nil {
				return fmt.Errorf("stop capture %s: %w", c.id, err)
			}
			if slices.Contains(c.Storages(), LocalStorage) {
				return c.env.Local(ctx, c.Base(), LocalStorage)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("stop capture %s: %w", c.id, context.Cause(ctx))
		case <-impatient.C:
			if st := c.Status(); (st.State == Finalizing || st.State == Interrupted) && st.Trouble != "" {
				return fmt.Errorf("stop capture %s: %w: %s", c.id, ErrUnsealed, st.Trouble)
			}
		}
	}
}

// ErrInterrupted is returned by Stop when the capture stands still until the
// daemon starts again.
var ErrInterrupted = errors.New("it is interrupted; the stop is noted, and it is sealed when the daemon starts again")

// stopLater notes the stop of what the next start would let go on.
func (c *Capture) stopLater() error {
	if state, _ := c.State(); state.Ended() {
		return nil
	}
	if c.stopping() == 0 {
		c.end(c.clock.now(), ErrStopped)
	}
	if err := c.save(); err != nil { // a change of state alone would only be trouble
		return fmt.Errorf("note the stop: %w", err)
	}
	return ErrInterrupted
}

// wait lets d pass, or less if ctx ends.
func (c *Capture) wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (c *Capture) login() joiner.Login {
	l := joiner.Login{
		URL:      c.spec.Room.URL,
		RoomID:   c.spec.Room.RoomID,
		UserID:   c.spec.User.UserID,
		UserName: c.spec.User.UserName,
		Hidden:   *c.spec.User.Hidden,
	}
	// A server that the configuration knows no more is refused by its system.
	if url, err := c.env.URL(c.spec.Room); err == nil {
		l.URL = url
	}
	if l.UserID == defaultUserID {
		l.UserID += "-" + c.id // several captures of one room are several users
	}
	l.UserID = l.UserID[:min(len(l.UserID), 64)]
	l.Streams = c.spec.Room.endpoints()
	l.Token = func() (string, error) {
		if c.spec.Room.Token != "" {
			return c.spec.Room.Token, nil
		}
		return c.env.Token(c.spec.Room.System, l)
	}
	return l
}

// setTrouble tells what is wrong now; nil takes it back. It is logged when it
// begins, once a minute while it lasts, and when it is over.
func (c *Capture) setTrouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	before, now := c.mu.trouble, time.Now()
	c.mu.trouble = text
	tell := text != "" && (before == "" || now.Sub(c.mu.logged) >= time.Minute)
	if tell {
		c.mu.logged = now
	}
	c.mu.Unlock()
	switch {
	case tell:
		c.log.Error("recording needs help", "err", text)
		if before == "" {
			c.tell("capture.trouble", map[string]any{"trouble": text})
		}
	case text == "" && before != "":
		c.log.Info("recording is well again")
		c.tell("capture.well", map[string]any{"trouble": before})
	}
}
