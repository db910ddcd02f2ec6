package rooms_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/rooms"
	"mixdown/rooms/signal"
)

// session logs in and returns the session's ID too.
func (w *world) session(roomID, userID string) (*client, string) {
	w.Helper()
	c := w.dial()
	r := c.enter(roomID, userID, w.token(userID), signal.RoomConfig{UserUpdate: true})
	return c, r.SessionID
}

// resume comes back with a session.
func (w *world) resume(session string) (*client, signal.LoginResult) {
	w.Helper()
	c := w.dial()
	var r signal.LoginResult
	c.do(signal.LoginRoom, signal.LoginParams{SessionID: session}, &r)
	return c, r
}

func TestDropAndResume(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other := w.login("r", "other")
		p := other.speak("so")
		a, session := w.session("r", "a")
		pa := a.speak("sa")
		other.forget()
		a.cut()
		pa.close() // the whole client is off the net
		time.Sleep(29 * time.Second)
		b := w.login("r", "b") // while a is away
		b.publish("sb")
		b.userNews()
		other.do(signal.StopPublishing, signal.StreamParams{StreamID: "so"}, nil)

		a, r := w.resume(session)
		if !r.Resumed || r.SessionID != session || r.RoomID != "r" || len(r.Users) != 2 || len(r.Streams) != 1 || r.Streams[0].StreamID != "sb" {
			t.Errorf("resumed: %+v", r)
		}
		a.streams("r DELETE so/other [{1}]", "r ADD sb/b")
		a.userNews("r ADD b")
		a.states("r CONNECTED 0")
		time.Sleep(20 * time.Second)
		pa = a.speak("sa")
		pa.talk(10, "x", 20)
		time.Sleep(60 * time.Second)
		other.userNews("r ADD b")
		other.streams("r ADD sb/b", "r DELETE sb/b [{5}]") // b published no media
		a.fails(signal.CodeAlreadyPublishing, signal.StartPublishing, signal.PublishParams{StreamID: "sa", SDP: w.offer()})
		// Again, this time in vain.
		a.cut()
		time.Sleep(29 * time.Second)
		other.streams()
		other.userNews()
		time.Sleep(2 * time.Second)
		other.streams("r DELETE sa/a [{5}]")
		other.userNews("r DELETE a")
		a = w.dial()
		a.fails(signal.CodeRetryExceeded, signal.LoginRoom, signal.LoginParams{SessionID: session})
		// With a token it is a new login.
		r = signal.LoginResult{}
		a.do(signal.LoginRoom, signal.LoginParams{SessionID: session, RoomID: "r", Token: w.token("a"), User: signal.User{UserID: "a"}}, &r)
		if r.Resumed || r.SessionID == session {
			t.Errorf("after the session's end: %+v", r)
		}
		other.userNews("r ADD a")
		for _, x := range []*client{a, b, other} {
			x.leave()
		}
		p.close()
		pa.close()
	})
}

// TestResumeKeepsMediaRunning: only signalling was lost. The old media goes on
// until the new one is connected, and players never notice.
func TestResumeKeepsMediaRunning(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, session := w.session("r", "a")
		p1 := a.speak("s")
		b, sessionB := w.session("r", "b")
		e := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		a.cut()
		p1.talk(10, "while away", 20)
		if n := e.hears("while away"); n != 10 {
			t.Errorf("heard %d of 10 packets while signalling was away", n)
		}
		a, _ = w.resume(session)
		p1.talk(10, "resumed", 20)
		p2 := a.speak("s")
		p2.talk(10, "anew", 20)
		if e.hears("resumed") != 10 || e.hears("anew") != 10 {
			t.Errorf("heard %v", e.count)
		}
		// Now the player: the old connection plays on while a new one is made.
		b.cut()
		b, _ = w.resume(sessionB)
		p2.talk(10, "old player", 20)
		if n := e.hears("old player"); n != 10 {
			t.Errorf("the old player heard %d of 10", n)
		}
		e2 := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e2.answerOffer()
		b.streamStates(signal.PlayerStateUpdate, "s PLAYING 0")
		p2.talk(10, "both", 20)
		time.Sleep(6 * time.Second)
		p2.talk(10, "new player", 20)
		if e.hears("both") != 10 || e2.hears("both") != 10 || e.hears("new player") != 0 || e2.hears("new player") != 10 {
			t.Errorf("old player %v, new player %v", e.count, e2.count)
		}
		a.leave()
		b.leave()
		p1.close()
		p2.close()
		e.close()
		e2.close()
	})
}

