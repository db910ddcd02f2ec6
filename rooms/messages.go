package rooms

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"mixdown/rooms/signal"
)

// How often messages may be sent in a room, a second.
const (
	broadcastsPerSecond = 10
	barragesPerSecond   = 20
	commandsPerSecond   = 200 // to one user
	callsPerSecond      = 10  // commands to several users or to everybody
	notesPerSecond      = 10
)

const (
	recordingKey  = "recording"
	maxNoteKey    = 10  // bytes
	maxNoteValue  = 128 // bytes
	maxRecipients = 500 // of a command
)

// messageLimits keep the members of a room from flooding one another.
type messageLimits struct{ broadcasts, barrages, commands, calls, notes *rate.Limiter }

func newMessageLimits() messageLimits {
	perSecond := func(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n), n) }
	return messageLimits{
		broadcasts: perSecond(broadcastsPerSecond), barrages: perSecond(barragesPerSecond), notes: perSecond(notesPerSecond),
		commands: perSecond(commandsPerSecond), calls: perSecond(callsPerSecond),
	}
}

// checkMessage refuses texts out of rule and those that are one too many.
func checkMessage(name, text string, limit *rate.Limiter) error {
	switch {
	case text == "":
		return fault(signal.CodeMessageEmpty, "%s is empty", name)
	case len(text) > maxMessage:
		return fault(signal.CodeMessageTooLong, "%s is longer than %d bytes", name, maxMessage)
	case !limit.Allow():
		return fault(signal.CodeMessageRateLimited, "more than %d of these a second in this room", limit.Burst())
	}
	return nil
}

func (c *connection) sendBroadcastMessage(q *request) error {
	return c.sendText(q, func(m messageLimits) *rate.Limiter { return m.broadcasts }, func(l *login, text string, at, id int64) {
		l.room.tell(l, signal.IMRecvBroadcastMessage, signal.BroadcastListParams{RoomID: l.room.id, List: []signal.BroadcastMessage{{
			FromUser: l.user, Message: text, SendTime: at, MessageID: id,
		}}})
	})
}

func (c *connection) sendBarrageMessage(q *request) error {
	return c.sendText(q, func(m messageLimits) *rate.Limiter { return m.barrages }, func(l *login, text string, at, id int64) {
		l.room.tell(l, signal.IMRecvBarrageMessage, signal.BarrageListParams{RoomID: l.room.id, List: []signal.BarrageMessage{{
			FromUser: l.user, Message: text, SendTime: at, MessageID: strconv.FormatInt(id, 10),
		}}})
	})
}

// sendText tells everybody else in the room a text, at a time in Unix
// milliseconds and with a number of its own.
func (c *connection) sendText(q *request, limit func(messageLimits) *rate.Limiter, tell func(l *login, text string, at, id int64)) error {
	p, err := decode[signal.BroadcastParams](q)
	if err != nil {
		return err
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		if err := checkMessage("message", p.Message, limit(l.room.limits)); err != nil {
			return err
		}
		q.reply(empty{})
		c.s.messageID++
		tell(l, p.Message, time.Now().UnixMilli(), c.s.messageID)
		return nil
	})
}

// sendCustomCommand tells some users of the room, or everybody else in it. Who
// is named but not there gets nothing, and nobody is told of that.
func (c *connection) sendCustomCommand(q *request) error {
	p, err := decode[signal.CommandParams](q)
	if err != nil {
		return err
	}
	if len(p.ToUserIDList) > maxRecipients {
		return fault(signal.CodeInvalidParams, "toUserIDList names more than %d users", maxRecipients)
	}
	to := map[string]bool{}
	for _, id := range p.ToUserIDList {
		to[id] = true
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		limit := l.room.limits.calls
		if len(to) == 1 {
			limit = l.room.limits.commands
		}
		if err := checkMessage("command", p.Command, limit); err != nil {
			return err
		}
		q.reply(empty{})
		message := notification(signal.IMRecvCustomCommand, signal.CommandNotice{RoomID: l.room.id, FromUser: l.user, Command: p.Command})
		for _, other := range l.room.logins {
			if other != l && (len(to) == 0 || to[other.user.UserID]) {
				other.send(message)
			}
		}
		return nil
	})
}

// setRoomExtraInfo takes a recorder's word on the recording, or a user's note
// on the room. A room has one note; an empty one is taken away.
func (c *connection) setRoomExtraInfo(q *request) error {
	p, err := decode[signal.SetRoomExtraInfoParams](q)
	if err != nil {
		return err
	}
	return c.withLogin(p.RoomID, func(l *login) error {
		if p.Key != recordingKey {
			return l.setNote(q, p)
		}
		value, ok := parseIndicator(p.Value)
		switch {
		case !ok:
			return fault(signal.CodeInvalidParams, `value must be true, false or "paused"`)
		case !l.hidden:
			return fault(signal.CodeForbidden, "only a recorder may say that the room is recorded")
		}
		l.indicator = value
		q.reply(empty{})
		l.room.updateIndicator()
		return nil
	})
}

func (l *login) setNote(q *request, p signal.SetRoomExtraInfoParams) error {
	var value string
	r := l.room
	switch {
	case p.Key == "" || json.Unmarshal(p.Value, &value) != nil:
		return fault(signal.CodeInvalidParams, "key and value must be strings, and key not empty")
	case len(p.Key) > maxNoteKey:
		return fault(signal.CodeExtraKeyTooLong, "key is longer than %d bytes", maxNoteKey)
	case len(value) > maxNoteValue:
		return fault(signal.CodeExtraValueTooLong, "value is longer than %d bytes", maxNoteValue)
	case r.note != nil && r.note.Key != p.Key:
		return fault(signal.CodeExtraKeyTaken, "the room has a key, %q, and can have only one; set it to an empty text first", r.note.Key)
	case !r.limits.notes.Allow():
		return fault(signal.CodeMessageRateLimited, "more than %d of these a second in this room", notesPerSecond)
	}
	by := l.user
	note := signal.ExtraInfo{Key: p.Key, Value: encodeParams(value), UpdateUser: &by, UpdateTime: time.Now().UnixMilli()}
	r.note = &note
	if value == "" {
		r.note = nil
	}
	q.reply(empty{})
	r.tell(l, signal.RoomExtraInfoUpdate, r.extraInfo(note))
	return nil
}

func (r *room) extraInfo(list ...signal.ExtraInfo) signal.RoomExtraInfoParams {
	return signal.RoomExtraInfoParams{RoomID: r.id, RoomExtraInfoList: list}
}

func (r *room) recordingInfo() signal.ExtraInfo {
	value, _ := r.indicator.MarshalJSON() // never fails
	return signal.ExtraInfo{Key: recordingKey, Value: value}
}

// allInfo is what a login is told: the recording indicator first.
func (r *room) allInfo() []signal.ExtraInfo {
	list := []signal.ExtraInfo{r.recordingInfo()}
	if r.note != nil {
		list = append(list, *r.note)
	}
	return list
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
