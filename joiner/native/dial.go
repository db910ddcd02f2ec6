package native

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"mixdown/joiner"
)

const (
	dialTimeout = 10 * time.Second
	// A connection attempt into a dead link hangs although the link may be
	// back at any moment, so another one is started beside it every second.
	dialAgain = time.Second
	// An offer of some hundred streams is some hundred KiB.
	maxMessage = 16 << 20
)

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%w: room URL: %w", joiner.ErrPermanent, err)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return fmt.Errorf("%w: room URL %q: the scheme is not ws or wss", joiner.ErrPermanent, s)
	}
	if u.Host == "" {
		return fmt.Errorf("%w: room URL %q names no host", joiner.ErrPermanent, s)
	}
	return nil
}

// dial opens the WebSocket: the first attempt that is answered decides, well
// or ill.
func dial(ctx context.Context, client *http.Client, url string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errors.New("no answer"))
	type outcome struct {
		ws  *websocket.Conn
		err error
	}
	outcomes := make(chan outcome)
	var attempts sync.WaitGroup
	attempt := func() {
		ws, err := dialOnce(ctx, client, url)
		select {
		case outcomes <- outcome{ws, err}:
		case <-ctx.Done():
			if ws != nil {
				_ = ws.CloseNow()
			}
		}
	}
	defer attempts.Wait()
	defer cancel()
	again := time.NewTicker(dialAgain)
	defer again.Stop()
	for {
		attempts.Go(attempt)
		select {
		case o := <-outcomes:
			return o.ws, o.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-again.C:
		}
	}
}

func dialOnce(ctx context.Context, client *http.Client, url string) (*websocket.Conn, error) {
	ws, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if response != nil && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden) {
			return nil, fmt.Errorf("%w: %w", joiner.ErrPermanent, err)
		}
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	return ws, nil
}
