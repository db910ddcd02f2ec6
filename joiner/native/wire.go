package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"mixdown/rooms/signal"
)

const (
	pingInterval = 3 * time.Second
	pingTimeout  = 5 * time.Second
	callTimeout  = 10 * time.Second
	// noticesQueued notifications may wait for the connection's loop, which
	// never waits for the server; a room of 1000 users fits.
	noticesQueued = 4096
)

// wire is the client's side of JSON-RPC over a WebSocket.
type wire struct {
	ws      *websocket.Conn
	notices chan signal.Message // notifications, in order

	mu      sync.Mutex
	last    uint64
	pending map[string]chan signal.Message
}

func newWire(ws *websocket.Conn) *wire {
	return &wire{ws: ws, notices: make(chan signal.Message, noticesQueued), pending: make(map[string]chan signal.Message)}
}

// call sends a request and waits for its answer; a refusal is a
// *signal.Error. result may be nil.
func (w *wire) call(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errors.New("no answer"))
	defer cancel()
	id, answer := w.expect()
	defer w.forget(id)
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	message, err := json.Marshal(signal.Message{Version: "2.0", ID: json.RawMessage(id), Method: method, Params: body})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
	// A write whose context ends takes the WebSocket with it, which others use.
	write, done := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer done()
	if err := w.ws.Write(write, websocket.MessageText, message); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %w", method, m.Error)
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(m.Result, result); err != nil {
			return fmt.Errorf("%s: answer: %w", method, err)
		}
		return nil
	}
}

func (w *wire) expect() (id string, answer chan signal.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	id, answer = strconv.FormatUint(w.last, 10), make(chan signal.Message, 1)
	w.pending[id] = answer
	return id, answer
}

func (w *wire) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, id)
}

// read delivers what the server sends until the WebSocket is over.
func (w *wire) read(ctx context.Context) error {
	for {
		kind, data, err := w.ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("read from room server: %w", err)
		}
		if kind != websocket.MessageText {
			continue
		}
		var m signal.Message
		if err := json.Unmarshal(data, &m); err != nil {
			return fmt.Errorf("read from room server: %w", err)
		}
		if m.Method == "" {
			w.mu.Lock()
			answer := w.pending[string(m.ID)]
			delete(w.pending, string(m.ID))
			w.mu.Unlock()
			if answer != nil {
				answer <- m
			}
			continue
		}
		select {
		case w.notices <- m:
		default:
			return errors.New("read from room server: too many notifications at once")
		}
	}
}

// beat notices a dead link: a ping every 3 s must be answered within 5 s.
func (w *wire) beat(ctx context.Context) error {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		ping, cancel := context.WithTimeout(ctx, pingTimeout)
		err := w.ws.Ping(ping)
		cancel()
		if err != nil {
			return fmt.Errorf("room server does not answer: %w", err)
		}
	}
}
