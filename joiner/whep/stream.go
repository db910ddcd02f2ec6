package whep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/netguard"
)

// state is what is known of a stream at its server:
//
//	asking ──► live ◄──► absent
//	              ▲  ▲      ▲
//	              ▼  └──────┼──► unreached
//	           refused ◄────┘
//
// Only (*stream).enter changes it.
type state int

const (
	asking    state = iota // there was no answer yet
	live                   // the server has it
	absent                 // the server has not, or not yet
	unreached              // the server does not answer
	refused                // the server does not take the token; this is the end
)

// patience is how long a stream whose server is not reached stays in the room
// while other servers are: it may be a moment, or the first of all.
const patience = 10 * time.Second

var errDeclined = errors.New("the stream is not wanted")

// stream is one stream of a login.
type stream struct {
	c    *login
	at   joiner.Endpoint
	log  *slog.Logger
	idle *waiting // of run: offered, and not answered yet

	// Under the login's lock.
	state state
	since time.Time // of the state
	told  bool      // in the room
	err   error     // why the state is what it is
}

// run plays the stream whenever it is there, until ctx ends or its server
// refuses the token.
func (s *stream) run(ctx context.Context) {
	defer s.discard()
	for attempt := 0; ; attempt++ {
		offers := s.c.pubs.Offers()
		began := time.Now()
		err := s.play(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errDeclined) {
			s.awaitOffer(ctx, offers)
			attempt = -1
			continue
		}
		if time.Since(began) >= lasting {
			attempt = 0
		}
		now, wait := s.judge(err, attempt)
		s.enter(now, err)
		if now == refused {
			return
		}
		s.log.Info("stream is not played", "err", err, "attempt", attempt, "wait", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// judge says what an error means and when to try again.
func (s *stream) judge(err error, attempt int) (now state, wait time.Duration) {
	answer, _ := errors.AsType[*refusal](err)
	switch {
	case errors.Is(err, joiner.ErrPermanent), errors.Is(err, netguard.ErrForbidden):
		return refused, 0
	case errors.Is(err, errUnreachable):
		return unreached, max(joiner.Backoff(attempt), retryAfter(err))
	case answer != nil:
		return absent, pause(attempt, pollMax, err)
	}
	return live, joiner.Backoff(attempt) // it was, and its media was lost
}

// enter notes what is known now, tells the room, and ends the login when no
// server is left.
func (s *stream) enter(now state, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	news := s.state != now || s.err == nil || s.err.Error() != err.Error()
	if s.state != now {
		s.state, s.since = now, time.Now()
	}
	s.err = err
	gone := now == absent || now == refused || now == unreached && time.Since(s.since) >= patience
	lost := c.countLocked(unreached) + c.countLocked(refused)
	if lost == len(c.streams) {
		c.end(c.loss())
		return // who was told is told by the next login, or at its end
	}
	if gone && s.told {
		s.told = false
		c.room.Event(joiner.StreamRemoved{StreamID: s.at.StreamID, Reason: err.Error()})
		c.room.Event(joiner.UserRemoved{User: s.user()})
	}
	if news && !s.told {
		c.room.Event(joiner.StreamAbsent{StreamID: s.at.StreamID, Reason: err.Error()})
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// loss is why the login is over: nobody is reached, or nobody takes the token.
// The caller holds the lock.
func (c *login) loss() error {
	for _, s := range c.streams {
		if s.state == unreached {
			return s.err
		}
	}
	return fmt.Errorf("%w: %w", joiner.ErrPermanent, c.streams[0].err)
}

func (s *stream) user() joiner.User { return joiner.User{ID: s.at.StreamID, Name: s.at.StreamID} }

// arrive tells that the stream is heard from now on and returns who takes its
// packets.
func (s *stream) arrive() joiner.Receiver {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != live {
		s.state, s.since = live, time.Now()
	}
	s.err = nil
	if !s.told {
		s.told = true
		c.room.Event(joiner.UserAdded{User: s.user()})
	}
	r := c.room.Stream(joiner.Stream{ID: s.at.StreamID, User: s.user()})
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return r
}

// awaitOffer waits until the room wants to be offered again what it declined.
func (s *stream) awaitOffer(ctx context.Context, before int) {
	for {
		changed := s.c.pubs.Changed()
		if s.c.pubs.Offers() != before {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// play serves one session and returns why it ended.
func (s *stream) play(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	e, slot := s.idle.session, &s.idle.slot
	answer, err := e.offer(ctx, s.at, track.PreferStereo)
	if err != nil {
		return err
	}
	s.idle = nil
	defer e.close()
	defer slot.Set(nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The room hears of the stream when its media flows: by the connection or
	// by the first packet, whichever is first.
	in := &ear{arrive: sync.OnceValue(func() joiner.Receiver {
		r := s.arrive()
		if r == nil {
			cancel(errDeclined)
			return deaf{}
		}
		return r
	})}
	in.heard.Store(time.Now().UnixNano())
	slot.Set(in)
	if err := e.accept(answer); err != nil {
		return err
	}
	return e.watch(ctx, func() { in.arrive() }, &in.heard)
}

// waiting is a peer connection that waits for its stream to be there: asking
// for it costs one request, not a connection each time.
type waiting struct {
	*session
	slot track.Slot
}

// fresh is for how long: the addresses of this machine may change.
const fresh = time.Minute

// prepare sees to it that a peer connection waits.
func (s *stream) prepare() error {
	if s.idle != nil && time.Since(s.idle.opened) < fresh {
		return nil
	}
	s.discard()
	e, err := s.c.s.open()
	if err != nil {
		return err
	}
	s.idle = &waiting{session: e}
	return e.play(&s.idle.slot, s.c.end)
}

func (s *stream) discard() {
	if s.idle != nil {
		s.idle.close()
		s.idle = nil
	}
}

// ear is a receiver that comes when it is needed and knows when it last heard
// something.
type ear struct {
	arrive func() joiner.Receiver
	heard  atomic.Int64 // Unix time in ns
}

// Packet implements joiner.Receiver.
func (e *ear) Packet(p *rtp.Packet, level uint8, at time.Time) {
	e.heard.Store(at.UnixNano())
	e.arrive().Packet(p, level, at)
}

// Report implements joiner.Receiver.
func (e *ear) Report(r joiner.SenderReport, at time.Time) { e.arrive().Report(r, at) }

type deaf struct{}

func (deaf) Packet(*rtp.Packet, uint8, time.Time)  {}
func (deaf) Report(joiner.SenderReport, time.Time) {}
