package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"mixdown/rooms/signal"
)

const (
	broadcastsPerSecond = 10 // in a room
	recordingKey        = "recording"
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

	indicator  Indicator
	broadcasts *rate.Limiter
}

func newRoom(id string) *room {
	return &room{id: id, broadcasts: rate.NewLimiter(broadcastsPerSecond, broadcastsPerSecond)}
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
	r.visible--
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

func (r *room) extraInfo() signal.RoomExtraInfoParams {
	value, _ := r.indicator.MarshalJSON()
	return signal.RoomExtraInfoParams{
		RoomID:            r.id,
		RoomExtraInfoList: []signal.ExtraInfo{{Key: recordingKey, Value: value}},
	}
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
		r.tell(nil, signal.RoomExtraInfoUpdate, r.extraInfo())
	}
}

func parseIndicator(value json.RawMessage) (Indicator, bool) {
	switch string(bytes.TrimSpace(value)) {
	case "true":
		return Recording, true
	case "false":
		return NotRecording, true
	case `"paused"`:
		return Paused, true
	}
	return NotRecording, false
}

func (c *connection) setRoomExtraInfo(q *request) error {
	p, err := decode[signal.SetRoomExtraInfoParams](q)
	if err != nil {
		return err
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		switch value, ok := parseIndicator(p.Value); {
		case p.Key != recordingKey:
			return fault(signal.CodeInvalidParams, "key must be %q", recordingKey)
		case !ok:
			return fault(signal.CodeInvalidParams, `value must be true, false or "paused"`)
		case !l.hidden:
			return fault(signal.CodeForbidden, "only a recorder may say that the room is recorded")
		default:
			l.indicator = value
		}
		q.reply(empty{})
		l.room.updateIndicator()
		return nil
	})
}

func (c *connection) sendBroadcastMessage(q *request) error {
	p, err := decode[signal.BroadcastParams](q)
	if err != nil {
		return err
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		switch {
		case p.Message == "":
			return fault(signal.CodeMessageEmpty, "message is empty")
		case len(p.Message) > maxMessage:
			return fault(signal.CodeMessageTooLong, "message is longer than %d bytes", maxMessage)
		case !l.room.broadcasts.Allow():
			return fault(signal.CodeMessageRateLimited, "more than %d messages a second in this room", broadcastsPerSecond)
		}
		q.reply(empty{})
		c.s.messageID++
		l.room.tell(l, signal.IMRecvBroadcastMessage, signal.BroadcastListParams{RoomID: l.room.id, List: []signal.BroadcastMessage{{
			FromUser: l.user, Message: p.Message, SendTime: time.Now().UnixMilli(), MessageID: c.s.messageID,
		}}})
		return nil
	})
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
