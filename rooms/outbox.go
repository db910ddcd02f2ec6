package rooms

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"

	"mixdown/rooms/signal"
)

const (
	maxQueuedBytes = 8 << 20
	writeTimeout   = 10 * time.Second
)

// outbox holds what waits to be written to one WebSocket. put never blocks: a
// reader so slow that the box fills is cut off instead.
type outbox struct {
	limit    int
	overflow func() // cuts the connection; must not block

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	ended   bool // nothing more is taken; the queue is still written
	code    websocket.StatusCode
	reason  string
	ready   chan struct{}
	dropped bool
}

func newOutbox(limit int, overflow func()) *outbox {
	return &outbox{limit: limit, overflow: overflow, ready: make(chan struct{}, 1)}
}

func (o *outbox) put(message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.dropped {
		return
	}
	if len(o.queue) >= o.limit || o.bytes+len(message) > maxQueuedBytes {
		o.dropped, o.queue = true, nil
		o.overflow()
		return
	}
	o.queue = append(o.queue, message)
	o.bytes += len(message)
	o.signal()
}

// end closes the connection with a status once everything queued is written.
func (o *outbox) end(code websocket.StatusCode, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.ended, o.code, o.reason = true, code, reason
		o.signal()
	}
}

func (o *outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *outbox) next() (message []byte, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil, o.ended
	}
	message = o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.bytes -= len(message)
	return message, false
}

// run writes until the box was ended and is empty (true), or until the
// connection or ctx ended (false).
func (o *outbox) run(ctx context.Context, ws *websocket.Conn) bool {
	for {
		message, ended := o.next()
		if ended {
			return true
		}
		if message == nil {
			select {
			case <-o.ready:
				continue
			case <-ctx.Done():
				return false
			}
		}
		wctx, cancel := context.WithTimeout(ctx, writeTimeout)
		err := ws.Write(wctx, websocket.MessageText, message)
		cancel()
		if err != nil {
			return false
		}
	}
}

// encode makes the bytes of a message. Everything that is sent is made of the
// types of package signal, which always encode.
func encode(m signal.Message) []byte {
	m.Version = "2.0"
	b, err := json.Marshal(m)
	if err != nil {
		panic("encode signalling message: " + err.Error())
	}
	return b
}

func encodeParams(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encode signalling message: " + err.Error())
	}
	return b
}

// notification makes the bytes of a notification, once for all receivers.
func notification(method string, params any) []byte {
	return encode(signal.Message{Method: method, Params: encodeParams(params)})
}
