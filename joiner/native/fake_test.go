package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/transport/v5/vnet"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/native"
	"mixdown/rooms/signal"
)

// fake is a room server without rooms: it notes what it is asked and answers
// as a test says.
type fake struct {
	t      *testing.T
	answer func(c *client, method string, params json.RawMessage) (any, *signal.Error)
	status int // of the HTTP answer, if it is not to be a WebSocket

	pipes chan net.Conn
	dead  atomic.Bool // what clients send gets lost, and is not answered

	mu       sync.Mutex
	requests []request
	clients  []*client
	dials    []time.Time
}

type request struct {
	method string
	params json.RawMessage
	at     time.Time
}

// client is one connection to a fake.
type client struct {
	ws     *websocket.Conn
	number int
}

func newFake(t *testing.T, answer func(c *client, method string, params json.RawMessage) (any, *signal.Error)) *fake {
	f := &fake{t: t, answer: answer, pipes: make(chan net.Conn)}
	server := &http.Server{Handler: f}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(f)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		f.mu.Lock()
		for _, c := range f.clients {
			_ = c.ws.CloseNow()
		}
		f.mu.Unlock()
		<-done
	})
	return f
}

func (f *fake) Accept() (net.Conn, error) {
	c, ok := <-f.pipes
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (f *fake) Close() error   { close(f.pipes); return nil }
func (f *fake) Addr() net.Addr { return &net.TCPAddr{} }

func (f *fake) system() *native.System {
	machine, err := vnet.NewNet(&vnet.NetConfig{})
	if err != nil {
		f.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		there = mortal{there, &f.dead}
		f.mu.Lock()
		f.dials = append(f.dials, time.Now())
		f.mu.Unlock()
		select {
		case f.pipes <- there:
			return here, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	f.t.Cleanup(transport.CloseIdleConnections)
	return native.New(native.Config{
		Listen:     func() (net.PacketConn, error) { return newHole(), nil },
		Net:        machine,
		HTTPClient: &http.Client{Transport: transport},
	})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	f.mu.Lock()
	c := &client{ws: ws, number: len(f.clients)}
	f.clients = append(f.clients, c)
	f.mu.Unlock()
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		var m signal.Message
		if err := json.Unmarshal(data, &m); err != nil || m.Version != "2.0" || m.ID == nil {
			f.t.Errorf("request %s: %v", data, err)
			return
		}
		f.mu.Lock()
		f.requests = append(f.requests, request{m.Method, m.Params, time.Now()})
		f.mu.Unlock()
		result, refusal := f.answer(c, m.Method, m.Params)
		if result == nil && refusal == nil {
			continue // no answer
		}
		reply := signal.Message{Version: "2.0", ID: m.ID, Error: refusal}
		if refusal == nil {
			reply.Result, _ = json.Marshal(result)
		}
		c.send(reply)
	}
}

func (c *client) send(m any) {
	data, _ := json.Marshal(m)
	c.write(data)
}

func (c *client) write(data []byte) {
	_ = c.ws.Write(context.Background(), websocket.MessageText, data)
}

func (c *client) notify(method string, params any) {
	p, _ := json.Marshal(params)
	c.send(signal.Message{Version: "2.0", Method: method, Params: p})
}

func (f *fake) client(n int) *client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n >= len(f.clients) {
		f.t.Fatalf("there are %d connections only", len(f.clients))
	}
	return f.clients[n]
}

// asked lists the requests of a method.
func (f *fake) asked(method string) []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []request
	for _, r := range f.requests {
		if r.method == method {
			list = append(list, r)
		}
	}
	return list
}

func read[P any](t *testing.T, r request) P {
	t.Helper()
	var p P
	if err := json.Unmarshal(r.params, &p); err != nil {
		t.Fatalf("%s %s: %v", r.method, r.params, err)
	}
	return p
}

// loggedIn answers every login, and anything else with an empty object.
func loggedIn(_ *client, method string, _ json.RawMessage) (any, *signal.Error) {
	if method == signal.LoginRoom {
		return signal.LoginResult{RoomID: "r", SessionID: "session"}, nil
	}
	return struct{}{}, nil
}

func fakeLogin(hidden bool) joiner.Login {
	return joiner.Login{
		URL: "ws://fake/ws", RoomID: "r", UserID: "me", UserName: "Me", Hidden: hidden,
		Token: func() (string, error) { return "token", nil },
	}
}

// connect runs one connection in the background.
func connect(t *testing.T, s *native.System, login joiner.Login, r *joinertest.Ear, pubs *joiner.Publications) (end context.CancelCauseFunc, ended chan error) {
	ctx, cancel := context.WithCancelCause(t.Context())
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- s.Connect(ctx, login, r, pubs)
	}()
	t.Cleanup(func() {
		cancel(errTestOver)
		<-done
	})
	return cancel, ended
}

// mortal is a connection whose end dies without a word.
type mortal struct {
	net.Conn
	dead *atomic.Bool
}

func (c mortal) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.dead.Load() {
			return n, err
		}
	}
}

// hole is a socket to nowhere.
type hole struct {
	mu       sync.Mutex
	deadline time.Time
	wake     chan struct{}
	closed   bool
}

func newHole() *hole { return &hole{wake: make(chan struct{})} }

func (h *hole) ReadFrom([]byte) (int, net.Addr, error) {
	for {
		h.mu.Lock()
		wake, closed, deadline := h.wake, h.closed, h.deadline
		h.mu.Unlock()
		switch {
		case closed:
			return 0, nil, net.ErrClosed
		case !deadline.IsZero() && deadline.Before(time.Now()):
			return 0, nil, os.ErrDeadlineExceeded
		}
		<-wake
	}
}

func (h *hole) change(f func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.wake)
	h.wake = make(chan struct{})
	return nil
}

func (h *hole) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (h *hole) LocalAddr() net.Addr                       { return &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 5000} }
func (h *hole) Close() error                              { return h.change(func() { h.closed = true }) }
func (h *hole) SetReadDeadline(t time.Time) error         { return h.change(func() { h.deadline = t }) }
func (h *hole) SetDeadline(t time.Time) error             { return h.SetReadDeadline(t) }
func (h *hole) SetWriteDeadline(time.Time) error          { return nil }

var errAnything = errors.New("anything")
