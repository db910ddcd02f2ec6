package capture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/pcm"
)

// finish renders what is left and seals the recording. What the disk does not
// take is tried until it does; if ctx ends before that, it is interrupted: the
// next start does it, from the journal.
func (c *Capture) finish(ctx context.Context, cause error) error {
	defer c.release()
	last := frameAt(c.stopping())
	if last == 0 {
		last = frameAt(c.clock.now())
	}
	// After a panic nothing in memory can be trusted: the next start does it.
	tries := math.MaxInt
	if resumable(cause) {
		tries = finishTries
	}
	err := c.persist(ctx, tries, func() error { return c.drain(last) })
	if err != nil || resumable(cause) {
		if err == nil {
			err = c.rotate(c.timeline)
		}
		err = errors.Join(err, c.journal.Close())
		c.tellNews()
		c.setState(Interrupted, cause.Error())
		return errors.Join(err, c.saveManifest())
	}
	c.mu.Lock()
	c.mu.ended = c.clock.sample(last * pcm.FrameSize).Time
	c.mu.Unlock()
	c.publishStatus(time.Duration(last) * pcm.FrameTime)
	c.tellNews()
	if err := c.persist(ctx, tries, func() error { return c.seal(outcome(cause, c.timeline)) }); err != nil {
		c.setState(Interrupted, "the recording could not be sealed")
		return err
	}
	c.tellSealed()
	c.setState(outcome(cause, c.timeline), cause.Error())
	select {
	case c.env.sealed <- struct{}{}:
	default:
	}
	if err := c.persist(ctx, finishTries, c.tellChanges); err != nil {
		return err // the next start ends it again, from the journal
	}
	if err := c.tidy(); err != nil {
		c.log.Warn("an unfinished file of the sealed recording is left in the spool", "err", err)
	}
	return errors.Join(c.journal.Remove(), c.forget())
}

// release lets go of what an ended capture has no use for: its files, the whole
// of its timeline and what led there.
func (c *Capture) release() {
	err := errors.Join(c.timeline.archive.close(), c.timeline.events.close())
	if err != nil {
		c.log.Warn("a file could not be closed", "err", err) // all of it is synced
	}
	c.timeline = nil
	c.inbox.release()
	c.keeper.due.release()
}

// tidy removes what earlier timelines began and nobody finished: what the
// sealed recording has is in its manifest, and its audio may have to be erased.
func (c *Capture) tidy() error {
	left, err := c.env.Spool.Leftovers(c.Base() + "/")
	for _, key := range left {
		part, perr := c.env.Spool.OpenPart(key)
		if perr == nil {
			perr = part.Abort()
		}
		err = errors.Join(err, perr)
	}
	return err
}

// persist writes what the disk may not take at once, and tries again so often
// unless ctx ends: until then what is only in memory is held.
func (c *Capture) persist(ctx context.Context, tries int, write func() error) error {
	err := write()
	for try := 1; err != nil && try <= tries && ctx.Err() == nil; try++ {
		c.setTrouble(err)
		c.wait(ctx, min(time.Duration(1+try/10)*mendEvery, time.Minute)) // rarer with time: it may cost much
		err = write()
	}
	c.setTrouble(err)
	return err
}

// stopping is where the recording ends, once that is decided; zero before.
func (c *Capture) stopping() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.stopAt
}

// drain brings the timeline to frame last and closes its files. A timeline that
// could not write is made anew before: by then the journal holds everything.
func (c *Capture) drain(last int64) error {
	c.keeper.keep()
	if _, err := c.keeper.until(); err != nil {
		return err
	}
	records := c.keeper.take(math.MaxInt64)
	if c.timeline.err != nil {
		if err := c.rebuild(c.timeline.archive, c.timeline.events, math.MaxInt64); err != nil {
			return err
		}
	} else {
		for _, r := range records {
			c.timeline.apply(r)
		}
	}
	c.timeline.advance(last)
	c.timeline.applied = time.Duration(last) * pcm.FrameTime
	return c.timeline.close(last)
}

// outcome is complete unless the room refused the recorder before anything
// was heard.
func outcome(cause error, t *timeline) State {
	if errors.Is(cause, joiner.ErrPermanent) && len(t.streams) == 0 {
		return Failed
	}
	return Complete
}

// resumable says that a capture goes on at the next start of the daemon.
func resumable(cause error) bool {
	return errors.Is(cause, ErrShutdown) || errors.Is(cause, errPanicked)
}

var errPanicked = errors.New("panic")

// guard is deferred by what runs on another goroutine than Run: a panic in it
// ends this capture and no other. The recording is left to the next start:
// what is in memory cannot be trusted any more, the journal can.
func (c *Capture) guard(what string) {
	if v := recover(); v != nil {
		c.panicked(what, v)
	}
}

func (c *Capture) panicked(what string, v any) error {
	err := fmt.Errorf("%w in %s: %v", errPanicked, what, v)
	c.log.Error("capture panicked; its recording goes on at the next start", "err", err, "stack", string(debug.Stack()))
	c.stop(err)
	return err
}
