package native

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/signal"
)

const (
	logoutTimeout = time.Second
	renewAgain    = 5 * time.Second
	// farewell is what a notice may take longer than the end of the media: who
	// is thrown out of a room loses both at once, over two roads.
	farewell = 50 * time.Millisecond
)

// connection is one login over one WebSocket. Its loop makes all calls to the
// room; the player and the publishers run beside it.
type connection struct {
	source  track.Source
	log     *slog.Logger
	login   joiner.Login
	room    joiner.Room
	pubs    *joiner.Publications
	wire    *wire
	session string          // to resume, then the present one
	keep    func(id string) // remembers the session

	tasks      sync.WaitGroup
	streams    map[string]bool          // that the room was told of
	unplayed   map[string]signal.Stream // of them, that it did not want
	offers     int                      // how often they were offered again
	player     *player
	lost       chan error // why the player's media ended
	publishers map[*joiner.Publication]*publisher
	published  map[string]<-chan struct{} // by stream ID: closed when its last publisher has ended
	renewing   atomic.Bool
}

// serve runs the connection until ctx ends, the server ends it, or the
// WebSocket or the player's media is lost.
func (c *connection) serve(ctx context.Context) error {
	// The work outlives ctx by the time that logging out takes.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer c.wire.ws.CloseNow()
	c.streams = make(map[string]bool)
	c.unplayed = make(map[string]signal.Stream)
	c.offers = c.pubs.Offers()
	c.publishers = make(map[*joiner.Publication]*publisher)
	c.published = make(map[string]<-chan struct{})
	c.lost = make(chan error, 1)
	c.player = newPlayer(c.source, c.wire, c.log, c.lose)
	c.tasks.Go(func() { stop(c.wire.read(work)) })
	c.tasks.Go(func() { stop(c.wire.beat(work)) })
	c.tasks.Go(func() { c.lose(c.player.run(work)) })
	err := c.enter(ctx, work)
	if err == nil {
		if c.login.Hidden {
			c.tasks.Go(func() { c.indicate(work) })
		}
		err = c.follow(ctx, work)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		c.leave(work)
	}
	stop(err)
	c.tasks.Wait()
	return err
}

// enter logs in and tells who and what is there.
func (c *connection) enter(ctx, work context.Context) error {
	calls, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	result, err := c.loginRoom(calls)
	if code(err) == signal.CodeTokenExpired {
		result, err = c.loginRoom(calls) // with a fresh one
		if code(err) == signal.CodeTokenExpired {
			return fmt.Errorf("%w: %w", joiner.ErrPermanent, err)
		}
	}
	if err != nil {
		// The server may dislike the session, or have made another one whose
		// ID did not arrive: the next login is a new one.
		c.session = ""
		return refusal(err)
	}
	c.session = result.SessionID
	c.keep(result.SessionID)
	c.log.Info("logged in", "resumed", result.Resumed, "users", len(result.Users), "streams", len(result.Streams))
	var there joiner.Present
	for _, u := range result.Users {
		there.Users = append(there.Users, u.UserID)
	}
	for _, s := range result.Streams {
		there.Streams = append(there.Streams, s.StreamID)
	}
	c.room.Event(there)
	c.usersAdded(result.Users)
	c.streamsAdded(result.Streams)
	c.room.Event(joiner.StateChanged{State: joiner.Connected})
	return nil
}

func (c *connection) loginRoom(ctx context.Context) (result signal.LoginResult, err error) {
	token, err := c.login.Token()
	if err != nil {
		return result, fmt.Errorf("get token for room %s: %w", c.login.RoomID, err)
	}
	err = c.wire.call(ctx, signal.LoginRoom, signal.LoginParams{
		RoomID:    c.login.RoomID,
		Token:     token,
		User:      signal.User{UserID: c.login.UserID, UserName: c.login.UserName},
		Config:    signal.RoomConfig{UserUpdate: true},
		SessionID: c.session,
	}, &result)
	return result, err
}

