package joiner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Participant is one login that lasts: it connects, and connects again when
// the connection is lost, until its context ends or trying is useless.
type Participant struct {
	sys     System
	login   Login
	pubs    *Publications
	roster  *roster
	backoff func(attempt int) time.Duration
	log     *slog.Logger
}

// lasting is how long a connection must have been up for the next attempt to
// be a first one again.
const lasting = 10 * time.Second

// NewParticipant returns a participant of login's room. pubs may be nil:
// nothing is published. backoff tells how long to wait after the failed
// attempt number attempt (0 is the first); nil means [Backoff].
func NewParticipant(sys System, login Login, room Room, pubs *Publications, backoff func(attempt int) time.Duration, log *slog.Logger) *Participant {
	if backoff == nil {
		backoff = Backoff
	}
	if pubs == nil {
		pubs = new(Publications)
	}
	return &Participant{
		sys:     sys,
		login:   login,
		pubs:    pubs,
		roster:  newRoster(room),
		backoff: backoff,
		log:     log.With("room", login.RoomID, "user", login.UserID),
	}
}

// Resume says, before Run, who and what the room was told of by an earlier
// participant: what of that is gone is told as removed.
func (p *Participant) Resume(users []User, streams []Stream) {
	for _, u := range users {
		p.roster.users[u.ID] = u
	}
	for _, s := range streams {
		p.roster.streams[s.ID] = s
	}
}

// Backoff is 100 ms doubling to 2 s, minus up to half of it by chance: long
// enough to spare a server that restarts, short enough to be back within 3 s
// of the link.
func Backoff(attempt int) time.Duration {
	d := 2 * time.Second
	if attempt < 5 {
		d = min(d, 100*time.Millisecond<<max(attempt, 0))
	}
	return d - rand.N(d/2)
}

// Run keeps the login up and returns why it ended: the context's cause after
// a proper logout, or an error that wraps [ErrPermanent].
//
// The room is told CONNECTING at the start and, with the error, at each loss;
// CONNECTED when the users and streams that were there have been told;
// DISCONNECTED last. What left the room while there was no connection is told
// as removed before CONNECTED. Users are told once; streams are offered
// again at each connection, because their media comes anew, and keep their
// [Receiver] if the room returns the same one. A panic of the room's or the
// system's is returned as a permanent error.
func (p *Participant) Run(ctx context.Context) error {
	p.roster.Event(StateChanged{State: Connecting})
	for attempt := 0; ; attempt++ {
		if err := p.roster.failure(); err != nil {
			return p.end(err)
		}
		lasted, err := p.connect(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = errors.New("connection ended")
		}
		if ctx.Err() != nil || errors.Is(err, ErrPermanent) {
			return p.end(err)
		}
		if lasted {
			attempt = 0
		}
		wait := p.backoff(attempt)
		p.log.Warn("connection lost", "err", err, "attempt", attempt, "wait", wait)
		p.roster.Event(StateChanged{State: Connecting, Err: err})
		select {
		case <-ctx.Done():
			return p.end(context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// Rejoin ends the present connection, if there is one, and lets Run connect
// again; why goes into the log and to the room.
func (p *Participant) Rejoin(why error) { p.roster.cut(why) }

func (p *Participant) end(err error) error {
	var broken *panicError
	if errors.As(err, &broken) {
		p.log.Error("participant panicked", "err", err, "stack", string(broken.stack))
	}
	p.roster.Event(StateChanged{State: Disconnected, Err: err})
	return err
}

// connect serves one connection and says whether it was up for long.
func (p *Participant) connect(ctx context.Context) (lasted bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.roster.begin(cancel)
	defer func() {
		if v := recover(); v != nil {
			err = panicked("room system", v)
		}
		if broken := p.roster.failure(); broken != nil {
			err = broken
		}
		up := p.roster.up()
		lasted = !up.IsZero() && time.Since(up) >= lasting
	}()
	return false, p.sys.Connect(ctx, p.login, p.roster, p.pubs)
}

// panicError is what a panic became. Its text is for users: the stack goes to
// the log only.
type panicError struct {
	who   string
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("%v: %s panicked: %v", ErrPermanent, e.who, e.value)
}
func (e *panicError) Unwrap() error { return ErrPermanent }

func panicked(who string, v any) error {
	return &panicError{who, v, debug.Stack()}
}
