package rooms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
)

// What KickUser and RemoveStream wrap when there is nothing to do it to.
var (
	ErrNoRoom   = errors.New("no such room")
	ErrNoUser   = errors.New("no such user in the room")
	ErrNoStream = errors.New("no such stream in the room")
)

// Room is how a room stands: open, that is with a visible user in it.
type Room struct {
	ID        string    `json:"roomID"`
	Created   time.Time `json:"createdAt"`
	Online    int       `json:"onlineUsers"`
	Recording Indicator `json:"recording"`
	Users     []User    `json:"users"`
	Streams   []Stream  `json:"streams"`
}

// User is a visible user of a room. Connected is false while the user dropped
// and may still come back.
type User struct {
	ID        string    `json:"userID"`
	Name      string    `json:"userName"`
	Since     time.Time `json:"loggedInAt"`
	Connected bool      `json:"connected"`
}

// Stream is a stream of a room. Live is false while its media is lost or not
// there yet; Level is in dBov, -127 to 0.
type Stream struct {
	ID        string    `json:"streamID"`
	UserID    string    `json:"userID"`
	UserName  string    `json:"userName"`
	ExtraInfo string    `json:"extraInfo"`
	Since     time.Time `json:"publishedAt"`
	Live      bool      `json:"live"`
	Level     int       `json:"level"`

	up *sfu.Upstream
}

// Rooms lists the open rooms by ID.
func (s *Service) Rooms() []Room {
	list := []Room{}
	s.locked(func() {
		for _, r := range s.rooms {
			if r.visible > 0 {
				list = append(list, r.describe())
			}
		}
	})
	slices.SortFunc(list, func(a, b Room) int { return strings.Compare(a.ID, b.ID) })
	for _, r := range list {
		measure(r.Streams)
	}
	return list
}

// Room is one open room.
func (s *Service) Room(id string) (Room, bool) {
	var room Room
	ok := false
	s.locked(func() {
		if r := s.rooms[id]; r != nil && r.visible > 0 {
			room, ok = r.describe(), true
		}
	})
	measure(room.Streams)
	return room, ok
}

func (r *room) describe() Room {
	d := Room{ID: r.id, Created: r.created.UTC(), Online: r.visible, Recording: r.indicator, Users: []User{}, Streams: []Stream{}}
	for _, l := range r.logins {
		if !l.hidden {
			d.Users = append(d.Users, User{ID: l.user.UserID, Name: l.user.UserName, Since: l.since.UTC(), Connected: !l.dropped})
		}
	}
	for _, st := range r.streams {
		stream := Stream{
			ID: st.id, UserID: st.owner.user.UserID, UserName: st.owner.user.UserName, ExtraInfo: st.extraInfo,
			Since: st.since.UTC(), Live: st.feed.connected && !st.feed.dead,
		}
		if stream.Live {
			stream.up = st.feed.up
		}
		d.Streams = append(d.Streams, stream)
	}
	return d
}

// measure fills in the levels, outside the lock.
func measure(streams []Stream) {
	for i := range streams {
		streams[i].Level = level(streams[i].up)
		streams[i].up = nil
	}
}

// KickUser removes a user, hidden or not, and what they publish from a room.
// Their connection is told code 1002055; a valid token lets them log in again.
func (s *Service) KickUser(roomID, userID string) (err error) {
	s.update(func() {
		r := s.rooms[roomID]
		if r == nil {
			err = fmt.Errorf("kick user %s: %w: %s", userID, ErrNoRoom, roomID)
			return
		}
		found := false
		for _, w := range s.wheps {
			if w.roomID == roomID && w.userID == userID {
				s.closeWHEP(w)
				found = true
			}
		}
		for _, hidden := range []bool{false, true} {
			if l := s.users[userKey(userID, roomID, hidden)]; l != nil && l.room == r {
				s.kick(l, signal.DeletedKicked, signal.CodeKickedByServer)
				found = true
			}
		}
		if !found {
			err = fmt.Errorf("kick user %s: %w %s", userID, ErrNoUser, roomID)
		}
	})
	return err
}

// RemoveStream ends a stream; its publisher stays in the room.
func (s *Service) RemoveStream(roomID, streamID string) (err error) {
	s.update(func() {
		r := s.rooms[roomID]
		if r == nil {
			err = fmt.Errorf("remove stream %s: %w: %s", streamID, ErrNoRoom, roomID)
			return
		}
		st := s.streams[streamID]
		if st == nil || st.room() != r {
			err = fmt.Errorf("remove stream %s: %w %s", streamID, ErrNoStream, roomID)
			return
		}
		s.deleteStreams(r, signal.DeletedByServer, st)
		st.tellOwner(signal.NoPublish, signal.CodePublishForbidden, "the stream was removed by the server")
		s.leaveIfIdle(st.owner)
	})
	return err
}
