package rooms

import "time"

// Activity is what somebody does in a room, told to who only watches: rules
// that start captures, and the list of sessions. Hidden logins are not told of.
type Activity struct {
	Kind      ActivityKind
	At        time.Time
	RoomID    string
	UserID    string
	StreamID  string // of StreamAdded and StreamRemoved
	ExtraInfo string // of StreamAdded
}

// ActivityKind says what was done.
type ActivityKind string

// The kinds of an [Activity].
const (
	UserJoined    ActivityKind = "user.joined"
	UserLeft      ActivityKind = "user.left"
	StreamAdded   ActivityKind = "stream.added"
	StreamRemoved ActivityKind = "stream.removed"
)

// watch tells the watcher. It is called under the lock, so that the watcher
// hears things in their order; the watcher does not block.
func (s *Service) watch(kind ActivityKind, l *login, st *stream) {
	if s.cfg.Watch == nil || l.hidden {
		return
	}
	a := Activity{Kind: kind, At: time.Now(), RoomID: l.room.id, UserID: l.user.UserID}
	if st != nil {
		a.StreamID, a.ExtraInfo = st.id, st.extraInfo
	}
	s.cfg.Watch(a)
}
