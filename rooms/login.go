package rooms

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// login is a user in a room, from loginRoom (or the first WHIP request) until
// it ends. It outlives its connection by the resume window. Guarded by
// Service.mu.
type login struct {
	session string
	user    signal.User
	room    *room
	claims  token.Claims
	hidden  bool
	since   time.Time
	whip    bool // has no connection: WHIP publishes for it
	ended   bool

	announced  bool        // the others know of it
	conn       *connection // nil while dropped and for WHIP
	wantsUsers bool
	warned     bool // of the token's expiry
	count      int  // online users it was last told

	dropped    bool
	dropReason int
	deadline   time.Time // of a dropped login
	knownUsers map[string]signal.User
	known      map[*stream]signal.Stream

	streams   map[string]*stream // that it publishes
	plays     map[string]*stream
	most      int // of them at once so far
	playback  *playback
	indicator Indicator // what a hidden login says of its recording
}

func (l *login) notify(method string, params any) {
	if l.conn != nil {
		l.conn.notify(method, params)
	}
}

func (l *login) send(message []byte) {
	if l.conn != nil {
		l.conn.send(message)
	}
}

// admit checks a token for a login of userID to roomID; an empty userID stands
// for whomever the token was made for.
func (s *Service) admit(ctx context.Context, text, roomID, userID string) (token.Claims, *signal.Error) {
	if text == "" {
		return token.Claims{}, fault(signal.CodeTokenRequired, "a token is required")
	}
	c, err := token.Parse(s.cfg.Secret, s.cfg.AppID, text, time.Now())
	switch {
	case errors.Is(err, token.ErrFormat):
		return c, fault(signal.CodeTokenFormat, "the token is malformed")
	case errors.Is(err, token.ErrExpired):
		return c, fault(signal.CodeTokenExpired, "the token has expired")
	case err != nil:
		// Guessing at sealed tokens is kept slow.
		select {
		case <-time.After(denialDelay):
		case <-ctx.Done():
		}
		return c, fault(signal.CodeTokenAuthFailed, "the token was not made for this service")
	case userID != "" && c.UserID != userID:
		return c, fault(signal.CodeTokenAuthFailed, "the token was made for another userID")
	case !c.MayEnter(roomID):
		return c, fault(signal.CodeTokenAuthFailed, "the token does not allow to log in to this room")
	}
	return c, nil
}

func (c *connection) loginRoom(ctx context.Context, q *request) error {
	p, err := decode[signal.LoginParams](q)
	if err != nil {
		return err
	}
	if _, err := c.current(""); err == nil {
		return fault(signal.CodeNotLoggedOut, "this connection is logged in already; log out first")
	}
	if p.SessionID != "" {
		resumed, err := c.resume(ctx, q, p)
		if err != nil || resumed {
			return err
		}
		if p.Token == "" {
			return fault(signal.CodeRetryExceeded, "the session has ended; log in with a token")
		}
	}
	if f := checkRoomID(p.RoomID); f != nil {
		return f
	}
	if f := checkUser(p.User); f != nil {
		return f
	}
	if p.Config.MaxMemberCount < 0 {
		return fault(signal.CodeInvalidParams, "config.maxMemberCount is negative")
	}
	claims, f := c.s.admit(ctx, p.Token, p.RoomID, p.User.UserID)
	if f != nil {
		return f
	}
	c.s.update(func() {
		var l *login
		if l, f = c.s.open(p, claims); f != nil {
			return
		}
		l.conn, c.login = c, l
		c.s.welcome(l, q, false)
		l.room.announce(l)
	})
	return asError(f)
}

// asError keeps a nil fault from becoming a non-nil error.
func asError(f *signal.Error) error {
	if f == nil {
		return nil
	}
	return f
}

// userKey is what a user can log in as only once: the user, in the whole app;
// for a recorder, which works in many rooms under one name, the user in the
// room.
func userKey(userID, roomID string, hidden bool) string {
	if hidden {
		return roomID + "\x00" + userID
	}
	return userID
}

// open makes the login, ending an earlier one of the same user. The caller
// holds the lock, greets the login and announces it.
func (s *Service) open(p signal.LoginParams, claims token.Claims) (*login, *signal.Error) {
	if s.closed {
		return nil, fault(signal.CodeInternal, "the room service is ending")
	}
	key := userKey(p.User.UserID, p.RoomID, claims.Hidden)
	earlier := s.users[key]
	if earlier != nil && p.SessionID != "" {
		// A client that comes back must not throw out the one that took over.
		return nil, fault(signal.CodeLoggedInElsewhere, "the user has logged in elsewhere")
	}
	if r := s.rooms[p.RoomID]; r != nil && !claims.Hidden && r.max > 0 {
		others := r.visible
		if earlier != nil && earlier.room == r && !earlier.hidden {
			others--
		}
		if others >= r.max && others > 0 {
			return nil, fault(signal.CodeRoomFull, "the room has its %d users", r.max)
		}
	}
	if s.rooms[p.RoomID] == nil && len(s.rooms) >= s.cfg.MaxRooms {
		return nil, fault(signal.CodeRoomFull, "the service has its %d rooms", s.cfg.MaxRooms)
	}
	if earlier != nil {
		s.kick(earlier, signal.DeletedRepeatedLogin, signal.CodeKickedSameUser)
	}
	r := s.rooms[p.RoomID]
	if r == nil {
		r = newRoom(p.RoomID)
		s.rooms[p.RoomID] = r
	}
	l := &login{
		session: rand.Text(), user: p.User, room: r, claims: claims, hidden: claims.Hidden, since: time.Now(),
		wantsUsers: p.Config.UserUpdate || p.Config.IsUserStatusNotify,
		streams:    map[string]*stream{}, plays: map[string]*stream{},
	}
	s.users[key], s.sessions[l.session] = l, l
	r.add(l, p.Config.MaxMemberCount)
	s.watch(UserJoined, l, nil)
	s.log.Info("login", "room", r.id, "user", l.user.UserID, "hidden", l.hidden)
	return l, nil
}

