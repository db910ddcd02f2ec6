// Package livekittest gives tests a real LiveKit server, or a cluster of them,
// and people who publish through LiveKit's own SDK.
//
// It stands beside the line: the tests of joiner/livekit and of the daemon call
// it. A test that needs a server fails without the program; `make test` installs
// it.
package livekittest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"mixdown/servertest"
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
	address string // host and port of its HTTP
	process *servertest.Process
	log     servertest.Log
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
	s := &Server{t: t, program: servertest.Program(t, "livekit-server"), config: filepath.Join(t.TempDir(), "livekit.yaml")}
	s.address = servertest.FreeAddress(t, "tcp")
	var c strings.Builder
	fmt.Fprintf(&c, "port: %s\nbind_addresses: [127.0.0.1]\nlog_level: error\n", portOf(s.address))
	fmt.Fprintf(&c, "keys:\n  %s: %s\n", Key, Secret)
	fmt.Fprintf(&c, "rtc:\n  udp_port: %s\n  tcp_port: %s\n  use_external_ip: false\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n  interfaces:\n    includes: [lo]\n",
		portOf(servertest.FreeAddress(t, "udp")), portOf(servertest.FreeAddress(t, "tcp")))
	// A room that everybody has left is closed at once, so that a test can wait
	// for it.
	fmt.Fprint(&c, "room:\n  departure_timeout: 2\n")
	for _, o := range options {
		o(&c)
	}
	if err := os.WriteFile(s.config, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.URL = "ws://" + s.address
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("LiveKit at %s said:\n%s", s.URL, s.log.Tail(20))
		}
	})
	s.Run()
	return s
}

// Run starts the server again after Kill, at the same address.
func (s *Server) Run() {
	s.t.Helper()
	cmd := exec.Command(s.program, "--config", s.config)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	s.process = servertest.Run(s.t, cmd, func() bool { return servertest.Answers("http://" + s.address) })
	if s.process == nil {
		s.t.Fatalf("livekit-server does not answer:\n%s", s.log.Tail(30))
	}
}

// Kill ends the server as a power cut would.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
	}
}

// Rooms is the server's API.
func (s *Server) Rooms() *lksdk.RoomServiceClient {
	return lksdk.NewRoomServiceClient("http"+strings.TrimPrefix(s.URL, "ws"), Key, Secret)
}

// StartRedis starts a Redis server on loopback and returns its address.
func StartRedis(t testing.TB) string {
	t.Helper()
	address := servertest.FreeAddress(t, "tcp")
	cmd := exec.Command(servertest.Program(t, "redis-server"), "--port", portOf(address), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	server := servertest.Run(t, cmd, func() bool { return servertest.Listens(address) })
	if server == nil {
		t.Fatal("redis-server does not answer")
	}
	t.Cleanup(server.Kill)
	return address
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
