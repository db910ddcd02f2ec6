package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"

	"github.com/coder/websocket"

	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// link is a client's end of its connection, which can go deaf (what arrives is
// thrown away) or asleep (nothing is read).
type link struct {
	net.Conn
	deaf, asleep atomic.Bool
	wake         chan struct{}
	woken        sync.Once
}

func (l *link) Read(b []byte) (int, error) {
	for {
		if l.asleep.Load() {
			<-l.wake
			return 0, net.ErrClosed
		}
		n, err := l.Conn.Read(b)
		if err != nil || !l.deaf.Load() {
			return n, err
		}
	}
}

// client is one WebSocket, with or without a login.
type client struct {
	*world
	ws   *websocket.Conn
	link *link
	ids  int
	done sync.WaitGroup

	mu      sync.Mutex
	inbox   []signal.Message // notifications that were not taken yet
	answers map[string]chan signal.Message
	ended   error
	order   []string // methods and "result" as they came
}

func (w *world) dial() *client {
	w.Helper()
	c := &client{world: w, answers: map[string]chan signal.Message{}}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, err := w.listener.dial()
		c.link = &link{Conn: conn, wake: make(chan struct{})}
		return c.link, err
	}}
	ws, _, err := websocket.Dial(context.Background(), "ws://rooms/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	check(w, err)
	ws.SetReadLimit(-1)
	c.ws = ws
	c.done.Go(c.read)
	return c
}

func (c *client) read() {
	for {
		_, data, err := c.ws.Read(context.Background())
		c.mu.Lock()
		if err != nil {
			c.ended = err
			for _, ch := range c.answers {
				close(ch)
			}
			c.mu.Unlock()
			return
		}
		var m signal.Message
		if err := json.Unmarshal(data, &m); err != nil || m.Version != "2.0" {
			c.Errorf("the server sent %q: %v", data, err)
		}
		if m.Method != "" {
			c.inbox, c.order = append(c.inbox, m), append(c.order, m.Method)
		} else {
			c.order = append(c.order, "result")
			if ch := c.answers[string(m.ID)]; ch != nil {
				delete(c.answers, string(m.ID))
				ch <- m
			}
		}
		c.mu.Unlock()
	}
}

func (c *client) raw(text string) {
	c.Helper()
	check(c, c.ws.Write(context.Background(), websocket.MessageText, []byte(text)))
}

// ask sends a request and returns its answer.
func (c *client) ask(method string, params any) signal.Message {
	c.Helper()
	c.ids++
	id := fmt.Sprint(c.ids)
	body, err := json.Marshal(params)
	check(c, err)
	return c.exchange(id, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, body))
}

// exchange sends text and returns the answer with the given id.
func (c *client) exchange(id, text string) signal.Message {
	c.Helper()
	ch := make(chan signal.Message, 1)
	c.mu.Lock()
	c.answers[id] = ch
	c.mu.Unlock()
	c.raw(text)
	m, ok := <-ch
	if !ok {
		c.Fatalf("the connection ended before the answer to %.100s: %v", text, c.ended)
	}
	return m
}

// do is ask that must succeed; result may be nil.
func (c *client) do(method string, params, result any) {
	c.Helper()
	m := c.ask(method, params)
	if m.Error != nil {
		c.Fatalf("%s: error %d %s", method, m.Error.Code, m.Error.Message)
	}
	if result != nil {
		check(c, json.Unmarshal(m.Result, result))
	}
}

// fails is ask that must fail with a code and a sentence.
func (c *client) fails(code int, method string, params any) {
	c.Helper()
	m := c.ask(method, params)
	if m.Error == nil {
		c.Errorf("%s succeeded, want error %d", method, code)
	} else if m.Error.Code != code || m.Error.Message == "" {
		c.Errorf("%s: error %d %q, want %d", method, m.Error.Code, m.Error.Message, code)
	}
}

// login dials and logs in.
func (w *world) login(roomID, userID string, options ...func(*token.Claims)) *client {
	w.Helper()
	c := w.dial()
	c.enter(roomID, userID, w.token(userID, options...), signal.RoomConfig{UserUpdate: true})
	return c
}

func (c *client) enter(roomID, userID, token string, config signal.RoomConfig) signal.LoginResult {
	c.Helper()
	var r signal.LoginResult
	c.do(signal.LoginRoom, signal.LoginParams{RoomID: roomID, Token: token, User: signal.User{UserID: userID, UserName: "Name of " + userID}, Config: config}, &r)
	return r
}

// publish publishes a stream without media.
func (c *client) publish(streamID string) {
	c.Helper()
	c.do(signal.StartPublishing, signal.PublishParams{StreamID: streamID, SDP: c.offer()}, nil)
}

// news returns the notifications of a method that came since the last call; all
// others are kept.
func (c *client) news(method string) []json.RawMessage {
	c.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var got []json.RawMessage
	c.inbox = slices.DeleteFunc(c.inbox, func(m signal.Message) bool {
		if m.Method == method {
			got = append(got, m.Params)
		}
		return m.Method == method
	})
	return got
}

// forget throws away all notifications so far.
func (c *client) forget() {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox, c.order = nil, nil
}

// methods is what came since forget, in order.
func (c *client) methods() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// cut breaks the connection without a word.
func (c *client) cut() {
	c.link.Conn.Close()
	c.link.woken.Do(func() { close(c.link.wake) })
	c.done.Wait()
	c.ws.CloseNow()
	synctest.Wait()
}

func (c *client) leave() {
	c.do(signal.LogoutRoom, signal.RoomParams{}, nil)
	c.cut()
}

// over says whether the server ended the connection, and its status.
func (c *client) over() (websocket.StatusCode, bool) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return websocket.CloseStatus(c.ended), c.ended != nil
}

// expect compares all notifications of a method since the last look, written
// compactly by show, with what is wanted.
func expect[T any](c *client, method string, show func(T) string, want ...string) {
	c.Helper()
	got := []string{}
	for _, params := range c.news(method) {
		var v T
		check(c, json.Unmarshal(params, &v))
		got = append(got, show(v))
	}
	if !slices.Equal(got, want) {
		c.Errorf("%s: got %q, want %q", method, got, want)
	}
}

func (c *client) streams(want ...string) {
	c.Helper()
	expect(c, signal.RoomStreamUpdate, func(p signal.StreamUpdateParams) string {
		s := p.RoomID + " " + string(p.UpdateType)
		for _, st := range p.StreamList {
			s += " " + st.StreamID + "/" + st.User.UserID
		}
		if p.ExtendedData != "" {
			var e struct {
				Reasons []struct{ Code int } `json:"stream_delete_reason"`
			}
			check(c, json.Unmarshal([]byte(p.ExtendedData), &e))
			s += fmt.Sprint(" ", e.Reasons)
		}
		return s
	}, want...)
}

func (c *client) userNews(want ...string) {
	c.Helper()
	expect(c, signal.RoomUserUpdate, func(p signal.UserUpdateParams) string {
		s := p.RoomID + " " + string(p.UpdateType)
		for _, u := range p.UserList {
			s += " " + u.UserID
		}
		return s
	}, want...)
}

func (c *client) states(want ...string) {
	c.Helper()
	expect(c, signal.RoomStateUpdate, func(p signal.RoomStateParams) string {
		return fmt.Sprint(p.RoomID, " ", p.State, " ", p.ErrorCode)
	}, want...)
}

func (c *client) streamStates(method string, want ...string) {
	c.Helper()
	expect(c, method, func(p signal.StreamStateParams) string {
		return fmt.Sprint(p.StreamID, " ", p.State, " ", p.ErrorCode)
	}, want...)
}
