package rooms_test

import (
	"errors"
	"testing"
	"time"

	"mixdown/rooms"
	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// TestHiddenLogin: a recorder is not there, but what it publishes is.
func TestHiddenLogin(t *testing.T) {
	virtual(t, nil, func(w *world) {
		h := w.login("r", "h", hidden) // waits alone
		if got := w.service.Rooms(); len(got) != 0 {
			t.Errorf("a room with nobody visible is listed: %+v", got)
		}
		time.Sleep(time.Minute)
		a := w.dial()
		r := a.enter("r", "a", w.token("a"), signal.RoomConfig{UserUpdate: true})
		if len(r.Users) != 0 {
			t.Errorf("users: %+v", r.Users)
		}
		h.userNews("r ADD a")
		room, ok := w.service.Room("r")
		if !ok || room.Online != 1 || len(room.Users) != 1 || !room.Created.Equal(time.Now()) {
			t.Errorf("room: %+v", room)
		}
		a.publish("s")
		h.publish("mix")
		h.streams("r ADD s/a")
		a.streams("r ADD mix/h")
		h2 := w.login("r", "h2", hidden)
		a.userNews()
		a.do(signal.SendBroadcastMessage, signal.BroadcastParams{Message: "hi"}, nil)
		if len(h.news(signal.IMRecvBroadcastMessage)) != 1 {
			t.Error("a hidden login did not get a message")
		}
		h2.leave()
		a.userNews()
		// A hidden user is one login all the same.
		h3 := w.login("r", "h", hidden)
		h.states("r CONNECTED 0", "r DISCONNECTED 1002050")
		a.streams("r DELETE mix/h [{3}]")
		a.userNews()
		h.cut()

		a.leave()
		h3.userNews("r DELETE a")
		h3.streams("r ADD s/a", "r DELETE s/a [{1}]")
		if _, ok := w.service.Room("r"); ok || len(w.service.Rooms()) != 0 {
			t.Error("the room is still open")
		}
		if _, over := h3.over(); over {
			t.Error("the hidden login was closed with the room")
		}
		time.Sleep(time.Minute)
		b := w.login("r", "b")
		if room, _ := w.service.Room("r"); !room.Created.Equal(time.Now()) {
			t.Errorf("the room opened again was created at %v", room.Created)
		}
		h3.userNews("r ADD b")
		b.leave()
		h3.leave()
	})
}

// TestHiddenBacklog: a recorder hears a young stream from its first packet.
func TestHiddenBacklog(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		p := a.speak("s")
		p.talk(20, "early", 20)
		ears := map[string]*ear{}
		for name, option := range map[string]func(*token.Claims){"h": hidden, "l": listener} {
			c := w.login("r", name, option)
			c.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
			ears[name] = c.ear()
			ears[name].answerOffer()
		}
		p.talk(5, "late", 20)
		if n := ears["h"].hears("early"); n != 20 {
			t.Errorf("the recorder heard %d of 20 early packets", n)
		}
		if n := ears["l"].hears("early"); n != 0 {
			t.Errorf("a listener heard %d early packets", n)
		}
		for _, e := range ears {
			if e.hears("late") != 5 {
				t.Errorf("heard %v", e.count)
			}
			e.leave()
			e.close()
		}
		a.leave()
		p.close()
	})
}

func TestKickUser(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other := w.login("r", "other")
		a, session := w.session("r", "a")
		a.publish("s")
		for _, x := range []struct {
			room, user string
			want       error
		}{{"q", "a", rooms.ErrNoRoom}, {"r", "nobody", rooms.ErrNoUser}, {"r", "a", nil}, {"r", "a", rooms.ErrNoUser}} {
			if err := w.service.KickUser(x.room, x.user); !errors.Is(err, x.want) {
				t.Errorf("kick %s from %s: %v, want %v", x.user, x.room, err, x.want)
			}
		}
		a.states("r CONNECTED 0", "r DISCONNECTED 1002055")
		other.streams("r ADD s/a", "r DELETE s/a [{4}]")
		other.userNews("r ADD a", "r DELETE a")
		a.fails(signal.CodeNotLoggedIn, signal.StopPublishing, signal.StreamParams{StreamID: "s"})
		a.fails(signal.CodeKickedByServer, signal.LoginRoom, signal.LoginParams{SessionID: session})
		a.enter("r", "a", w.token("a"), signal.RoomConfig{})
		a.leave()
		other.leave()
	})
}

