package livekit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	lk "github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"mixdown/joiner"
)

const (
	protocolVersion = "16"
	dialTimeout     = 4 * time.Second
	writeTimeout    = 5 * time.Second
	pingInterval    = 2 * time.Second
	pongTimeout     = 6 * time.Second
	maxMessage      = 16 << 20
	// messagesQueued may wait for the connection's loop, which never waits for
	// the server; a room of some thousand users fits.
	messagesQueued = 4096
)

// signalURL is where a server's signalling is, given the server's URL.
func signalURL(server string) (*url.URL, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("%w: LiveKit URL: %w", joiner.ErrPermanent, err)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return nil, fmt.Errorf("%w: LiveKit URL %q: the scheme is not ws or wss", joiner.ErrPermanent, server)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("%w: LiveKit URL %q names no host", joiner.ErrPermanent, server)
	}
	return u.JoinPath("rtc"), nil
}

// wire is the client's side of LiveKit's signalling over one WebSocket.
type wire struct {
	ws       *websocket.Conn
	log      *slog.Logger
	messages chan *lk.SignalResponse // in order
	heard    atomic.Int64            // unix ns of the last message
	rtt      atomic.Int64            // ms
}

// dial opens the WebSocket. Two attempts at once would be two logins, which
// throw each other out: there is one, and it is not given long.
func dial(ctx context.Context, client *http.Client, endpoint *url.URL, token string, query map[string]string, log *slog.Logger) (*wire, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errors.New("no answer"))
	defer cancel()
	u := *endpoint
	q := url.Values{"protocol": {protocolVersion}, "auto_subscribe": {"0"}, "version": {"1"}}
	for k, v := range query {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	// In a header the token stays out of the logs of proxies.
	ws, response, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		return nil, refusal(ctx, endpoint, token, response, err)
	}
	ws.SetReadLimit(maxMessage)
	w := &wire{ws: ws, log: log, messages: make(chan *lk.SignalResponse, messagesQueued)}
	w.heard.Store(time.Now().UnixNano())
	return w, nil
}

// refusal words why there is no WebSocket.
func refusal(ctx context.Context, endpoint *url.URL, token string, response *http.Response, err error) error {
	where := "connect to LiveKit at " + endpoint.Host
	if response == nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1024)) // a word on why, if there is one
	// It repeats a token that it does not like, perhaps not to its end.
	word, _, _ := strings.Cut(string(body), token[:min(len(token), 16)])
	said := fmt.Errorf("%s: HTTP %d: %s", where, response.StatusCode, strings.TrimRight(word, " :\n"))
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w", joiner.ErrPermanent, said)
	case http.StatusNotFound:
		if strings.Contains(string(body), "room does not exist") { // the server makes none by itself
			return fmt.Errorf("%w: %w", joiner.ErrPermanent, said)
		}
	}
	return said
}

// first waits for the answer to the login.
func (w *wire) first(ctx context.Context) (*lk.SignalResponse, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errors.New("no answer to the login"))
	defer cancel()
	m, err := w.next(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, err
}

func (w *wire) next(ctx context.Context) (*lk.SignalResponse, error) {
	_, data, err := w.ws.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read from LiveKit: %w", err)
	}
	w.heard.Store(time.Now().UnixNano())
	m := new(lk.SignalResponse)
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read from LiveKit: %w", err)
	}
	return m, nil
}

// read delivers what the server sends until the WebSocket is over.
func (w *wire) read(ctx context.Context) error {
	for {
		m, err := w.next(ctx)
		if err != nil {
			return err
		}
		if pong := m.GetPongResp(); pong != nil {
			w.rtt.Store(max(0, time.Now().UnixMilli()-pong.LastPingTimestamp))
			continue
		}
		select {
		case w.messages <- m:
		default:
			return errors.New("read from LiveKit: too many messages at once")
		}
	}
}

// beat tells the server that we are there, and notices when it is not.
func (w *wire) beat(ctx context.Context) error {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-tick.C:
			if now.Sub(time.Unix(0, w.heard.Load())) > pongTimeout {
				return errors.New("LiveKit does not answer")
			}
		}
		ping := &lk.Ping{Timestamp: time.Now().UnixMilli(), Rtt: w.rtt.Load()}
		if err := w.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_PingReq{PingReq: ping}}); err != nil {
			return err
		}
	}
}

func (w *wire) send(ctx context.Context, m *lk.SignalRequest) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	data, err := proto.Marshal(m)
	if err == nil {
		err = w.ws.Write(ctx, websocket.MessageBinary, data)
	}
	if err != nil {
		return fmt.Errorf("write to LiveKit: %w", err)
	}
	return nil
}

// leave says goodbye; the server needs not answer.
func (w *wire) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	leave := &lk.LeaveRequest{Reason: lk.DisconnectReason_CLIENT_INITIATED, Action: lk.LeaveRequest_DISCONNECT}
	if err := w.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_Leave{Leave: leave}}); err != nil {
		w.log.Debug("leave", "err", err)
		return
	}
	_ = w.ws.Close(websocket.StatusNormalClosure, "") // it waits for the server to have read it
}