// TestResumeBeforeDropIsNoticed: the client is back before the server saw its
// old connection end.
func TestResumeBeforeDropIsNoticed(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other := w.login("r", "other")
		a, session := w.session("r", "a")
		a.publish("s")
		other.forget()
		again, r := w.resume(session)
		if !r.Resumed {
			t.Error("not resumed")
		}
		if _, over := a.over(); !over {
			t.Error("the old connection lives on")
		}
		a.states("r CONNECTED 0") // it was not kicked
		a.cut()
		time.Sleep(20 * time.Second)
		other.streams()
		other.userNews()
		again.do(signal.StopPublishing, signal.StreamParams{StreamID: "s"}, nil)
		other.streams("r DELETE s/a [{1}]")
		again.leave()
		other.leave()
	})
}

func TestResumeIsChecked(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, session := w.session("r", "a")
		a.cut()
		c := w.dial()
		for _, x := range []struct {
			code   int
			params signal.LoginParams
		}{
			{signal.CodeRetryExceeded, signal.LoginParams{SessionID: "nosuch"}},
			{signal.CodeTokenAuthFailed, signal.LoginParams{SessionID: session, RoomID: "q"}},
			{signal.CodeTokenAuthFailed, signal.LoginParams{SessionID: session, User: signal.User{UserID: "b"}}},
			{signal.CodeTokenAuthFailed, signal.LoginParams{SessionID: session, Token: w.token("b")}},
			{signal.CodeTokenAuthFailed, signal.LoginParams{SessionID: session, Token: w.token("a", hidden)}},
			{signal.CodeTokenFormat, signal.LoginParams{SessionID: session, Token: "x"}},
		} {
			c.fails(x.code, signal.LoginRoom, x.params)
		}
		var r signal.LoginResult
		c.do(signal.LoginRoom, signal.LoginParams{SessionID: session, RoomID: "r", Token: w.token("a", lasting(time.Second*31)), User: signal.User{UserID: "a"}}, &r)
		if !r.Resumed {
			t.Error("not resumed")
		}
		// The token of the resumption is the session's now.
		time.Sleep(32 * time.Second)
		if got := c.news(signal.TokenWillExpire); len(got) != 1 {
			t.Errorf("%d warnings", len(got))
		}
		c.fails(signal.CodeTokenExpired, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})
		c.leave()
	})
}

// TestExpiredTokenDoesNotStopResumption: running streams go on.
func TestExpiredTokenDoesNotStopResumption(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other := w.login("r", "other")
		short := w.token("a", lasting(40*time.Second))
		a := w.dial()
		session := a.enter("r", "a", short, signal.RoomConfig{}).SessionID
		a.publish("s")
		time.Sleep(25 * time.Second)
		a.cut()
		time.Sleep(20 * time.Second)
		a = w.dial()
		a.do(signal.LoginRoom, signal.LoginParams{SessionID: session, RoomID: "r", Token: short, User: signal.User{UserID: "a"}}, nil)
		p := a.speak("s")
		a.fails(signal.CodeTokenExpired, signal.StartPublishing, signal.PublishParams{StreamID: "t", SDP: w.offer()})
		time.Sleep(time.Minute)
		other.streams("r ADD s/a")
		a.leave()
		other.leave()
		p.close()
	})
}