func TestRemoveStream(t *testing.T) {
	virtual(t, nil, func(w *world) {
		other, a := w.login("r", "other"), w.login("r", "a")
		a.publish("s")
		for _, x := range []struct {
			room, stream string
			want         error
		}{{"q", "s", rooms.ErrNoRoom}, {"r", "t", rooms.ErrNoStream}, {"r", "s", nil}, {"r", "s", rooms.ErrNoStream}} {
			if err := w.service.RemoveStream(x.room, x.stream); !errors.Is(err, x.want) {
				t.Errorf("remove %s from %s: %v, want %v", x.stream, x.room, err, x.want)
			}
		}
		a.streamStates(signal.PublisherStateUpdate, "s NO_PUBLISH 1003025")
		other.streams("r ADD s/a", "r DELETE s/a [{6}]")
		other.userNews("r ADD a")
		a.publish("s")
		a.leave()
		other.leave()
	})
}

func TestRooms(t *testing.T) {
	virtual(t, nil, func(w *world) {
		if w.service.AppID() != appID {
			t.Errorf("app id %d", w.service.AppID())
		}
		if got := w.service.Rooms(); got == nil || len(got) != 0 {
			t.Errorf("no rooms: %v", got)
		}
		b := w.login("b", "ub")
		a, h := w.login("a", "ua"), w.login("a", "h", hidden)
		h.do(signal.SetRoomExtraInfo, signal.SetRoomExtraInfoParams{RoomID: "a", Key: "recording", Value: []byte("true")}, nil)
		p := a.speak("s")
		a.do(signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s", ExtraInfo: "x"}, nil)
		p.talk(50, "x", 40)
		list := w.service.Rooms()
		if len(list) != 2 || list[0].ID != "a" || list[1].ID != "b" {
			t.Fatalf("rooms: %+v", list)
		}
		r := list[0]
		if r.Recording != rooms.Recording || r.Online != 1 || len(r.Users) != 1 || r.Users[0].ID != "ua" || r.Users[0].Name != "Name of ua" || !r.Users[0].Connected {
			t.Errorf("room a: %+v", r)
		}
		if len(r.Streams) != 1 || r.Streams[0].ID != "s" || r.Streams[0].UserID != "ua" || r.Streams[0].ExtraInfo != "x" || !r.Streams[0].Live || r.Streams[0].Level != -40 {
			t.Errorf("streams of a: %+v", r.Streams)
		}
		a.cut()
		if r, _ := w.service.Room("a"); r.Users[0].Connected || r.Online != 1 {
			t.Errorf("dropped: %+v", r)
		}
		p.close()
		time.Sleep(time.Second)
		if r, _ := w.service.Room("a"); r.Streams[0].Live || r.Streams[0].Level != -127 {
			t.Errorf("without media: %+v", r.Streams)
		}
		b.leave()
		h.leave()
		time.Sleep(31 * time.Second)
		if got := w.service.Rooms(); len(got) != 0 {
			t.Errorf("in the end: %+v", got)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]rooms.Config{
		"no app":   {Secret: secret},
		"secret":   {AppID: 1, Secret: "short"},
		"no media": {AppID: 1, Secret: secret},
	} {
		if _, err := rooms.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestOneRecorderInManyRooms: a recorder works in many rooms under one name;
// a visible user of that name is somebody else.
func TestOneRecorderInManyRooms(t *testing.T) {
	virtual(t, nil, func(w *world) {
		r := w.login("r", "recorder", hidden)
		q := w.login("q", "recorder", hidden)
		v := w.login("r", "recorder")
		r.states("r CONNECTED 0")
		q.states("q CONNECTED 0")
		v.states("r CONNECTED 0")
	})
}
