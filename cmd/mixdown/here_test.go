package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mixdown/configs"
	"mixdown/rooms/token"
	"mixdown/servertest"
	"mixdown/storage"
	"mixdown/storage/storagetest"
)

// here is a daemon in this process.
type here struct {
	*daemon
	t      testing.TB
	at     addresses
	log    *servertest.Log
	client *client
	stop   func()
}

// startHere starts a daemon over a fresh data folder, or the one that edit
// names. It ends with the test, or with stop.
func startHere(t testing.TB, edit ...func(*configs.Config)) *here {
	t.Helper()
	c := configs.Default()
	c.Listen, c.UDP, c.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	c.Log.Level = "debug"
	for _, e := range edit {
		e(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	h := &here{t: t, log: &servertest.Log{}}
	var err error
	if h.daemon, err = newDaemon(c, newLog(h.log, c.Log)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan addresses, 1)
	ended := make(chan error, 1)
	go func() { ended <- h.daemon.run(ctx, func(a addresses) { ready <- a }) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with: %v", err)
		}
		if t.Failed() {
			t.Logf("the daemon said:\n%s", h.log)
		}
	})
	t.Cleanup(func() { h.stop() })
	select {
	case h.at = <-ready:
	case err := <-ended:
		t.Fatalf("the daemon did not start: %v", err)
	}
	h.client = &client{url: h.at.HTTP, key: h.key, http: http.DefaultClient}
	return h
}

// mint makes a login token for a room of this daemon.
func (h *here) mint(room, user string) string {
	h.t.Helper()
	now := time.Now()
	s, err := h.rooms.MintToken(token.Claims{
		UserID: user, RoomID: room, Login: true, Publish: true, Created: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// join brings a person who publishes packets into a room.
func (h *here) join(room, user string, packets []sound) *person {
	h.t.Helper()
	return join(h.t, h.at.HTTP, room, user, packets, func(user string) (string, error) { return h.mint(room, user), nil })
}

// answer is what the API said.
type answer struct {
	t      testing.TB
	call   string
	status int
	header http.Header
	body   []byte
}

// ask makes a request with the daemon's key. A body that is not a string is
// sent as JSON.
func (h *here) ask(method, path string, body any, header ...string) answer {
	h.t.Helper()
	return h.askAs(h.key, method, path, body, header...)
}

func (h *here) askAs(key, method, path string, body any, header ...string) answer {
	h.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.at.HTTP+path, in)
	if err != nil {
		h.t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Errorf("%s %s: read the answer: %v", method, path, err)
	}
	return answer{h.t, method + " " + path, resp.StatusCode, resp.Header, raw}
}

// ok fails the test unless the answer has the status.
func (a answer) ok(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: %d instead of %d: %s", a.call, a.status, status, a.body)
	}
	return a
}

// problem fails the test unless the answer is a problem (RFC 9457) with this
// status and code, and says something.
func (a answer) problem(status int, code string) answer {
	a.t.Helper()
	var p struct {
		Status              int
		Title, Code, Detail string
	}
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s: %d %s is no problem+json: %.300s", a.call, a.status, a.header.Get("Content-Type"), a.body)
		return a
	}
	if a.status != status || p.Status != status || p.Code != code || p.Title == "" || p.Detail == "" {
		a.t.Errorf("%s: %d, want %d %s: %s", a.call, a.status, status, code, a.body)
	}
	return a
}

// decode reads the answer's JSON.
func decode[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%s: %v: %.300s", a.call, err, a.body)
	}
	return v
}

// content is the bytes of every object below a prefix.
func content(t testing.TB, b storage.Browser, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := b.Open(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatalf("read %s: %v", o.Key, err)
		}
		all[o.Key] = string(raw)
	}
	return all
}

// writeConfig writes a configuration as YAML, with the API key.
func writeConfig(t testing.TB, c configs.Config) string {
	t.Helper()
	raw, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "mixdown.yaml")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// withBucket starts an S3 server and says how a daemon gets it as the storage
// archive.
func withBucket(t testing.TB) (func(*configs.Config), storagetest.S3) {
	t.Helper()
	s := storagetest.StartS3(t)
	return func(c *configs.Config) { c.Storages = map[string]configs.Storage{"archive": archive(s)} }, s
}

func archive(s storagetest.S3) configs.Storage {
	return configs.Storage{
		Type: "s3", Endpoint: "http://" + s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: "calls",
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, PathStyle: true,
	}
}

// parseMetrics reads the text form of Prometheus: name{labels} value.
func parseMetrics(t testing.TB, text []byte) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "# HELP ") || strings.HasPrefix(line, "# TYPE ") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if at < 0 || err != nil {
			t.Errorf("metrics: %q", line)
			continue
		}
		values[line[:at]] = v
	}
	return values
}