// welcome answers a login and tells it how the room stands.
func (s *Service) welcome(l *login, q *request, resumed bool) {
	r := l.room
	streams := r.streamList(func(st *stream) bool { return st.owner != l })
	q.reply(signal.LoginResult{
		RoomID: r.id, SessionID: l.session, Resumed: resumed,
		Users: r.userList(l), Streams: streams,
	})
	l.notify(signal.RoomStateUpdate, signal.RoomStateParams{RoomID: r.id, State: signal.Connected})
	l.notify(signal.RoomExtraInfoUpdate, r.extraInfo(r.allInfo()...))
	l.count = r.visible
	l.notify(signal.RoomOnlineUserCountUpdate, signal.UserCountParams{RoomID: r.id, Count: l.count})
	if resumed {
		s.catchUp(l)
	} else if len(streams) > 0 {
		l.notify(signal.RoomStreamUpdate, signal.StreamUpdateParams{RoomID: r.id, UpdateType: signal.Add, StreamList: streams})
	}
}

// kick ends a login against its will: its connection learns why, and its
// session does not come back.
func (s *Service) kick(l *login, reason, code int) {
	l.notify(signal.RoomStateUpdate, signal.RoomStateParams{
		RoomID: l.room.id, State: signal.Disconnected, ErrorCode: code, ExtendedData: sentence(code)})
	past := code
	if code == signal.CodeKickedSameUser {
		past = signal.CodeLoggedInElsewhere
	}
	s.past[l.session] = ending{code: past, at: time.Now()}
	s.log.Info("kicked", "room", l.room.id, "user", l.user.UserID, "code", code)
	s.end(l, reason)
}

// end takes a login out of its room, its streams with the given reason.
func (s *Service) end(l *login, reason int) {
	if l.ended {
		return
	}
	l.ended = true
	delete(s.users, userKey(l.user.UserID, l.room.id, l.hidden))
	delete(s.sessions, l.session)
	if l.conn != nil {
		l.conn.login, l.conn.idle = nil, time.Now()
		l.conn = nil
	}
	var list []*stream
	for _, st := range l.room.streams {
		if st.owner == l {
			list = append(list, st)
		}
	}
	s.deleteStreams(l.room, reason, list...)
	for _, st := range l.plays {
		delete(st.players, l)
	}
	if p := l.playback; p != nil {
		s.graves.add(p.close)
	}
	s.retired = slices.DeleteFunc(s.retired, func(r retirement) bool { // what it played before it resumed
		if r.playback.l != l {
			return false
		}
		s.graves.add(r.playback.close)
		return true
	})
	l.room.remove(l)
	s.watch(UserLeft, l, nil)
	if len(l.room.logins) == 0 {
		delete(s.rooms, l.room.id)
	}
}

func sentence(code int) string {
	switch code {
	case signal.CodeKickedSameUser, signal.CodeLoggedInElsewhere:
		return "the user has logged in elsewhere"
	case signal.CodeKickedByServer:
		return "the user was removed from the room"
	}
	return ""
}

// current is the login of the connection, which must be in roomID unless that
// is empty.
func (c *connection) current(roomID string) (l *login, err error) {
	c.s.locked(func() { l, err = c.currentLocked(roomID) })
	return l, err
}

func (c *connection) currentLocked(roomID string) (*login, error) {
	switch l := c.login; {
	case l == nil:
		return nil, fault(signal.CodeNotLoggedIn, "log in to a room first")
	case roomID != "" && roomID != l.room.id:
		return nil, fault(signal.CodeRoomGone, "you are not logged in to this room")
	default:
		return l, nil
	}
}

// withLogin runs f under the lock with the connection's login.
func (c *connection) withLogin(roomID string, f func(*login) error) (err error) {
	c.s.update(func() {
		var l *login
		if l, err = c.currentLocked(roomID); err == nil {
			err = f(l)
		}
	})
	return err
}

func (c *connection) logoutRoom(q *request) error {
	p, err := decode[signal.RoomParams](q)
	if err != nil {
		return err
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		q.reply(empty{})
		l.notify(signal.RoomStateUpdate, signal.RoomStateParams{RoomID: l.room.id, State: signal.Disconnected})
		c.s.log.Info("logout", "room", l.room.id, "user", l.user.UserID)
		c.s.end(l, signal.DeletedByUser)
		return nil
	})
}

func (c *connection) renewToken(ctx context.Context, q *request) error {
	p, err := decode[signal.RenewTokenParams](q)
	if err != nil {
		return err
	}
	l, err := c.current(p.RoomID)
	if err != nil {
		return err
	}
	claims, f := c.s.admit(ctx, p.Token, l.room.id, l.user.UserID)
	if f != nil {
		return f
	}
	if claims.Hidden != l.hidden {
		return fault(signal.CodeTokenAuthFailed, "the token has other privileges than the login's")
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		l.claims, l.warned = claims, false
		q.reply(empty{})
		return nil
	})
}
