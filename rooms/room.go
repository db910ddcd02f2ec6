package rooms

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mixdown/rooms/signal"
)

// Indicator is a room's recording indicator.
type Indicator string

// The indicator's values. On the wire they are false, true and "paused".
const (
	NotRecording Indicator = ""
	Recording    Indicator = "recording"
	Paused       Indicator = "paused"
)

// MarshalJSON writes false, true or "paused".
func (i Indicator) MarshalJSON() ([]byte, error) {
	switch i {
	case Recording:
		return []byte("true"), nil
	case Paused:
		return []byte(`"paused"`), nil
	}
	return []byte("false"), nil
}

// room is everybody who is logged in to one room. It is open, that is, exists
// for the outside, while somebody visible is in it; hidden logins may wait in
// it before that and linger after. Guarded by Service.mu.
type room struct {
	id      string
	created time.Time // of the present opening
	logins  []*login  // in the order of their logins
	visible int
	max     int       // visible users; the first login of an opening says it; 0 is no limit
	streams []*stream // in the order of their publication

	indicator Indicator
	note      *signal.ExtraInfo // what users attached to it, nil if nothing
	limits    messageLimits
}

func newRoom(id string) *room {
	return &room{id: id, limits: newMessageLimits()}
}

func (r *room) add(l *login, max int) {
	r.logins = append(r.logins, l)
	if l.hidden {
		return
	}
	if r.visible == 0 {
		r.created, r.max = l.since, max
	}
	r.visible++
}

// announce tells the others of a new login, once.
func (r *room) announce(l *login) {
	if !l.hidden && !l.announced {
		l.announced = true
		r.tellOthersOfUser(l, signal.Add)
	}
}

// remove takes a login, whose streams are gone already, out of the room.
func (r *room) remove(l *login) {
	i := slices.Index(r.logins, l)
	if i < 0 {
		return
	}
	r.logins = slices.Delete(r.logins, i, i+1)
	if l.hidden {
		r.updateIndicator()
		return
	}
	if r.visible--; r.visible == 0 {
		r.note = nil
	}
	if l.announced {
		r.tellOthersOfUser(l, signal.Delete)
	}
}

func (r *room) tellOthersOfUser(l *login, t signal.UpdateType) {
	var message []byte
	for _, other := range r.logins {
		if other == l || !other.wantsUsers || other.conn == nil {
			continue
		}
		if message == nil {
			message = notification(signal.RoomUserUpdate, signal.UserUpdateParams{RoomID: r.id, UpdateType: t, UserList: []signal.User{l.user}})
		}
		other.send(message)
	}
}

// tell sends a notification to everybody but one login (which may be nil).
func (r *room) tell(except *login, method string, params any) {
	message := notification(method, params)
	for _, l := range r.logins {
		if l != except {
			l.send(message)
		}
	}
}

// userList is who else is in the room, for the login l.
func (r *room) userList(l *login) []signal.User {
	list := []signal.User{}
	for _, other := range r.logins {
		if other != l && !other.hidden {
			list = append(list, other.user)
		}
	}
	return list
}

func (r *room) streamList(want func(*stream) bool) []signal.Stream {
	list := []signal.Stream{}
	for _, st := range r.streams {
		if want(st) {
			list = append(list, st.describe())
		}
	}
	return list
}

// updateIndicator works out the room's recording indicator from what its hidden
// logins said: recording as long as one of them records.
func (r *room) updateIndicator() {
	now := NotRecording
	for _, l := range r.logins {
		if l.indicator == Recording || l.indicator == Paused && now == NotRecording {
			now = l.indicator
		}
	}
	if now != r.indicator {
		r.indicator = now
		r.tell(nil, signal.RoomExtraInfoUpdate, r.extraInfo(r.recordingInfo()))
	}
}

// deleteReasons is the extendedData of a roomStreamUpdate DELETE, one reason
// for each stream of its list.
func deleteReasons(reasons ...int) string {
	var b strings.Builder
	b.WriteString(`{"stream_delete_reason":[`)
	for i, reason := range reasons {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"code":` + strconv.Itoa(reason) + `}`)
	}
	b.WriteString("]}")
	return b.String()
}
