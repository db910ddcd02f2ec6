package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mixdown/storage"
	"mixdown/storage/s3"
	"mixdown/storage/storagetest"
)

// TestProbe: what can be wrong with a bucket has a name each, told in time,
// and a bucket that is well is left as it was.
func TestProbe(t *testing.T) {
	server := storagetest.StartS3(t)
	proxied := func(spoil func(w http.ResponseWriter, r *http.Request, forward http.Handler)) func(*testing.T, *s3.Config) {
		return func(t *testing.T, c *s3.Config) {
			f := newFaulty(t, server)
			f.spoil.Store(&spoil)
			c.Endpoint = f.URL
		}
	}
	// changed lets the server's answer through a change.
	changed := func(change func(r *http.Request, h http.Header, body []byte) []byte) func(*testing.T, *s3.Config) {
		return proxied(func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
			rec := httptest.NewRecorder()
			forward.ServeHTTP(rec, r)
			body := change(r, rec.Header(), rec.Body.Bytes())
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	}
	answer := func(status int, code string) func(*testing.T, *s3.Config) {
		return proxied(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>x</Message></Error>")
		})
	}
	date := func(off time.Duration) func(*testing.T, *s3.Config) {
		return changed(func(_ *http.Request, h http.Header, body []byte) []byte {
			h.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			return body
		})
	}
	for name, test := range map[string]struct {
		spoil     func(*testing.T, *s3.Config)
		lock      storage.LockMode
		want      storage.FailureCode
		permanent bool
	}{
		"well":          {func(*testing.T, *s3.Config) {}, "", "", false},
		"clock off 1 h": {date(-time.Hour), "", storage.ClockSkew, true},
		"clock off 20m": {date(20 * time.Minute), "", storage.ClockSkew, true},
		"clock off 5 m": {date(5 * time.Minute), "", "", false},
		"skew refused":  {answer(403, "RequestTimeTooSkewed"), "", storage.ClockSkew, true},
		"secret key":    {func(_ *testing.T, c *s3.Config) { c.SecretKey += "x" }, "", storage.WrongKey, true},
		"access key":    {func(_ *testing.T, c *s3.Config) { c.AccessKey += "x" }, "", storage.WrongKey, true},
		"region":        {func(_ *testing.T, c *s3.Config) { c.Region = "eu-west-7" }, "", storage.WrongRegion, true},
		"bucket":        {func(_ *testing.T, c *s3.Config) { c.Bucket = "no-such-bucket" }, "", storage.NoBucket, true},
		"lock":          {func(*testing.T, *s3.Config) {}, storage.Compliance, storage.NoLock, true},
		"denied":        {answer(403, "AccessDenied"), "", storage.AccessDenied, true},
		"busy":          {answer(503, "SlowDown"), "", storage.Unreachable, false},
		"no S3":         {answer(405, "MethodNotAllowed"), "", storage.Unsupported, true},
		"corrupt": {changed(func(r *http.Request, _ http.Header, body []byte) []byte {
			if r.Method == http.MethodGet && !r.URL.Query().Has("versions") {
				return bytes.Repeat([]byte("x"), len(body))
			}
			return body
		}), "", storage.Corrupt, true},
		"gone": {func(_ *testing.T, c *s3.Config) {
			gone := httptest.NewServer(http.NotFoundHandler())
			gone.Close()
			c.Endpoint = gone.URL
		}, "", storage.Unreachable, false},
		"black hole": {func(t *testing.T, c *s3.Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0") // its queue accepts, nobody answers
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			c.Endpoint = "http://" + l.Addr().String()
		}, "", storage.Unreachable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(server)
			test.spoil(t, &c)
			patience := 30 * time.Second // sixteen at once keep a small machine busy
			if name == "gone" || name == "black hole" {
				patience = 2500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			start := time.Now()
			p, err := storage.Probe(ctx, open(t, c), storage.ProbeOptions{Lock: test.lock})
			if took := time.Since(start); took > 10*time.Second || p.Took > took {
				t.Errorf("the answer took %v, it says %v", took, p.Took)
			}
			if got := storage.FailureOf(err); got != test.want || errors.Is(err, storage.ErrPermanent) != test.permanent {
				t.Errorf("%q: %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), server.SecretKey) {
				t.Errorf("%v holds the secret key", err)
			}
			if name == "clock off 5 m" && (p.Skew > -4*time.Minute || p.Skew < -6*time.Minute) {
				t.Errorf("skew %v", p.Skew)
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		for o, err := range open(t, config(server)).List(context.Background(), "") {
			t.Errorf("a probe left %s, %v", o.Key, err)
		}
	})
}

// An access key that must not delete is good practice, not an obstacle.
func TestProbeWithoutDelete(t *testing.T) {
	server := storagetest.StartS3(t)
	f := newFaulty(t, server)
	deny := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code></Error>")
			return
		}
		forward.ServeHTTP(w, r)
	}
	f.spoil.Store(&deny)
	c := config(server)
	c.Endpoint = f.URL
	p, err := storage.Probe(t.Context(), open(t, c), storage.ProbeOptions{})
	if err != nil || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "must not delete") {
		t.Errorf("%+v, %v", p, err)
	}
}
