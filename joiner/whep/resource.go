package whep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mixdown/joiner"
	"mixdown/netguard"
)

const (
	sdpType = "application/sdp"

	requestTimeout = 5 * time.Second
	deleteTimeout  = time.Second
	maxRedirects   = 5
	maxAnswer      = 256 << 10
	maxRetryAfter  = time.Minute
)

// errUnreachable is wrapped by the errors of a server that does not answer, or
// answers that it cannot work now.
var errUnreachable = errors.New("not reached")

// refusal is a server's answer that is not 201 Created.
type refusal struct {
	host   string
	status int
	detail string
	after  time.Duration // when to come again, if the server says so
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("%s answers %d %s", r.host, r.status, http.StatusText(r.status))
	if r.detail != "" {
		s += ": " + r.detail
	}
	return s
}

// forGood says that asking again with the same token is useless.
func (r *refusal) forGood() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
}

func (r *refusal) Is(target error) bool {
	return target == joiner.ErrPermanent && r.forGood() || target == errUnreachable && r.status >= 500
}

// client speaks HTTP with WHIP and WHEP endpoints. They are alike: one POST of
// an offer makes a session, whose resource is deleted at the end (RFC 9725,
// section 4.2; draft-ietf-wish-whep, section 4).
type client struct {
	http  *http.Client
	guard *netguard.Guard // nil lets everything through
	log   *slog.Logger
}

func newClient(transport http.RoundTripper, guard *netguard.Guard, log *slog.Logger) *client {
	return &client{guard: guard, log: log, http: &http.Client{
		Transport: transport,
		// Redirects are followed here: each is a URL that somebody else chose.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// resource is a session at a server.
type resource struct {
	c     *client
	url   *url.URL // nil: the server named none
	token string
}

// post offers sdp to an endpoint and returns the answer. Redirects with 307 and
// 308 are followed (RFC 9725, section 4.5), with the token: the server that it
// is for has named the place.
func (c *client) post(ctx context.Context, to joiner.Endpoint, sdp string) (answer string, r *resource, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errors.New("no answer"))
	defer cancel()
	at, err := url.Parse(to.URL)
	if err != nil {
		return "", nil, fmt.Errorf("%w: the URL of %s cannot be read", joiner.ErrPermanent, to.StreamID)
	}
	for range maxRedirects {
		response, err := c.do(ctx, http.MethodPost, at, to.Token, sdp)
		if err != nil {
			return "", nil, err
		}
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		_ = response.Body.Close()
		if err != nil {
			return "", nil, fmt.Errorf("%w: answer of %s: %w", errUnreachable, at.Host, err)
		}
		switch response.StatusCode {
		case http.StatusCreated:
			r := &resource{c: c, token: to.Token}
			if r.url, err = c.location(at, response); err != nil {
				c.log.Warn("the session has no resource that could be deleted", "stream", to.StreamID, "err", err)
			}
			return string(answer), r, nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			if at, err = c.location(at, response); err != nil {
				return "", nil, fmt.Errorf("redirect of %s: %w", to.StreamID, err)
			}
		default:
			return "", nil, refusalOf(at.Host, response, answer, to.Token)
		}
	}
	return "", nil, fmt.Errorf("%s redirects more than %d times", at.Host, maxRedirects)
}

// do sends a request and hides the URL from the error: it may be a secret.
func (c *client) do(ctx context.Context, method string, at *url.URL, token, body string) (*http.Response, error) {
	if c.guard != nil {
		if err := c.guard.CheckURL(at.String()); err != nil {
			return nil, fmt.Errorf("%s: %w", at.Host, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at.Host, hidden(err))
	}
	if body != "" {
		request.Header.Set("Content-Type", sdpType)
		request.Header.Set("Accept", sdpType)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s %w: %w", at.Host, errUnreachable, hidden(err))
	}
	return response, nil
}

// hidden is an error of package net/http without the URL that it names.
func hidden(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// location is where a response points to. What was asked for in secret is not
// told in the open.
func (c *client) location(from *url.URL, response *http.Response) (*url.URL, error) {
	text := response.Header.Get("Location")
	if text == "" {
		return nil, errors.New("the answer has no Location")
	}
	to, err := from.Parse(text)
	if err != nil {
		return nil, errors.New("the answer's Location is no URL")
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, errors.New("the answer's Location is not https")
	}
	return to, nil
}

// refusalOf makes an error of an answer that is no 201.
func refusalOf(host string, response *http.Response, body []byte, token string) error {
	r := &refusal{host: host, status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	detail := strings.ToValidUTF8(strings.Join(strings.Fields(string(body[:min(len(body), 200)])), " "), "")
	if token != "" {
		detail = strings.ReplaceAll(detail, token, "***")
	}
	r.detail = detail
	return r
}

// delete ends the session at the server, and says whether it answered.
func (r *resource) delete() bool {
	if r == nil || r.url == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	response, err := r.c.do(ctx, http.MethodDelete, r.url, r.token, "")
	if err != nil {
		r.c.log.Debug("delete session", "err", err)
		return false
	}
	_ = response.Body.Close()
	return true
}

// status asks for the session without getting it: 0 if there is no answer. A
// server need not know HEAD, but one that answers a session that is gone in
// another way than one that is not tells something by it.
func (r *resource) status(ctx context.Context) int {
	if r == nil || r.url == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := r.c.do(ctx, http.MethodHead, r.url, r.token, "")
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func gone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }
