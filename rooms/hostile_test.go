package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"mixdown/rooms"
	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

func TestBadMessages(t *testing.T) {
	virtual(t, nil, func(w *world) {
		c := w.dial()
		for name, x := range map[string]struct {
			text, id string
			code     int
		}{
			"not JSON":         {`hello`, "null", signal.CodeParse},
			"empty":            {``, "null", signal.CodeParse},
			"cut":              {`{"jsonrpc":"2.0","id":1,`, "null", signal.CodeParse},
			"bad UTF-8":        {"\"\xff\"", "null", signal.CodeParse},
			"a number":         {`7`, "null", signal.CodeInvalidRequest},
			"null":             {`null`, "null", signal.CodeInvalidRequest},
			"batch":            {` [{"jsonrpc":"2.0","id":1,"method":"answer"}]`, "null", signal.CodeInvalidRequest},
			"no version":       {`{"id":"v","method":"answer"}`, `"v"`, signal.CodeInvalidRequest},
			"old version":      {`{"jsonrpc":"1.0","id":"w","method":"answer"}`, `"w"`, signal.CodeInvalidRequest},
			"number version":   {`{"jsonrpc":2,"id":1,"method":"answer"}`, "null", signal.CodeInvalidRequest},
			"no method":        {`{"jsonrpc":"2.0","id":"x"}`, `"x"`, signal.CodeInvalidRequest},
			"method a number":  {`{"jsonrpc":"2.0","id":"x","method":1}`, "null", signal.CodeInvalidRequest},
			"a response":       {`{"jsonrpc":"2.0","id":5,"result":{}}`, "5", signal.CodeInvalidRequest},
			"id an object":     {`{"jsonrpc":"2.0","id":{},"method":"answer"}`, "null", signal.CodeInvalidRequest},
			"id a bool":        {`{"jsonrpc":"2.0","id":true,"method":"answer"}`, "null", signal.CodeInvalidRequest},
			"id too long":      {`{"jsonrpc":"2.0","id":"` + strings.Repeat("i", 300) + `","method":"answer"}`, "null", signal.CodeInvalidRequest},
			"unknown method":   {`{"jsonrpc":"2.0","id":"m","method":"fly"}`, `"m"`, signal.CodeMethodNotFound},
			"long method":      {`{"jsonrpc":"2.0","id":"n","method":"` + strings.Repeat("é", 1000) + `"}`, `"n"`, signal.CodeMethodNotFound},
			"params an array":  {`{"jsonrpc":"2.0","id":1.5,"method":"loginRoom","params":["r"]}`, "1.5", signal.CodeInvalidParams},
			"params a string":  {`{"jsonrpc":"2.0","id":2,"method":"loginRoom","params":"r"}`, "2", signal.CodeInvalidParams},
			"room a number":    {`{"jsonrpc":"2.0","id":3,"method":"loginRoom","params":{"roomID":7}}`, "3", signal.CodeInvalidParams},
			"user a string":    {`{"jsonrpc":"2.0","id":4,"method":"loginRoom","params":{"roomID":"r","user":"u"}}`, "4", signal.CodeInvalidParams},
			"max a float":      {`{"jsonrpc":"2.0","id":6,"method":"loginRoom","params":{"config":{"maxMemberCount":1.5}}}`, "6", signal.CodeInvalidParams},
			"max too large":    {`{"jsonrpc":"2.0","id":7,"method":"loginRoom","params":{"config":{"maxMemberCount":1e40}}}`, "7", signal.CodeInvalidParams},
			"streams a string": {`{"jsonrpc":"2.0","id":8,"method":"startPlaying","params":{"streamIDs":"s"}}`, "8", signal.CodeInvalidParams},
			"no params":        {`{"jsonrpc":"2.0","id":9,"method":"loginRoom"}`, "9", signal.CodeRoomIDEmpty},
			"too long":         {`{"jsonrpc":"2.0","id":10,"method":"answer","params":{"sdp":"` + strings.Repeat("x", 64<<10) + `"}}`, "null", signal.CodeInvalidRequest},
			"null id":          {`{"jsonrpc":"2.0","id":null,"method":"answer"}`, "null", signal.CodeNotLoggedIn},
		} {
			m := c.exchange(x.id, x.text)
			if m.Error == nil || m.Error.Code != x.code || m.Error.Message == "" || len(m.Error.Message) > 300 {
				t.Errorf("%s: %+v, want code %d", name, m.Error, x.code)
			}
		}
		check(t, c.ws.Write(context.Background(), websocket.MessageBinary, []byte(`{}`)))
		// Without an id there is no answer, but the work is done.
		c.raw(`{"jsonrpc":"2.0","method":"fly"}`)
		c.raw(fmt.Sprintf(`{"jsonrpc":"2.0","method":"loginRoom","params":{"roomID":"r","token":%q,"user":{"userID":"u"},"more":1}}`, w.token("u")))
		c.states("r CONNECTED 0")

		// Logged in, messages may be longer.
		sized := func(n int) string {
			text := `{"jsonrpc":"2.0","id":"size","method":"answer","params":{"sdp":"`
			return text + strings.Repeat("x", n-len(text)-3) + `"}}`
		}
		if m := c.exchange(`"size"`, sized(256<<10)); m.Error == nil || m.Error.Code != signal.CodePlayBadSDP {
			t.Errorf("256 KiB: %+v", m.Error)
		}
		if m := c.exchange("null", sized(256<<10+1)); m.Error == nil || m.Error.Code != signal.CodeInvalidRequest {
			t.Errorf("a byte more: %+v", m.Error)
		}
		many := `{"jsonrpc":"2.0","id":"many","method":"startPlaying","params":{"streamIDs":["s"` + strings.Repeat(`,"s"`, 1000) + `]}}`
		if m := c.exchange(`"many"`, many); m.Error == nil || m.Error.Code != signal.CodeInvalidParams {
			t.Errorf("1001 streams at once: %+v", m.Error)
		}
		if m := c.exchange("null", strings.Repeat("[", 1<<20)); m.Error == nil || m.Error.Code != signal.CodeInvalidRequest {
			t.Errorf("a MiB of brackets: %+v", m.Error)
		}
		c.do(signal.SendBroadcastMessage, signal.BroadcastParams{Message: "alive"}, nil)
		c.leave()
	})
}