// TestHeartbeat: a client that went silent is dropped by ping, and deleted with
// its own reason after the resume window.
func TestHeartbeat(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other := w.login("r", "other")
		a, session := w.session("r", "a")
		a.publish("s")
		other.forget()
		start := time.Now()
		a.link.deaf.Store(true)
		for len(other.news(signal.RoomUserUpdate)) == 0 {
			time.Sleep(time.Second)
		}
		// Ping after 10 s at most, 20 s for the pong, 30 s to come back.
		if took := time.Since(start); took < 50*time.Second || took > 62*time.Second {
			t.Errorf("took %v", took)
		}
		other.streams("r DELETE s/a [{2}]")
		a.cut()
		a = w.dial()
		a.fails(signal.CodeRetryExceeded, signal.LoginRoom, signal.LoginParams{SessionID: session})
		a.cut()
		other.leave()
	})
}

// TestQuietClientStays: answering pings is enough.
func TestQuietClientStays(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		time.Sleep(55 * time.Minute)
		a.do(signal.SendBroadcastMessage, signal.BroadcastParams{Message: "still here"}, nil)
		a.leave()
	})
}

// TestSlowReader: who does not read is cut off and delays nobody.
func TestSlowReader(t *testing.T) {
	virtual(t, func(c *rooms.Config) { c.MaxQueue = 50 }, func(w *world) {
		a, slow, b := w.login("r", "a"), w.login("r", "slow"), w.login("r", "b")
		a.publish("s")
		b.forget()
		slow.link.asleep.Store(true)
		start := time.Now()
		for range 70 {
			a.do(signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s"}, nil)
			synctest.Wait() // b reads
		}
		if got := len(b.news(signal.StreamExtraInfoUpdate)); got != 70 || time.Since(start) > 0 {
			t.Errorf("b got %d of 70 messages in %v", got, time.Since(start))
		}
		time.Sleep(time.Second)
		room, _ := w.service.Room("r")
		for _, u := range room.Users {
			if u.Connected != (u.ID != "slow") {
				t.Errorf("user %+v", u)
			}
		}
		time.Sleep(30 * time.Second)
		b.userNews("r DELETE slow")
		for _, c := range []*client{a, b} {
			c.leave()
		}
		slow.cut()
	})
}

func TestNoLogin(t *testing.T) {
	virtual(t, nil, func(w *world) {
		idle := w.dial()
		in := w.login("r", "a")
		time.Sleep(59 * time.Second)
		if _, over := idle.over(); over {
			t.Error("closed too early")
		}
		time.Sleep(2 * time.Second)
		if status, over := idle.over(); !over || status != 1008 {
			t.Errorf("over %v, status %d", over, status)
		}
		in.do(signal.LogoutRoom, nil, nil)
		in.enter("r", "a", w.token("a"), signal.RoomConfig{})
		time.Sleep(2 * time.Minute)
		in.leave()
		idle.cut()
	})
}

// TestShutdown: everybody is told with a status, and nothing is left.
func TestShutdown(t *testing.T) {
	var clients []*client
	var p *publisher
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		p = a.speak("s")
		e := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		asleep := w.login("r", "asleep")
		asleep.link.asleep.Store(true)
		clients = append(clients, a, b)
		b.forget()
		w.stop()
		for _, c := range clients {
			if status, over := c.over(); !over || status != 1001 {
				t.Errorf("over %v, status %d", over, status)
			}
		}
		if got := b.methods(); slices.Contains(got, signal.RoomStreamUpdate) || slices.Contains(got, signal.RoomUserUpdate) {
			t.Errorf("the end of the service looked like logouts: %q", got)
		}
		for _, c := range append(clients, asleep) {
			c.cut()
		}
		p.close()
		e.close()
	})
}

// TestKickedAfterResume: who is kicked hears nothing more, by the connection of
// before a resumption neither.
func TestKickedAfterResume(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		p := a.speak("s")
		b, session := w.session("r", "b")
		e := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		p.talk(10, "before", 20)
		b.cut()
		w.resume(session)
		p.talk(10, "between", 20)
		if n := e.hears("between"); n == 0 {
			t.Error("what it played ends before it is replaced")
		}
		check(t, w.service.KickUser("r", "b"))
		time.Sleep(100 * time.Millisecond)
		p.talk(100, "after the kick", 20)
		if n := e.hears("after the kick"); n > 0 {
			t.Errorf("hears %d packets", n)
		}
		time.Sleep(10 * time.Second)
		a.leave()
		p.close()
		e.close()
	})
}