// leave logs out. The server needs not answer: it sees the WebSocket's end.
func (c *connection) leave(work context.Context) {
	ctx, cancel := context.WithTimeout(work, logoutTimeout)
	defer cancel()
	if err := c.wire.call(ctx, signal.LogoutRoom, signal.RoomParams{RoomID: c.login.RoomID}, nil); err != nil {
		c.log.Debug("log out", "err", err)
	}
}

// follow is the connection's loop.
func (c *connection) follow(ctx, work context.Context) error {
	for {
		changed := c.pubs.Changed()
		c.publish(work)
		c.offerAgain()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-work.Done():
			return c.lastWords(work, context.Cause(work))
		case err := <-c.lost:
			return c.lastWords(work, err)
		case m := <-c.wire.notices:
			if err := c.notice(work, m); err != nil {
				return err
			}
		case <-changed:
		}
	}
}

// lose ends the connection, whose media is gone.
func (c *connection) lose(err error) {
	select {
	case c.lost <- err:
	default: // it has a reason already
	}
}

// lastWords looks whether the server said why it ended the connection. A
// WebSocket that is over says nothing more, one whose media is gone may still.
func (c *connection) lastWords(work context.Context, err error) error {
	select {
	case <-work.Done():
	case <-time.After(farewell):
	}
	for {
		select {
		case m := <-c.wire.notices:
			var p signal.RoomStateParams
			if m.Method == signal.RoomStateUpdate && json.Unmarshal(m.Params, &p) == nil && p.State == signal.Disconnected {
				return dismissed(p)
			}
		default:
			return err
		}
	}
}

// publish starts and stops publishers as the publications say.
func (c *connection) publish(work context.Context) {
	present := make(map[*joiner.Publication]bool)
	for _, pub := range c.pubs.List() {
		present[pub] = true
		if p := c.publishers[pub]; p != nil {
			p.update()
			continue
		}
		ctx, cancel := context.WithCancelCause(work)
		p := newPublisher(c.source, c.wire, c.log, pub, cancel)
		c.publishers[pub] = p
		former, ended := c.published[pub.StreamID()], make(chan struct{})
		c.published[pub.StreamID()] = ended
		c.tasks.Go(func() {
			defer close(ended)
			defer cancel(nil)
			if former != nil {
				<-former // else its end would end this one
			}
			p.run(ctx, work)
		})
	}
	for pub, p := range c.publishers {
		if !present[pub] {
			p.cancel(nil)
			delete(c.publishers, pub)
		}
	}
}

// indicate tells the room what the recording does.
func (c *connection) indicate(work context.Context) {
	told := joiner.RecordingUnknown
	for {
		changed := c.pubs.Changed()
		if now := c.pubs.Indicator(); now != told && now != joiner.RecordingUnknown {
			value := json.RawMessage(now)
			if now == joiner.RecordingPaused {
				value = json.RawMessage(`"paused"`)
			}
			err := c.wire.call(work, signal.SetRoomExtraInfo, signal.SetRoomExtraInfoParams{RoomID: c.login.RoomID, Key: "recording", Value: value}, nil)
			if err != nil && work.Err() == nil {
				c.log.Warn("set recording indicator", "err", err)
			}
			told = now
		}
		select {
		case <-work.Done():
			return
		case <-changed:
		}
	}
}

// renew sends a fresh token before the present one expires.
func (c *connection) renew(work context.Context) {
	defer c.renewing.Store(false)
	for range 6 { // the server warns 30 s ahead
		token, err := c.login.Token()
		if err == nil {
			err = c.wire.call(work, signal.RenewToken, signal.RenewTokenParams{RoomID: c.login.RoomID, Token: token}, nil)
		}
		if err == nil || work.Err() != nil {
			return
		}
		c.log.Warn("renew token", "err", err)
		select {
		case <-work.Done():
			return
		case <-time.After(renewAgain):
		}
	}
}
