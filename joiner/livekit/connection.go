package livekit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lk "github.com/livekit/protocol/livekit"

	"mixdown/joiner"
	"mixdown/joiner/track"
)

const (
	leaveTimeout = time.Second
	wordTimeout  = time.Second     // for why, after the media has ended
	resumeFor    = 8 * time.Second // the server keeps a login longer than that
	resumeAgain  = 300 * time.Millisecond
	lookEvery    = time.Second
)

// connection is one login. Its loop makes all calls to the room; the player and
// who publishes run beside it.
type connection struct {
	dial    func(ctx context.Context, token string, query map[string]string) (*wire, error)
	token   func() (string, error) // of this login
	refresh func(token string)     // takes what the server replaces it by
	speaker func() (string, error) // of the login that publishes; nil: this one does
	source  track.Source
	login   joiner.Login
	room    joiner.Room
	pubs    *joiner.Publications
	log     *slog.Logger

	on        context.Context // of the WebSockets, which outlive the media
	tasks     sync.WaitGroup
	link      atomic.Pointer[wire] // the present WebSocket
	lost      chan error           // why it ended
	self      *lk.ParticipantInfo
	people    *people
	player    *player
	publisher *publisher // nil: another login publishes
	offers    int        // how often streams were offered again
	met       bool       // somebody was in the room
}

// serve runs the connection until ctx ends, the server ends it, or the media
// is lost or the WebSocket for good.
func (c *connection) serve(ctx context.Context) error {
	// The work outlives ctx by the time that leaving takes.
	on, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	work, stop := context.WithCancelCause(on)
	c.on, c.lost = on, make(chan error, 1)
	c.offers = c.pubs.Offers()
	join, err := c.enter(ctx)
	if err == nil {
		c.begin(work, stop, join)
		err = c.follow(ctx, work)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		c.leave()
	}
	stop(err)
	hangUp()
	c.tasks.Wait()
	return err
}

// enter logs in.
func (c *connection) enter(ctx context.Context) (*lk.JoinResponse, error) {
	w, m, err := c.open(ctx, nil)
	if err != nil {
		return nil, err
	}
	join := m.GetJoin()
	switch {
	case m.GetLeave() != nil:
		_ = w.ws.CloseNow()
		return nil, c.dismissed(m.GetLeave())
	case join == nil:
		_ = w.ws.CloseNow()
		return nil, fmt.Errorf("LiveKit answers the login with %T", m.Message)
	case join.GetRoom().GetName() != c.login.RoomID:
		_ = w.ws.CloseNow()
		return nil, fmt.Errorf("%w: the token is for LiveKit room %q, not for %q", joiner.ErrPermanent, join.GetRoom().GetName(), c.login.RoomID)
	}
	c.use(w)
	c.self = join.Participant
	return join, nil
}

// open opens a WebSocket and returns the server's first message with it.
func (c *connection) open(ctx context.Context, query map[string]string) (*wire, *lk.SignalResponse, error) {
	token, err := c.token()
	if err != nil {
		return nil, nil, fmt.Errorf("get token for room %s: %w", c.login.RoomID, err)
	}
	w, err := c.dial(ctx, token, query)
	if err != nil {
		return nil, nil, err
	}
	m, err := w.first(ctx)
	if err != nil {
		_ = w.ws.CloseNow()
		return nil, nil, err
	}
	return w, m, nil
}

// use makes w the present WebSocket.
func (c *connection) use(w *wire) {
	c.link.Store(w)
	ctx, cancel := context.WithCancelCause(c.on)
	c.tasks.Go(func() { cancel(w.read(ctx)) })
	c.tasks.Go(func() { cancel(w.beat(ctx)) })
	c.tasks.Go(func() {
		<-ctx.Done()
		_ = w.ws.CloseNow()
		if c.link.Load() == w {
			select {
			case c.lost <- context.Cause(ctx):
			default:
			}
		}
	})
}

// begin starts the media and tells who and what is there.
func (c *connection) begin(work context.Context, stop context.CancelCauseFunc, join *lk.JoinResponse) {
	c.player = newPlayer(c.source, c.send, c.log, stop)
	c.tasks.Go(func() { stop(c.player.run(work)) })
	switch {
	case c.speaker != nil:
		c.tasks.Go(func() { c.speak(work) })
	case join.Participant.GetPermission().GetHidden():
		c.tasks.Go(func() { c.mute(work) })
	default:
		c.publisher = newPublisher(c.source, c.send, c.log, c.pubs)
		c.tasks.Go(func() { stop(c.publisher.run(work)) })
	}
	c.people = newPeople(c)
	c.people.all(join.OtherParticipants)
	c.log.Info("logged in", "server", join.GetServerInfo().GetVersion(), "node", join.GetServerInfo().GetNodeId(), "users", len(join.OtherParticipants))
	c.room.Event(joiner.StateChanged{State: joiner.Connected})
}

// send sends over the present WebSocket.
func (c *connection) send(ctx context.Context, m *lk.SignalRequest) error {
	return c.link.Load().send(ctx, m)
}

// leave logs out, and lets the server hang up.
func (c *connection) leave() {
	w := c.link.Load()
	if w == nil {
		return
	}
	w.leave(c.on)
	late := time.NewTimer(leaveTimeout)
	defer late.Stop()
	for {
		select {
		case <-w.messages:
		case <-c.lost:
			return
		case <-late.C:
			return
		}
	}
}

