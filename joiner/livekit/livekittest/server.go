// Package livekittest gives tests a real LiveKit server, or a cluster of them,
// and people who publish through LiveKit's own SDK.
//
// It stands beside the line: the tests of joiner/livekit and of the daemon call
// it. A test that needs a server fails without the program; `make test` installs
// it.
package livekittest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"mixdown/storage/storagetest"
)

// Key and Secret are the API key of every server here, and its secret.
const (
	Key    = "mixdown-tests"
	Secret = "test-secret-canary-0123456789abcdef"
)

// Server is one LiveKit server on loopback.
type Server struct {
	URL string // ws://127.0.0.1:…

	t       testing.TB
	program string
	config  string // file
	port    int
	cmd     *exec.Cmd
	ended   chan struct{}
	log     lockedBuffer
}

// Option adds a line to a server's configuration.
type Option func(config *strings.Builder)

// Webhooks lets the server tell of its rooms to a URL.
func Webhooks(url string) Option {
	return func(c *strings.Builder) {
		fmt.Fprintf(c, "webhook:\n  api_key: %s\n  urls: [%q]\n", Key, url)
	}
}

// Redis makes the server a node of the cluster at a Redis server.
func Redis(address string) Option {
	return func(c *strings.Builder) { fmt.Fprintf(c, "redis:\n  address: %s\n", address) }
}

// Start starts a server; it ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, program: storagetest.Program(t, "livekit-server"), config: filepath.Join(t.TempDir(), "livekit.yaml")}
	s.port = freePort(t, "tcp")
	var c strings.Builder
	fmt.Fprintf(&c, "port: %d\nbind_addresses: [127.0.0.1]\nlog_level: error\n", s.port)
	fmt.Fprintf(&c, "keys:\n  %s: %s\n", Key, Secret)
	fmt.Fprintf(&c, "rtc:\n  udp_port: %d\n  tcp_port: %d\n  use_external_ip: false\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n  interfaces:\n    includes: [lo]\n",
		freePort(t, "udp"), freePort(t, "tcp"))
	// A room that everybody has left is closed at once, so that a test can wait
	// for it.
	fmt.Fprint(&c, "room:\n  departure_timeout: 2\n")
	for _, o := range options {
		o(&c)
	}
	if err := os.WriteFile(s.config, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.URL = fmt.Sprintf("ws://127.0.0.1:%d", s.port)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("LiveKit at %s said:\n%s", s.URL, s.log.tail(20))
		}
	})
	s.Run()
	return s
}

// Run starts the server again after Kill, at the same address.
func (s *Server) Run() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, "--config", s.config)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start livekit-server: %v", err)
	}
	ended := make(chan struct{})
	s.ended = ended
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // its state does not matter
		close(ended)
	}()
	deadline := time.After(20 * time.Second)
	for {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", s.port))
		if err == nil {
			response.Body.Close()
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("livekit-server ended:\n%s", s.log.tail(30))
		case <-deadline:
			s.t.Fatalf("livekit-server does not answer:\n%s", s.log.tail(30))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server as a power cut would.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-s.ended
	s.cmd = nil
}

// Rooms is the server's API.
func (s *Server) Rooms() *lksdk.RoomServiceClient {
	return lksdk.NewRoomServiceClient("http"+strings.TrimPrefix(s.URL, "ws"), Key, Secret)
}

// StartRedis starts a Redis server on loopback and returns its address.
func StartRedis(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing; make test installs it")
	}
	port := freePort(t, "tcp")
	cmd := exec.Command(program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // its state does not matter
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if time.Now().After(until) {
			t.Fatalf("redis-server does not answer: %v", err)
		}
	}
}

func freePort(t testing.TB, network string) int {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// tail is the end of what was written, in lines.
func (l *lockedBuffer) tail(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimSpace(l.b.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
