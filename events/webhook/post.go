package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	attemptTimeout = 15 * time.Second
	maxAnswer      = 4 << 10 // of a response's body is read
	maxRetryAfter  = time.Hour
)

// Attempt is how a try to deliver went.
type Attempt struct {
	Status int           `json:"status,omitempty" doc:"Of the response."`
	Error  string        `json:"error,omitempty" doc:"Why it was not taken; missing if it was."`
	Took   time.Duration `json:"-"`

	after time.Duration // what the endpoint asked for by Retry-After
}

// ok says that the endpoint took it.
func (a Attempt) ok() bool { return a.Error == "" }

// post makes one attempt. Its error goes to operators: it names the endpoint's
// answer, never a secret.
func (s *Sender) post(ctx context.Context, d definition, id string, body []byte) Attempt {
	start := time.Now()
	a := s.try(ctx, d, id, body)
	a.Took = time.Since(start)
	return a
}

func (s *Sender) try(ctx context.Context, d definition, id string, body []byte) Attempt {
	now := time.Now()
	signature, err := d.sign(id, now, body)
	if err != nil {
		return Attempt{Error: "sign: " + err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		return Attempt{Error: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mixdown-Webhook/1")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a token
		}
		return Attempt{Error: err.Error()}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what it says is of no consequence
	a := Attempt{Status: resp.StatusCode}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		a.Error = fmt.Sprintf("answered %d; redirects are not followed", resp.StatusCode)
	default:
		a.Error = strings.TrimSpace(fmt.Sprintf("answered %d %s", resp.StatusCode, printable(text)))
		a.after = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	return a
}

// printable is the beginning of a text, fit for a log.
func printable(b []byte) string {
	b = b[:min(len(b), 200)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, string(b))
}

// retryAfter reads the header (RFC 9110, section 10.2.3); zero is nothing
// usable.
func retryAfter(v string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(v); err == nil {
		d = time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