// follow is the connection's loop.
func (c *connection) follow(ctx, work context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		changed := c.pubs.Changed()
		c.offerAgain()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-work.Done():
			// The server ends the media first, and then says why.
			return c.lastWords(context.Cause(work), wordTimeout)
		case m := <-c.link.Load().messages:
			if err := c.message(m); err != nil {
				return err
			}
		case why := <-c.lost:
			if err := c.lastWords(nil, 0); err != nil {
				return err
			}
			if err := c.resume(ctx, work, why); err != nil {
				return err
			}
		case <-look.C:
			c.people.look(work)
		case <-changed:
		}
	}
}

// message takes one message of the server's. Those of no use here (quality,
// data, video) are ignored.
func (c *connection) message(m *lk.SignalResponse) error {
	switch m := m.Message.(type) {
	case *lk.SignalResponse_Update:
		c.people.update(m.Update.Participants)
	case *lk.SignalResponse_RoomUpdate:
		c.people.settle()
	case *lk.SignalResponse_SpeakersChanged:
		c.people.speakers(m.SpeakersChanged.Speakers)
	case *lk.SignalResponse_SubscriptionResponse:
		c.people.refused(m.SubscriptionResponse)
	case *lk.SignalResponse_Offer:
		c.player.offer(m.Offer)
	case *lk.SignalResponse_Trickle:
		if m.Trickle.Target == lk.SignalTarget_SUBSCRIBER {
			c.player.candidate(m.Trickle.CandidateInit)
		} else if c.publisher != nil {
			c.publisher.take(m)
		}
	case *lk.SignalResponse_RefreshToken:
		c.refresh(m.RefreshToken)
	case *lk.SignalResponse_Leave:
		return c.dismissed(m.Leave)
	case *lk.SignalResponse_RoomMoved:
		return fmt.Errorf("%w: the recorder was moved to LiveKit room %q", joiner.ErrPermanent, m.RoomMoved.GetRoom().GetName())
	default:
		if c.publisher != nil {
			c.publisher.take(m)
		}
	}
	return nil
}

// lastWords looks whether the server said why before it hung up, and takes
// what else it said.
func (c *connection) lastWords(err error, wait time.Duration) error {
	late := time.NewTimer(wait)
	defer late.Stop()
	lost := c.lost
	if wait == 0 {
		lost = nil // it is why we are here
	}
	for {
		select {
		case m := <-c.link.Load().messages:
			if why := c.message(m); why != nil {
				return why
			}
			continue
		default:
		}
		select {
		case m := <-c.link.Load().messages:
			if why := c.message(m); why != nil {
				return why
			}
		case <-lost: // once more for what came before
			lost = nil
			late.Reset(0)
		case <-late.C:
			return err
		}
	}
}

// resume brings back the WebSocket of a login whose media lives.
func (c *connection) resume(ctx, work context.Context, why error) error {
	until := time.Now().Add(resumeFor)
	c.log.Warn("signalling lost", "err", why)
	for {
		if !c.player.alive() || time.Now().After(until) {
			return why
		}
		w, m, err := c.open(ctx, map[string]string{"reconnect": "1", "sid": c.self.GetSid()})
		switch {
		case err == nil && m.GetLeave() != nil:
			_ = w.ws.CloseNow()
			return c.dismissed(m.GetLeave())
		case err == nil && m.GetReconnect() == nil:
			_ = w.ws.CloseNow()
			return fmt.Errorf("LiveKit answers the resumption with %T", m.Message)
		case err == nil:
			c.use(w)
			c.people.resumed()
			if err := c.send(work, c.player.sync(c.people.subscribed())); err != nil {
				return err
			}
			c.log.Info("signalling resumed")
			return nil
		case errors.Is(err, joiner.ErrPermanent):
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-work.Done():
			return context.Cause(work)
		case <-time.After(resumeAgain):
		}
	}
}

// offerAgain offers what the room did not want, when it asks for that.
func (c *connection) offerAgain() {
	if n := c.pubs.Offers(); n != c.offers {
		c.offers = n
		c.people.offerAgain()
	}
}

// dismissed is the error for a server that ended the login.
func (c *connection) dismissed(l *lk.LeaveRequest) error {
	err := fmt.Errorf("LiveKit ended the login: %s", l.GetReason())
	switch l.GetReason() {
	case lk.DisconnectReason_DUPLICATE_IDENTITY, lk.DisconnectReason_PARTICIPANT_REMOVED, lk.DisconnectReason_ROOM_DELETED:
		return fmt.Errorf("%w: %w", joiner.ErrPermanent, err)
	case lk.DisconnectReason_ROOM_CLOSED:
		// An empty room that nobody has come to yet is closed, too.
		if c.met {
			return fmt.Errorf("%w: %w", joiner.ErrPermanent, err)
		}
	}
	return err
}

// mute says why nothing is published: nobody would see it.
func (c *connection) mute(work context.Context) {
	why := errors.New("the token is of a hidden participant, whose tracks nobody sees: configure the server's API key, or use a token that is not hidden")
	for {
		changed := c.pubs.Changed()
		for _, p := range c.pubs.List() {
			p.Detach(why)
		}
		select {
		case <-work.Done():
			return
		case <-changed:
		}
	}
}
