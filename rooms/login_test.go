package rooms_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

func TestLogin(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.dial()
		r := a.enter("r", "a", w.token("a"), signal.RoomConfig{IsUserStatusNotify: true})
		if r.RoomID != "r" || r.SessionID == "" || r.Resumed || len(r.Users) != 0 || len(r.Streams) != 0 {
			t.Errorf("first login: %+v", r)
		}
		want := []string{"result", signal.RoomStateUpdate, signal.RoomExtraInfoUpdate, signal.RoomOnlineUserCountUpdate}
		if got := a.methods(); !slices.Equal(got, want) {
			t.Errorf("first login: got %q, want %q", got, want)
		}
		a.states("r CONNECTED 0")
		a.publish("s1")

		b := w.dial()
		r = b.enter("r", "b", w.token("b"), signal.RoomConfig{})
		if want := []signal.User{{UserID: "a", UserName: "Name of a"}}; !reflect.DeepEqual(r.Users, want) {
			t.Errorf("users: got %+v, want %+v", r.Users, want)
		}
		if len(r.Streams) != 1 || r.Streams[0].StreamID != "s1" || r.Streams[0].User.UserID != "a" {
			t.Errorf("streams: %+v", r.Streams)
		}
		want = append(want, signal.RoomStreamUpdate)
		if got := b.methods(); !slices.Equal(got, want) {
			t.Errorf("second login: got %q, want %q", got, want)
		}
		b.streams("r ADD s1/a")
		a.userNews("r ADD b")
		a.streams()

		c := w.login("r", "c")
		b.userNews() // did not ask for users
		a.userNews("r ADD c")
		c.leave()
		a.userNews("r DELETE c")
		b.leave()
		a.leave()
	})
}

func TestTokens(t *testing.T) {
	foreign := func(appID uint32, secret string) string {
		text, err := token.Make(secret, token.Claims{AppID: appID, UserID: "u", Login: true, Publish: true, Expires: time.Now().Add(time.Hour)})
		check(t, err)
		return text
	}
	virtual(t, nil, func(w *world) {
		c := w.dial()
		for name, x := range map[string]struct {
			token string
			code  int
		}{
			"none":          {"", signal.CodeTokenRequired},
			"not a token":   {"hello", signal.CodeTokenFormat},
			"cut":           {w.token("u")[:50], signal.CodeTokenFormat},
			"other secret":  {foreign(appID, strings.Repeat("s", 32)), signal.CodeTokenAuthFailed},
			"other app":     {foreign(8, secret), signal.CodeTokenAuthFailed},
			"other user":    {w.token("v"), signal.CodeTokenAuthFailed},
			"other room":    {w.token("u", inRoom("q")), signal.CodeTokenAuthFailed},
			"no login":      {w.token("u", noLogin), signal.CodeTokenAuthFailed},
			"expired (CBC)": {"04AAAAAGVT/xAAEDAxMjM0NTY3ODlhYmNkZWYAYPDOWcZeMCPxbh1dpHzCTREIwK2oIO5x78Qlcu9iUMPYZNGOlA6LCYUTQGwUgUq+/8Ln5TSnZdwWJ/nXKFuvvrODPsW7KjBXiWK9XfFOi6Xo8AriioVyLhRRReWddk5UmA==", signal.CodeTokenAuthFailed},
		} {
			t.Log(name)
			c.fails(x.code, signal.LoginRoom, signal.LoginParams{RoomID: "r", Token: x.token, User: signal.User{UserID: "u"}})
		}
		short := w.token("u", lasting(time.Minute))
		time.Sleep(59 * time.Second)
		c.enter("r", "u", short, signal.RoomConfig{})
		c.do(signal.LogoutRoom, nil, nil)
		time.Sleep(time.Second)
		c.fails(signal.CodeTokenExpired, signal.LoginRoom, signal.LoginParams{RoomID: "r", Token: short, User: signal.User{UserID: "u"}})
		c.enter("r", "u", w.token("u", inRoom("r")), signal.RoomConfig{})
		c.leave()
	})
}

