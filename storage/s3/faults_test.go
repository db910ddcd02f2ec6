package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"mixdown/storage"
	"mixdown/storage/s3"
)

// fault spoils one request on its way to a real server.
type fault func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// status answers without asking the server.
func status(code int) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
	}
}

// faults are what can happen to any request.
var faults = map[string]fault{
	"403": status(403), "404": status(404), "409": status(409), "412": status(412),
	"429": status(429), "500": status(500), "503": status(503),
	"reset before": func(http.ResponseWriter, *http.Request, http.Handler) {
		panic(http.ErrAbortHandler)
	},
	"reset in the middle": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler)
	},
	"answer lost": func(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	},
	"never answers": func(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second): // the client has given up by then
		}
		panic(http.ErrAbortHandler)
	},
	"one byte a second": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		var b [1]byte
		for range 10 { // the client has given up by then
			_, _ = r.Body.Read(b[:])
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Second):
			}
		}
		panic(http.ErrAbortHandler)
	},
	"body corrupted": func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		forward.ServeHTTP(w, r)
	},
	"body cut": func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		body, _ := io.ReadAll(r.Body)
		body = body[:len(body)/2]
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		forward.ServeHTTP(w, r)
	},
	"another checksum told": func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		w = &liar{w}
		forward.ServeHTTP(w, r)
	},
	"not S3 at all": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>Bad Gateway</html>")
	},
}

// liar tells other checksums than the server.
type liar struct{ http.ResponseWriter }

func (l *liar) WriteHeader(code int) {
	if l.Header().Get("X-Amz-Checksum-Sha256") != "" {
		l.Header().Set("X-Amz-Checksum-Sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	}
	l.ResponseWriter.WriteHeader(code)
}

// impatient is an uploader that waits milliseconds where the real one waits
// seconds.
func impatient(s *storage.Spool, b *s3.Bucket) *storage.Uploader {
	return storage.NewUploader(s, map[string]storage.Bucket{"s3": b}, storage.Options{
		Backoff: func(int) time.Duration { return time.Millisecond }, Permanent: time.Millisecond,
		Deadline: func(int64) time.Duration { return 5 * time.Second },
	})
}

func commit(t *testing.T, s *storage.Spool, key string, content []byte) {
	t.Helper()
	f, err := s.Create(key)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		_, err = f.Commit([]string{"s3"})
	}
	if err != nil {
		t.Fatal(err)
	}
}
