package rooms_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/rooms/signal"
)

func TestBroadcast(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b, e := w.login("r", "a"), w.login("r", "b"), w.login("q", "e")
		got := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.IMRecvBroadcastMessage, func(p signal.BroadcastListParams) string {
				if p.List[0].SendTime != time.Now().UnixMilli() || p.List[0].MessageID == 0 {
					t.Errorf("message %+v", p.List[0])
				}
				return p.RoomID + " " + p.List[0].FromUser.UserID + " " + p.List[0].Message
			}, want...)
		}
		say := func(text string) signal.BroadcastParams { return signal.BroadcastParams{Message: text} }
		a.do(signal.SendBroadcastMessage, say("hello"), nil)
		got(b, "r a hello")
		got(a)
		got(e)
		a.fails(signal.CodeMessageEmpty, signal.SendBroadcastMessage, say(""))
		a.fails(signal.CodeMessageTooLong, signal.SendBroadcastMessage, say(strings.Repeat("é", 513)))
		a.fails(signal.CodeRoomGone, signal.SendBroadcastMessage, signal.BroadcastParams{RoomID: "q", Message: "x"})
		for range 8 {
			a.do(signal.SendBroadcastMessage, say(strings.Repeat("é", 512)), nil)
		}
		b.do(signal.SendBroadcastMessage, say("tenth"), nil)
		b.fails(signal.CodeMessageRateLimited, signal.SendBroadcastMessage, say("eleventh"))
		e.do(signal.SendBroadcastMessage, say("another room"), nil)
		time.Sleep(time.Second)
		b.do(signal.SendBroadcastMessage, say("later"), nil)
		for _, x := range []*client{a, b, e} {
			x.leave()
		}
	})
}

func TestBarrage(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b, e := w.login("r", "a"), w.login("r", "b"), w.login("q", "e")
		got := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.IMRecvBarrageMessage, func(p signal.BarrageListParams) string {
				if p.List[0].SendTime != time.Now().UnixMilli() || p.List[0].MessageID == "" {
					t.Errorf("message %+v", p.List[0])
				}
				return p.RoomID + " " + p.List[0].FromUser.UserID + " " + p.List[0].Message
			}, want...)
		}
		say := func(text string) signal.BroadcastParams { return signal.BroadcastParams{Message: text} }
		a.do(signal.SendBarrageMessage, say("wow"), nil)
		got(b, "r a wow")
		got(a)
		got(e)
		a.fails(signal.CodeMessageEmpty, signal.SendBarrageMessage, say(""))
		a.fails(signal.CodeMessageTooLong, signal.SendBarrageMessage, say(strings.Repeat("x", 1025)))
		for range 19 {
			a.do(signal.SendBarrageMessage, say("wow"), nil)
		}
		a.fails(signal.CodeMessageRateLimited, signal.SendBarrageMessage, say("wow"))
		a.do(signal.SendBroadcastMessage, say("counted apart"), nil)
		for _, x := range []*client{a, b, e} {
			x.leave()
		}
	})
}

func TestCustomCommand(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b, c, e := w.login("r", "a"), w.login("r", "b"), w.login("r", "c"), w.login("q", "e")
		got := func(x *client, want ...string) {
			t.Helper()
			expect(x, signal.IMRecvCustomCommand, func(p signal.CommandNotice) string {
				return p.RoomID + " " + p.FromUser.UserID + " " + p.Command
			}, want...)
		}
		to := func(text string, users ...string) signal.CommandParams {
			return signal.CommandParams{RoomID: "r", Command: text, ToUserIDList: users}
		}
		a.do(signal.SendCustomCommand, to("all"), nil)
		a.do(signal.SendCustomCommand, to("bob", "b"), nil)
		a.do(signal.SendCustomCommand, to("some", "c", "nobody", "e"), nil)
		got(a)
		got(b, "r a all", "r a bob")
		got(c, "r a all", "r a some")
		got(e)
		a.fails(signal.CodeMessageEmpty, signal.SendCustomCommand, to(""))
		a.fails(signal.CodeMessageTooLong, signal.SendCustomCommand, to(strings.Repeat("x", 1025), "b"))
		a.fails(signal.CodeInvalidParams, signal.SendCustomCommand, to("x", slices.Repeat([]string{"b"}, 501)...))
		for range 8 {
			a.do(signal.SendCustomCommand, to("all"), nil)
		}
		a.fails(signal.CodeMessageRateLimited, signal.SendCustomCommand, to("all"))
		a.do(signal.SendCustomCommand, to("bob", "b"), nil) // counted apart
		for _, x := range []*client{a, b, c, e} {
			x.leave()
		}
	})
}

func TestNoteOfRoom(t *testing.T) {
	virtual(t, nil, func(w *world) {
		told := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.RoomExtraInfoUpdate, func(p signal.RoomExtraInfoParams) string {
				var all []string
				for _, x := range p.RoomExtraInfoList {
					by := ""
					if x.UpdateUser != nil {
						by = fmt.Sprint(" by ", x.UpdateUser.UserID, " ", time.Now().UnixMilli()-x.UpdateTime, " ms ago")
					}
					all = append(all, x.Key+"="+string(x.Value)+by)
				}
				return strings.Join(all, ", ")
			}, want...)
		}
		note := func(key, value string) signal.SetRoomExtraInfoParams {
			text, err := json.Marshal(value)
			check(t, err)
			return signal.SetRoomExtraInfoParams{RoomID: "r", Key: key, Value: text}
		}
		a, b := w.login("r", "a"), w.login("r", "b")
		a.forget()
		b.forget()
		a.do(signal.SetRoomExtraInfo, note("topic", "budget"), nil)
		told(a)
		told(b, `topic="budget" by a 0 ms ago`)
		time.Sleep(time.Second)
		c := w.login("r", "c")
		told(c, `recording=false, topic="budget" by a 1000 ms ago`)
		b.fails(signal.CodeExtraKeyTaken, signal.SetRoomExtraInfo, note("mood", "good"))
		b.fails(signal.CodeExtraKeyTooLong, signal.SetRoomExtraInfo, note("longer-than", "x"))
		b.fails(signal.CodeExtraValueTooLong, signal.SetRoomExtraInfo, note("topic", strings.Repeat("x", 129)))
		b.fails(signal.CodeInvalidParams, signal.SetRoomExtraInfo, note("", "x"))
		b.do(signal.SetRoomExtraInfo, note("topic", ""), nil)
		told(a, `topic="" by b 0 ms ago`)
		b.do(signal.SetRoomExtraInfo, note("mood", "good"), nil)
		told(a, `mood="good" by b 0 ms ago`)
		for range 8 {
			b.do(signal.SetRoomExtraInfo, note("mood", "better"), nil)
		}
		b.fails(signal.CodeMessageRateLimited, signal.SetRoomExtraInfo, note("mood", "best"))
		for _, x := range []*client{a, b, c} {
			x.leave()
		}
		d := w.login("r", "d")
		told(d, "recording=false") // the room closed meanwhile
		d.leave()
	})
}