func TestIdentifiers(t *testing.T) {
	all := "0123456789abcxyzABCXYZ~!@#$^&*()_+=-;',."
	virtual(t, nil, func(w *world) {
		c := w.dial()
		login := func(room, user, name string) signal.LoginParams {
			return signal.LoginParams{RoomID: room, Token: "x", User: signal.User{UserID: user, UserName: name}}
		}
		for _, x := range []struct {
			params signal.LoginParams
			code   int // CodeTokenFormat: the IDs passed
		}{
			{login("", "u", ""), signal.CodeRoomIDEmpty},
			{login(strings.Repeat("r", 129), "u", ""), signal.CodeRoomIDTooLong},
			{login(strings.Repeat("r", 128), "u", ""), signal.CodeTokenFormat},
			{login(all+"<>", all, ""), signal.CodeTokenFormat},
			{login("r", "", ""), signal.CodeUserIDEmpty},
			{login("r", strings.Repeat("u", 65), ""), signal.CodeUserIDTooLong},
			{login("r", strings.Repeat("u", 64), ""), signal.CodeTokenFormat},
			{login("r", "<", ""), signal.CodeUserIDBad},
			{login("r", ">", ""), signal.CodeUserIDBad},
			{login("r", "..", ""), signal.CodeUserIDBad},
			{login("..", "u", ""), signal.CodeRoomIDBad},
			{login(".", "u", ""), signal.CodeRoomIDBad},
			{login("r", "u", strings.Repeat("é", 256)), signal.CodeTokenFormat},
			{login("r", "u", strings.Repeat("é", 257)), signal.CodeUserNameTooLong},
			{login("r", "u", strings.Repeat("😀", 129)), signal.CodeUserNameTooLong},
		} {
			c.fails(x.code, signal.LoginRoom, x.params)
		}
		for _, bad := range []string{" ", `"`, "/", ":", "?", "[", "]", "{", "|", "}", "%", "`", `\`, "’", "é", "\x00", "\n", "房"} {
			c.fails(signal.CodeRoomIDBad, signal.LoginRoom, login("r"+bad, "u", ""))
			c.fails(signal.CodeUserIDBad, signal.LoginRoom, login("r", "u"+bad, ""))
		}
		c.cut()

		c = w.login("r", "u")
		publish := func(id string) signal.PublishParams { return signal.PublishParams{StreamID: id} }
		c.fails(signal.CodeStreamIDEmpty, signal.StartPublishing, publish(""))
		c.fails(signal.CodeStreamIDTooLong, signal.StartPublishing, publish(strings.Repeat("s", 257)))
		for _, bad := range []string{".", "/", " ", "%", "é", "@"} {
			c.fails(signal.CodeStreamIDBad, signal.StartPublishing, publish("s"+bad))
		}
		c.fails(signal.CodePublishBadSDP, signal.StartPublishing, publish(strings.Repeat("s", 256)))
		c.fails(signal.CodePublishBadSDP, signal.StartPublishing, signal.PublishParams{StreamID: "aZ09_-", SDP: "hello"})
		c.fails(signal.CodeStreamInfoTooLong, signal.StartPublishing, signal.PublishParams{StreamID: "s", ExtraInfo: strings.Repeat("x", 1025), SDP: w.offer()})
		c.leave()
	})
}

func TestPrivileges(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a", listener)
		a.fails(signal.CodePublishAuthFailed, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})
		b := w.login("r", "b", forStreams("s", "t"))
		b.fails(signal.CodePublishAuthFailed, signal.StartPublishing, signal.PublishParams{StreamID: "u", SDP: w.offer()})
		b.publish("t")
		a.streams("r ADD t/b")
		a.leave()
		b.leave()
	})
}

func TestOneLoginPerConnection(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		for _, room := range []string{"r", "q"} {
			a.fails(signal.CodeNotLoggedOut, signal.LoginRoom, signal.LoginParams{RoomID: room, Token: w.token("a"), User: signal.User{UserID: "a"}})
		}
		a.fails(signal.CodeRoomGone, signal.LogoutRoom, signal.RoomParams{RoomID: "q"})
		a.do(signal.LogoutRoom, signal.RoomParams{RoomID: "r"}, nil)
		a.states("r CONNECTED 0", "r DISCONNECTED 0")
		for _, method := range []string{signal.LogoutRoom, signal.RenewToken, signal.StartPublishing, signal.StopPublishing, signal.Answer,
			signal.SetStreamExtraInfo, signal.SetRoomExtraInfo, signal.SendBroadcastMessage, signal.SendBarrageMessage, signal.SendCustomCommand} {
			a.fails(signal.CodeNotLoggedIn, method, map[string]string{"streamID": "s"})
		}
		a.fails(signal.CodeNotLoggedIn, signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}})
		a.enter("q", "a", w.token("a"), signal.RoomConfig{})
		a.leave()
	})
}

func TestSecondLoginKicksFirst(t *testing.T) {
	for _, room := range []string{"r", "q"} {
		t.Run("to room "+room, func(t *testing.T) {
			virtual(t, nil, func(w *world) {
				other := w.login("r", "other")
				first := w.dial()
				session := first.enter("r", "u", w.token("u"), signal.RoomConfig{}).SessionID
				first.publish("s")
				other.forget()

				second := w.login(room, "u")
				first.states("r CONNECTED 0", "r DISCONNECTED 1002050")
				other.streams("r DELETE s/u [{3}]")
				if room == "r" {
					other.userNews("r DELETE u", "r ADD u")
				} else {
					other.userNews("r DELETE u")
				}
				// The kicked one must not get in again by its old session, on any
				// connection, with or without a token.
				again := w.dial()
				for _, c := range []*client{first, again} {
					c.fails(signal.CodeLoggedInElsewhere, signal.LoginRoom, signal.LoginParams{SessionID: session})
					c.fails(signal.CodeLoggedInElsewhere, signal.LoginRoom, signal.LoginParams{
						SessionID: session, RoomID: "r", Token: w.token("u"), User: signal.User{UserID: "u"}})
				}
				second.states(room + " CONNECTED 0")
				second.publish("s")
				for _, c := range []*client{first, again} {
					c.cut()
				}
				second.leave()
				other.leave()
			})
		})
	}
}

// TestOfflineUserIsReplaced: the first login had dropped when the second came.
func TestOfflineUserIsReplaced(t *testing.T) {
	virtual(t, nil, func(w *world) {
		first := w.dial()
		session := first.enter("r", "u", w.token("u"), signal.RoomConfig{}).SessionID
		first.cut()
		second := w.login("r", "u")
		back := w.dial()
		back.fails(signal.CodeLoggedInElsewhere, signal.LoginRoom, signal.LoginParams{SessionID: session})
		back.fails(signal.CodeLoggedInElsewhere, signal.LoginRoom, signal.LoginParams{
			SessionID: "long forgotten", RoomID: "r", Token: w.token("u"), User: signal.User{UserID: "u"}})
		second.states("r CONNECTED 0")
		back.cut()
		second.leave()
	})
}

func TestRoomFull(t *testing.T) {
	virtual(t, nil, func(w *world) {
		two := signal.RoomConfig{MaxMemberCount: 2}
		a := w.dial()
		a.enter("r", "a", w.token("a"), two)
		h := w.login("r", "h", hidden) // does not count
		b := w.dial()
		b.enter("r", "b", w.token("b"), signal.RoomConfig{MaxMemberCount: 9}) // the first login's number counts
		c := w.dial()
		params := signal.LoginParams{RoomID: "r", Token: w.token("c"), User: signal.User{UserID: "c"}, Config: signal.RoomConfig{MaxMemberCount: 9}}
		c.fails(signal.CodeRoomFull, signal.LoginRoom, params)
		h2 := w.login("r", "h2", hidden)
		// Who is in may replace oneself.
		b2 := w.login("r", "b")
		b.states("r CONNECTED 0", "r DISCONNECTED 1002050")
		b2.leave()
		c.do(signal.LoginRoom, params, nil)
		c.leave()
		a.leave()
		// A new opening has its own number.
		a = w.login("r", "a")
		b2, c = w.login("r", "b"), w.login("r", "c")
		c.fails(signal.CodeNotLoggedOut, signal.LoginRoom, params)
		d := w.dial()
		d.fails(signal.CodeInvalidParams, signal.LoginRoom, signal.LoginParams{RoomID: "r", User: signal.User{UserID: "d"}, Config: signal.RoomConfig{MaxMemberCount: -1}})
		for _, x := range []*client{a, b2, c, h, h2} {
			x.leave()
		}
		b.cut()
		d.cut()
	})
}

func TestOnlineUserCount(t *testing.T) {
	virtual(t, nil, func(w *world) {
		counts := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.RoomOnlineUserCountUpdate, func(p signal.UserCountParams) string { return fmt.Sprint(p.RoomID, p.Count) }, want...)
		}
		a := w.login("r", "a")
		h := w.login("r", "h", hidden)
		counts(a, "r1")
		counts(h, "r1")
		time.Sleep(40 * time.Second)
		counts(a)
		b := w.login("r", "b")
		counts(b, "r2")
		counts(a)
		time.Sleep(30 * time.Second)
		counts(a, "r2")
		counts(h, "r2")
		counts(b)
		b.leave()
		time.Sleep(30 * time.Second)
		counts(a, "r1")
		time.Sleep(90 * time.Second)
		counts(a)
		a.leave()
		h.leave()
	})
}

func TestTokenExpiryAndRenewal(t *testing.T) {
	virtual(t, nil, func(w *world) {
		warnings := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.TokenWillExpire, func(p signal.RoomParams) string { return p.RoomID }, want...)
		}
		other := w.login("r", "other")
		a := w.login("r", "a", lasting(100*time.Second))
		p := a.speak("s")
		time.Sleep(60 * time.Second)
		warnings(a)
		time.Sleep(12 * time.Second)
		warnings(a, "r")
		time.Sleep(30 * time.Second) // it has expired
		warnings(a)
		a.states("r CONNECTED 0")
		other.streams("r ADD s/a")
		a.fails(signal.CodeTokenExpired, signal.StartPublishing, signal.PublishParams{StreamID: "t", SDP: w.offer()})
		a.do(signal.StopPublishing, signal.StreamParams{StreamID: "s"}, nil)
		a.fails(signal.CodeTokenExpired, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})

		for text, code := range map[string]int{
			"":                            signal.CodeTokenRequired,
			"04":                          signal.CodeTokenFormat,
			w.token("b"):                  signal.CodeTokenAuthFailed,
			w.token("a", inRoom("q")):     signal.CodeTokenAuthFailed,
			w.token("a", hidden):          signal.CodeTokenAuthFailed,
			w.token("other", inRoom("r")): signal.CodeTokenAuthFailed,
			w.token("a", noLogin, hidden): signal.CodeTokenAuthFailed,
		} {
			a.fails(code, signal.RenewToken, signal.RenewTokenParams{RoomID: "r", Token: text})
		}
		a.fails(signal.CodeRoomGone, signal.RenewToken, signal.RenewTokenParams{RoomID: "q", Token: w.token("a")})
		a.fails(signal.CodeTokenExpired, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})
		a.do(signal.RenewToken, signal.RenewTokenParams{RoomID: "r", Token: w.token("a", lasting(50*time.Second))}, nil)
		a.publish("s")
		time.Sleep(21 * time.Second)
		warnings(a, "r") // for the renewed one
		p.close()
		a.leave()
		other.leave()
	})
}

func TestExtraInfoOfRoom(t *testing.T) {
	virtual(t, nil, func(w *world) {
		recording := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.RoomExtraInfoUpdate, func(p signal.RoomExtraInfoParams) string {
				return p.RoomID + p.RoomExtraInfoList[0].Key + "=" + string(p.RoomExtraInfoList[0].Value)
			}, want...)
		}
		set := func(value string) signal.SetRoomExtraInfoParams {
			return signal.SetRoomExtraInfoParams{RoomID: "r", Key: "recording", Value: json.RawMessage(value)}
		}
		a := w.login("r", "a")
		recording(a, "rrecording=false")
		a.fails(signal.CodeForbidden, signal.SetRoomExtraInfo, set("true"))
		h := w.login("r", "h", hidden)
		recording(h, "rrecording=false")
		h.fails(signal.CodeInvalidParams, signal.SetRoomExtraInfo, set(`"on"`))
		h.fails(signal.CodeInvalidParams, signal.SetRoomExtraInfo, signal.SetRoomExtraInfoParams{Key: "topic", Value: json.RawMessage("1")})
		h.do(signal.SetRoomExtraInfo, set("true"), nil)
		recording(a, "rrecording=true")
		recording(h, "rrecording=true")
		b := w.login("r", "b")
		recording(b, "rrecording=true")
		h.do(signal.SetRoomExtraInfo, set(`"paused"`), nil)
		h.do(signal.SetRoomExtraInfo, set(` "paused" `), nil)
		recording(a, `rrecording="paused"`)
		// Two recorders: recording as long as one records.
		h2 := w.login("r", "h2", hidden)
		recording(h2, `rrecording="paused"`)
		h2.do(signal.SetRoomExtraInfo, set("true"), nil)
		recording(a, "rrecording=true")
		h2.leave()
		recording(a, `rrecording="paused"`)
		h.cut()
		time.Sleep(29 * time.Second)
		recording(a)
		time.Sleep(2 * time.Second)
		recording(a, "rrecording=false")
		recording(b, `rrecording="paused"`, "rrecording=true", `rrecording="paused"`, "rrecording=false")
		a.leave()
		b.leave()
	})
}
