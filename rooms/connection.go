package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"mixdown/rooms/signal"
)

// Limits of one connection. A message over messageLimit is read past and
// answered with an error; one over hardLimit ends the connection. Who plays
// much may answer at length.
const (
	messageLimit      = 256 << 10
	sectionLimit      = 2 << 10  // more for each stream that was played at once
	messageLimitLogin = 64 << 10 // before the login
	hardLimit         = 8 << 20
	messagesPerSecond = 200
	messagesBurst     = 2000
	faultsPerSecond   = 50
	faultsBurst       = 500
	maxDenials        = 20 // refused tokens
	denialDelay       = 100 * time.Millisecond
)

var (
	errHeartbeat = errors.New("no answer to ping")
	errFlood     = errors.New("too many messages")
	errSlow      = errors.New("reads too slowly")
	errGone      = errors.New("connection ended")
	errEnded     = errors.New("room service ended")
)

// connection is one WebSocket. Its goroutines are the HTTP handler's, which
// reads, and two that the handler waits for: the writer and the heartbeat.
type connection struct {
	s        *Service
	ws       *websocket.Conn
	out      *outbox
	cancel   context.CancelCauseFunc
	remote   string
	messages *rate.Limiter
	faults   *rate.Limiter
	denials  int

	login *login    // guarded by Service.mu
	idle  time.Time // since when there is no login; guarded by Service.mu
}

// serveSocket is /ws. Any origin may connect: a login needs a token in the
// message, never a cookie, so a foreign page gains nothing.
func (s *Service) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "the room service is ending", http.StatusServiceUnavailable)
		return
	}
	defer s.visitors.Done()
	// The request's context is not reliable after the upgrade.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(errGone)
	c := &connection{
		s: s, cancel: cancel, remote: r.RemoteAddr, idle: time.Now(),
		messages: rate.NewLimiter(messagesPerSecond, messagesBurst),
		faults:   rate.NewLimiter(faultsPerSecond, faultsBurst),
	}
	c.out = newOutbox(s.cfg.MaxQueue, func() { cancel(errSlow) })
	if !s.register(c) {
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	defer s.unregister(ctx, c)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	c.ws = ws
	ws.SetReadLimit(hardLimit)
	var tasks sync.WaitGroup
	tasks.Go(func() { s.guard("writer", func() { c.write(ctx) }) })
	tasks.Go(func() { s.guard("heartbeat", func() { c.heartbeat(ctx) }) })
	s.guard("connection of "+c.remote, func() { c.read(ctx) })
	cancel(errGone)
	tasks.Wait()
	ws.CloseNow()
}

func (s *Service) register(c *connection) (ok bool) {
	s.locked(func() {
		if ok = !s.closed && len(s.conns) < s.cfg.MaxConnections; ok {
			s.conns[c] = struct{}{}
		}
	})
	return ok
}

func (s *Service) unregister(ctx context.Context, c *connection) {
	cause := context.Cause(ctx)
	s.update(func() {
		delete(s.conns, c)
		if c.login == nil {
			return
		}
		s.log.Info("connection lost", "room", c.login.room.id, "user", c.login.user.UserID, "cause", cause)
		reason := signal.DeletedConnection
		if errors.Is(cause, errHeartbeat) {
			reason = signal.DeletedHeartbeat
		}
		s.drop(c.login, reason)
		c.login = nil
	})
}

func (c *connection) write(ctx context.Context) {
	if c.out.run(ctx, c.ws) {
		c.ws.Close(c.out.code, c.out.reason)
	}
	c.cancel(errGone)
}

func (c *connection) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(c.s.cfg.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		pctx, cancel := context.WithTimeout(ctx, c.s.cfg.PingTimeout)
		err := c.ws.Ping(pctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			c.cancel(errHeartbeat)
		} else if err != nil {
			c.cancel(errGone)
		}
	}
}

// read answers message after message until the connection ends.
func (c *connection) read(ctx context.Context) {
	for {
		kind, r, err := c.ws.Reader(ctx)
		if err != nil {
			return
		}
		limit := c.limit()
		data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
		if err != nil {
			return
		}
		fault := c.check(kind, data, limit)
		if len(data) > limit {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return
			}
		}
		if !c.messages.Allow() || (fault != nil && !c.faults.Allow()) {
			c.flood()
			return
		}
		if fault != nil {
			c.send(encode(signal.Message{ID: json.RawMessage("null"), Error: fault}))
			continue
		}
		if !c.serve(ctx, data) {
			return
		}
	}
}

func (c *connection) limit() (n int) {
	c.s.locked(func() {
		if c.login == nil {
			n = messageLimitLogin
			return
		}
		n = messageLimit + sectionLimit*c.login.most
	})
	return n
}

func (c *connection) check(kind websocket.MessageType, data []byte, limit int) *signal.Error {
	switch {
	case len(data) > limit:
		return fault(signal.CodeInvalidRequest, "the message is longer than %d bytes", limit)
	case kind != websocket.MessageText:
		return fault(signal.CodeInvalidRequest, "messages are text frames, not binary ones")
	case !utf8.Valid(data) || !json.Valid(data):
		return fault(signal.CodeParse, "the message is not JSON")
	case bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")):
		return fault(signal.CodeInvalidRequest, "batches are not supported; send one request in a message")
	}
	return nil
}

// flood says goodbye and waits until that is written.
func (c *connection) flood() {
	c.s.log.Warn("flood", "remote", c.remote)
	c.send(encode(signal.Message{ID: json.RawMessage("null"), Error: fault(signal.CodeFlood, "too many messages; the connection is closed")}))
	c.out.end(websocket.StatusPolicyViolation, errFlood.Error())
	c.drain()
}

// drain reads and ignores until the writer has closed the connection, so that
// its last words arrive.
func (c *connection) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*writeTimeout)
	defer cancel()
	for {
		if _, r, err := c.ws.Reader(ctx); err != nil {
			return
		} else if _, err := io.Copy(io.Discard, r); err != nil {
			return
		}
	}
}

func (c *connection) send(message []byte) { c.out.put(message) }

func (c *connection) notify(method string, params any) { c.send(notification(method, params)) }