func TestFloodIsCutOff(t *testing.T) {
	for name, text := range map[string]string{
		"garbage":     "x",
		"bad methods": `{"jsonrpc":"2.0","id":1,"method":"fly"}`,
		"requests":    `{"jsonrpc":"2.0","id":1,"method":"sendBroadcastMessage","params":{"message":""}}`,
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, nil, func(w *world) {
				c, other := w.login("r", "c"), w.login("r", "other")
				sent := 0
				for ; sent < 10000; sent++ {
					if sent%100 == 0 {
						synctest.Wait() // the client reads its answers
					}
					if c.ws.Write(context.Background(), websocket.MessageText, []byte(text)) != nil {
						break
					}
				}
				if status, over := c.over(); !over || status != websocket.StatusPolicyViolation || sent < 500 {
					t.Errorf("after %d messages: over %v, status %d", sent, over, status)
				}
				other.do(signal.SendBroadcastMessage, signal.BroadcastParams{Message: "alive"}, nil)
				time.Sleep(31 * time.Second)
				other.userNews("r DELETE c")
				other.leave()
				c.cut()
			})
		})
	}
}

func TestTokenGuessingIsCutOff(t *testing.T) {
	virtual(t, nil, func(w *world) {
		c := w.dial()
		foreign, err := token.Make(strings.Repeat("s", 32), token.Claims{AppID: appID, UserID: "u", Login: true, Expires: time.Now().Add(time.Hour)})
		check(t, err)
		params, _ := json.Marshal(signal.LoginParams{RoomID: "r", Token: foreign, User: signal.User{UserID: "u"}})
		start := time.Now()
		for range 1000 {
			if c.ws.Write(context.Background(), websocket.MessageText, []byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"loginRoom","params":%s}`, params))) != nil {
				break
			}
		}
		if _, over := c.over(); !over {
			t.Error("not cut off")
		}
		if n, took := len(c.methods()), time.Since(start); n != 21 || took < 2*time.Second {
			t.Errorf("%d answers in %v", n, took)
		}
		c.cut()
	})
}

func TestTooManyConnections(t *testing.T) {
	virtual(t, func(c *rooms.Config) { c.MaxConnections = 2 }, func(w *world) {
		a, b := w.dial(), w.dial()
		_, _, err := websocket.Dial(context.Background(), "ws://rooms/ws", &websocket.DialOptions{HTTPClient: w.http})
		if err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a connection too many: %v", err)
		}
		a.cut()
		c := w.dial()
		b.cut()
		c.cut()
	})
}

// touchy is a log that panics on a record about the stream "boom": a fault deep
// inside the service, with its lock held.
type touchy struct{ slog.Handler }

func (h touchy) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" && a.Value.String() == "boom" {
			panic("touched")
		}
		return true
	})
	return h.Handler.Handle(ctx, r)
}

func TestPanicStaysInItsConnection(t *testing.T) {
	virtual(t, func(c *rooms.Config) { c.Log = slog.New(touchy{c.Log.Handler()}) }, func(w *world) {
		other, bystander := w.login("q", "other"), w.login("r", "bystander")
		c := w.login("r", "c")
		c.raw(fmt.Sprintf(`{"jsonrpc":"2.0","id":9,"method":"startPublishing","params":{"streamID":"boom","sdp":%q}}`, w.offer()))
		if _, over := c.over(); !over {
			t.Error("the connection lives on")
		}
		p := other.speak("s")
		p.talk(5, "x", 20)
		bystander.publish("t")
		time.Sleep(60 * time.Second)
		if r, ok := w.service.Room("q"); !ok || len(r.Streams) != 1 || !r.Streams[0].Live {
			t.Errorf("the other room: %+v", r)
		}
		bystander.do(signal.SendBroadcastMessage, signal.BroadcastParams{Message: "alive"}, nil)
		other.leave()
		bystander.leave()
		c.cut()
		p.close()
		synctest.Wait()
	})
}

// TestBlackout: the network is gone for longer than media lives.
func TestBlackout(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		p := a.speak("s")
		b.forget()
		w.dark.Store(true)
		time.Sleep(40 * time.Second)
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISHING 0", "s PUBLISH_REQUESTING 1103003")
		w.dark.Store(false)
		p.close()
		p = a.speak("s")
		time.Sleep(time.Minute)
		b.streams()
		a.leave()
		b.leave()
		p.close()
	})
}
