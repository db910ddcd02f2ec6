package rooms

import (
	"context"
	"time"

	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// resume gives a session that dropped (or is about to: the server may not have
// noticed) to this connection. It reports false if there is no such session,
// which then becomes an ordinary login.
func (c *connection) resume(ctx context.Context, q *request, p signal.LoginParams) (resumed bool, err error) {
	s := c.s
	var l *login
	s.locked(func() {
		if l = s.sessions[p.SessionID]; l != nil && l.whip {
			l = nil
		}
		if past, ok := s.past[p.SessionID]; ok && l == nil {
			err = fault(past.code, "the session was ended: %s", sentence(past.code))
		}
	})
	if l == nil || err != nil {
		return false, err
	}
	if (p.RoomID != "" && p.RoomID != l.room.id) || (p.User.UserID != "" && p.User.UserID != l.user.UserID) {
		return false, fault(signal.CodeTokenAuthFailed, "the session belongs to another room or user")
	}
	var renewed *token.Claims
	if p.Token != "" {
		claims, f := s.admit(ctx, p.Token, l.room.id, l.user.UserID)
		switch {
		case f == nil && claims.Hidden == l.hidden:
			renewed = &claims
		case f == nil:
			return false, fault(signal.CodeTokenAuthFailed, "the token has other privileges than the session's")
		case f.Code != signal.CodeTokenExpired: // an expired token stops nothing that runs
			return false, f
		}
	}
	s.update(func() {
		if l.ended {
			return
		}
		resumed = true
		if renewed != nil {
			l.claims, l.warned = *renewed, false
		}
		s.attach(l, c)
		s.welcome(l, q, true)
	})
	return resumed, nil
}

// attach moves a login to a new connection. Its media connections are made
// anew: what it publishes goes on with the old ones until then, what it played
// a moment longer.
func (s *Service) attach(l *login, c *connection) {
	if old := l.conn; old != nil {
		s.drop(l, signal.DeletedConnection)
		old.login, old.idle = nil, time.Now()
		old.out.end(1000, "the session went on with another connection")
	}
	l.conn, c.login = c, l
	l.dropped, l.deadline = false, time.Time{}
	for _, st := range l.streams {
		st.renewable = true
		if st.feed.dead && st.next == nil {
			st.deadline = time.Now().Add(s.cfg.ResumeWindow)
		}
	}
	for _, st := range l.plays {
		delete(st.players, l)
	}
	clear(l.plays)
	if l.playback != nil {
		s.retired = append(s.retired, retirement{l.playback, time.Now().Add(playerOverlap)})
		l.playback = nil
	}
	s.log.Info("session resumed", "room", l.room.id, "user", l.user.UserID)
}

// drop notes that a login lost its connection. Nobody hears of it unless it
// stays away.
func (s *Service) drop(l *login, reason int) {
	l.conn = nil
	l.dropped, l.dropReason = true, reason
	l.deadline = time.Now().Add(s.cfg.ResumeWindow)
	l.known = map[*stream]signal.Stream{}
	for _, st := range l.room.streams {
		if st.owner != l {
			l.known[st] = st.describe()
		}
	}
	l.knownUsers = map[string]signal.User{}
	for _, u := range l.room.userList(l) {
		l.knownUsers[u.UserID] = u
	}
}

// catchUp tells a resumed login what it missed.
func (s *Service) catchUp(l *login) {
	r := l.room
	var gone []signal.Stream
	var reasons []int
	for st, last := range l.known {
		if st.ended {
			gone, reasons = append(gone, last), append(reasons, st.reason)
		}
	}
	if len(gone) > 0 {
		l.notify(signal.RoomStreamUpdate, signal.StreamUpdateParams{
			RoomID: r.id, UpdateType: signal.Delete, StreamList: gone, ExtendedData: deleteReasons(reasons...)})
	}
	added := r.streamList(func(st *stream) bool { _, known := l.known[st]; return st.owner != l && !known })
	if len(added) > 0 {
		l.notify(signal.RoomStreamUpdate, signal.StreamUpdateParams{RoomID: r.id, UpdateType: signal.Add, StreamList: added})
	}
	if l.wantsUsers {
		var joined []signal.User
		for _, u := range r.userList(l) {
			if _, known := l.knownUsers[u.UserID]; !known {
				joined = append(joined, u)
			}
			delete(l.knownUsers, u.UserID)
		}
		left := make([]signal.User, 0, len(l.knownUsers))
		for _, u := range l.knownUsers {
			left = append(left, u)
		}
		l.tellUsers(signal.Delete, left)
		l.tellUsers(signal.Add, joined)
	}
	l.known, l.knownUsers = nil, nil
}

func (l *login) tellUsers(t signal.UpdateType, users []signal.User) {
	if l.wantsUsers && len(users) > 0 {
		l.notify(signal.RoomUserUpdate, signal.UserUpdateParams{RoomID: l.room.id, UpdateType: t, UserList: users})
	}
}
