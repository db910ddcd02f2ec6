package livekit

import (
	"context"
	"errors"
	"time"
)

const (
	publishAgain    = time.Second
	publishAgainMax = 8 * time.Second
)

// errNothing ends a login that has nothing to publish any more.
var errNothing = errors.New("nothing to publish")

// speak publishes over a login of its own, as long as there is something to
// publish and work lasts.
func (c *connection) speak(work context.Context) {
	wait := publishAgain
	for work.Err() == nil {
		changed := c.pubs.Changed()
		if len(c.pubs.List()) == 0 {
			select {
			case <-work.Done():
			case <-changed:
			}
			continue
		}
		began := time.Now()
		s := &connection{
			dial: c.dial, token: c.speaker, refresh: func(string) {}, source: c.source,
			login: c.login, pubs: c.pubs, log: c.log.With("login", "publisher"),
		}
		err := s.publish(work)
		for _, p := range c.pubs.List() {
			p.Detach(err)
		}
		if work.Err() != nil || errors.Is(err, errNothing) {
			continue
		}
		if time.Since(began) > publishAgainMax {
			wait = publishAgain
		}
		c.log.Warn("publishing ended", "err", err, "wait", wait)
		select {
		case <-work.Done():
		case <-time.After(wait):
			wait = min(2*wait, publishAgainMax)
		}
	}
}

// publish serves a login that does nothing but publish.
func (c *connection) publish(ctx context.Context) error {
	on, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	work, stop := context.WithCancelCause(on)
	c.on, c.lost = on, make(chan error, 1)
	join, err := c.enter(ctx)
	if err == nil {
		c.log.Info("logged in", "node", join.GetServerInfo().GetNodeId())
		c.publisher = newPublisher(c.source, c.send, c.log, c.pubs)
		c.tasks.Go(func() { stop(c.publisher.run(work)) })
		err = c.pass(ctx, work)
	}
	if ctx.Err() != nil || errors.Is(err, errNothing) {
		c.leave()
	}
	stop(err)
	hangUp()
	c.tasks.Wait()
	return err
}

// pass is the loop of such a login: it passes on what the server says.
func (c *connection) pass(ctx, work context.Context) error {
	for {
		changed := c.pubs.Changed()
		if len(c.pubs.List()) == 0 {
			return errNothing
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-work.Done():
			return context.Cause(work)
		case why := <-c.lost:
			return why
		case m := <-c.link.Load().messages:
			if m.GetLeave() != nil {
				return c.dismissed(m.GetLeave())
			}
			c.publisher.take(m.Message)
		case <-changed:
		}
	}
}
