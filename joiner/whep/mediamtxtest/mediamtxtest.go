// Package mediamtxtest is a real media server, MediaMTX, on loopback: the other
// end of WHEP and WHIP for the tests of joiner/whep and of the daemon. No
// program imports it.
package mediamtxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mixdown/servertest"
)

// Server is a MediaMTX with three doors. Its addresses stay the same over Kill
// and Start.
type Server struct {
	// Publisher and Reader are the tokens that publishing and playing need.
	Publisher, Reader string

	t                 testing.TB
	config            string
	http, media, rtsp string
	process           *servertest.Process
	log               servertest.Log
}

// New starts a server. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, Publisher: "publisher:whip-token-canary-77ab", Reader: "reader:whep-token-canary-19cd", config: filepath.Join(t.TempDir(), "mediamtx.yml")}
	for attempt := 1; ; attempt++ {
		s.http, s.media, s.rtsp = servertest.FreeAddress(t, "tcp"), servertest.FreeAddress(t, "udp"), servertest.FreeAddress(t, "tcp")
		if err := os.WriteFile(s.config, fmt.Appendf(nil, config, s.rtsp, s.http, s.media), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.start() {
			break
		}
		if attempt == 3 { // another process can take a port in between
			t.Fatalf("mediamtx does not answer:\n%s", s.log.String())
		}
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("mediamtx said:\n%s", s.log.String())
		}
	})
	return s
}

// config names only what differs from MediaMTX's defaults. A bearer token
// "user:password" counts as basic credentials.
const config = `
rtspAddress: %s
rtspTransports: [tcp]
webrtcAddress: %s
webrtcLocalUDPAddress: %s
webrtcIPsFromInterfaces: no
webrtcAdditionalHosts: [127.0.0.1]
rtmp: no
hls: no
srt: no
authInternalUsers:
- {user: publisher, pass: whip-token-canary-77ab, permissions: [{action: publish}]}
- {user: reader, pass: whep-token-canary-19cd, permissions: [{action: read}]}
paths:
  all_others:
`

// WHIP, WHEP and RTSP are the addresses of a path.
func (s *Server) WHIP(path string) string { return "http://" + s.http + "/" + path + "/whip" }
func (s *Server) WHEP(path string) string { return "http://" + s.http + "/" + path + "/whep" }
func (s *Server) RTSP(path string) string { return "rtsp://" + s.Reader + "@" + s.rtsp + "/" + path }

// Start starts the server again after Kill.
func (s *Server) Start() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatal("mediamtx does not start again")
	}
}

func (s *Server) start() bool {
	cmd := exec.Command(servertest.Program(s.t, "mediamtx"), s.config)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	s.process = servertest.Run(s.t, cmd, func() bool { return servertest.Listens(s.http) })
	return s.process != nil
}

// Kill ends the server without a word to anybody.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
	}
}
