package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mixdown/storage"
	"mixdown/storage/s3"
	"mixdown/storage/storagetest"
)

func config(server storagetest.S3) s3.Config {
	return s3.Config{
		Endpoint: server.Endpoint, Region: server.Region, Bucket: server.Bucket,
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, PathStyle: true,
	}
}

func open(t *testing.T, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(ctx context.Context, b *s3.Bucket, key string, data []byte) error {
	return b.Put(ctx, key, bytes.NewReader(data), storage.PutOptions{Size: int64(len(data)), SHA256: sha256.Sum256(data)})
}

func TestContract(t *testing.T) {
	server := storagetest.StartS3(t)
	buckets := 0
	storagetest.TestBucket(t, func(t *testing.T) storagetest.Bucket {
		buckets++
		c := config(server)
		c.Bucket = fmt.Sprintf("contract-%02d", buckets)
		if err := os.Mkdir(filepath.Join(filepath.Dir(server.Dir), c.Bucket), 0o700); err != nil {
			t.Fatal(err)
		}
		if buckets%2 == 0 {
			c.Prefix = "/some/where/"
		}
		return open(t, c)
	})
}

// The server behind the suite must be the one that counts: what Put stored is
// a file of the server, under the prefix.
func TestPrefix(t *testing.T) {
	server := storagetest.StartS3(t)
	c := config(server)
	c.Prefix = "tenant/a"
	b := open(t, c)
	if err := put(t.Context(), b, "room/call/x.ogg", []byte("audio")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(server.Dir, "tenant/a/room/call/x.ogg"))
	if err != nil || string(got) != "audio" {
		t.Errorf("stored: %q, %v", got, err)
	}
	for o, err := range open(t, config(server)).List(t.Context(), "") {
		if err != nil || o.Key != "tenant/a/room/call/x.ogg" {
			t.Errorf("listed %+v, %v", o, err)
		}
	}
}

// Errors that only an operator can mend say so, name endpoint and bucket, and
// never a secret.
func TestPermanentErrors(t *testing.T) {
	server := storagetest.StartS3(t)
	for name, spoil := range map[string]func(*s3.Config){
		"secret key": func(c *s3.Config) { c.SecretKey += "x" },
		"access key": func(c *s3.Config) { c.AccessKey += "x" },
		"bucket":     func(c *s3.Config) { c.Bucket = "no-such-bucket" },
		"name":       func(c *s3.Config) { c.Bucket = "Not_A_Bucket" },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server)
			spoil(&c)
			b := open(t, c)
			err := put(t.Context(), b, "k", []byte("x"))
			if !errors.Is(err, storage.ErrPermanent) {
				t.Fatalf("put: %v", err)
			}
			for _, part := range []string{c.Bucket, server.Endpoint} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not name %s", err, part)
				}
			}
			if strings.Contains(err.Error(), server.SecretKey) {
				t.Errorf("%v holds the secret key", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	b := open(t, s3.Config{Endpoint: gone.URL, Bucket: "bucket", AccessKey: "a", SecretKey: "secret-canary", PathStyle: true})
	err := put(t.Context(), b, "k", []byte("x"))
	if err == nil || errors.Is(err, storage.ErrPermanent) || !strings.Contains(err.Error(), "bucket") || strings.Contains(err.Error(), "canary") {
		t.Errorf("put: %v", err)
	}
}

// TestDial: every connection is made by the dialer that was given, whose
// refusal is told.
func TestDial(t *testing.T) {
	t.Parallel()
	no := errors.New("not there")
	dials := 0
	b, err := s3.New(s3.Config{Endpoint: "http://localhost:9", Bucket: "bucket", PathStyle: true, AccessKey: "a", SecretKey: "s", Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		dials++
		return nil, fmt.Errorf("%s: %w", address, no)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, no) || dials != 1 {
		t.Errorf("%d dials: %v", dials, err)
	}
}

func TestConfig(t *testing.T) {
	good := s3.Config{Endpoint: "localhost:1", Bucket: "b-b", AccessKey: "a", SecretKey: "canary"}
	if _, err := s3.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*s3.Config){
		"no endpoint": func(c *s3.Config) { c.Endpoint = "" },
		"scheme":      func(c *s3.Config) { c.Endpoint = "ftp://x" },
		"path":        func(c *s3.Config) { c.Endpoint = "https://x/bucket" },
		"credentials": func(c *s3.Config) { c.Endpoint = "https://u:canary@x" },
		"no bucket":   func(c *s3.Config) { c.Bucket = "" },
		"no secret":   func(c *s3.Config) { c.SecretKey = "" },
		"prefix":      func(c *s3.Config) { c.Prefix = "a/../b" },
	} {
		c := good
		spoil(&c)
		if _, err := s3.New(c); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// faulty stands before a real server and spoils what it is told to.
type faulty struct {
	*httptest.Server
	spoil    atomic.Pointer[func(w http.ResponseWriter, r *http.Request, forward http.Handler)]
	requests atomic.Int64
}

func newFaulty(t *testing.T, server storagetest.S3) *faulty {
	target, err := url.Parse("http://" + server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // what was signed
	}}
	f := new(faulty)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		if spoil := f.spoil.Load(); spoil != nil {
			(*spoil)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// behind is a bucket behind a proxy that can be told to spoil requests.
func behind(t *testing.T) (*faulty, *s3.Bucket) {
	t.Helper()
	server := storagetest.StartS3(t)
	f := newFaulty(t, server)
	c := config(server)
	c.Endpoint = f.URL
	return f, open(t, c)
}

// The answer is lost after the server stored the object: the next Put finds
// it there and is done.
func TestLostAnswer(t *testing.T) {
	f, b := behind(t)
	lose := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	f.spoil.Store(&lose)
	if err := put(t.Context(), b, "k", []byte("audio")); err == nil || errors.Is(err, storage.ErrPermanent) {
		t.Fatalf("put without an answer: %v", err)
	}
	f.spoil.Store(nil)
	if err := put(t.Context(), b, "k", []byte("audio")); err != nil {
		t.Fatalf("second put: %v", err)
	}
	if err := put(t.Context(), b, "k", []byte("other")); !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("put of another content: %v", err)
	}
}

// A server that knows from the headers that the key is taken answers and hangs
// up before it has read the body: what is there says what the answer was.
func TestHungUp(t *testing.T) {
	f, b := behind(t)
	content, other := bytes.Repeat([]byte("a"), 8<<20), bytes.Repeat([]byte("b"), 8<<20)
	if err := put(t.Context(), b, "k", content); err != nil {
		t.Fatal(err)
	}
	hangUp := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.Method != http.MethodPut {
			forward.ServeHTTP(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			err = conn.Close() // what was not read makes it a reset
		}
		if err != nil {
			t.Error(err)
		}
	}
	f.spoil.Store(&hangUp)
	for _, test := range []struct {
		key  string
		data []byte
		is   func(error) bool
	}{
		{"k", content, func(err error) bool { return err == nil }},
		{"k", other, func(err error) bool { return errors.Is(err, storage.ErrConflict) }},
		{"new", content, func(err error) bool { return err != nil && storage.FailureOf(err) == storage.Unreachable }},
	} {
		before := f.requests.Load()
		if err := put(t.Context(), b, test.key, test.data); err == nil || errors.Is(err, storage.ErrConflict) || f.requests.Load() != before+1 {
			t.Errorf("%s at first: %v, after %d requests", test.key, err, f.requests.Load()-before)
		}
		if err := put(t.Context(), b, test.key, test.data); !test.is(err) {
			t.Errorf("%s at last: %v", test.key, err)
		}
	}
	f.spoil.Store(nil)
	if err := put(t.Context(), b, "new", content); err != nil {
		t.Errorf("when the server is well again: %v", err)
	}
}

// One Put is one request: waiting and trying again is the uploader's.
func TestNoRetries(t *testing.T) {
	f, b := behind(t)
	for _, status := range []int{409, 429, 500, 503} {
		fail := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
		}
		f.spoil.Store(&fail)
		before := f.requests.Load()
		err := put(t.Context(), b, "k", []byte("audio"))
		if err == nil || errors.Is(err, storage.ErrPermanent) || errors.Is(err, storage.ErrConflict) {
			t.Errorf("status %d: %v", status, err)
		}
		if n := f.requests.Load() - before; n != 1 {
			t.Errorf("status %d: %d requests", status, n)
		}
	}
}

// A server that keeps no checksums is asked for the content itself.
func TestServerWithoutChecksums(t *testing.T) {
	f, b := behind(t)
	strip := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		rec := httptest.NewRecorder()
		forward.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			if !strings.HasPrefix(k, "X-Amz-Checksum") {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}
	f.spoil.Store(&strip)
	for range 2 {
		if err := put(t.Context(), b, "k", []byte("audio")); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := b.Stat(t.Context(), "k"); err != nil || o.SHA256 != [32]byte{} {
		t.Errorf("stat: %+v, %v", o, err)
	}
	if err := put(t.Context(), b, "k", []byte("other")); !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("put of another content: %v", err)
	}
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }
