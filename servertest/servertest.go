// Package servertest runs the real servers that tests need as processes of
// their own, on loopback: an S3 server, room servers, media servers. What each
// of them is told stands in a package beside its user (storage/storagetest,
// joiner/livekit/livekittest, joiner/whep/mediamtxtest). No program imports it.
package servertest

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a server may take until it answers.
const patience = 20 * time.Second

// Process is a server that runs.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Run starts a server and waits until it answers. It is nil if the server ended
// instead, or did not answer in time: another process can take its port in
// between, so the caller may try again. Kill ends it.
func Run(t testing.TB, cmd *exec.Cmd, answers func() bool) *Process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its state does not matter
		close(p.ended)
	}()
	deadline := time.After(patience)
	for !answers() {
		select {
		case <-p.ended:
			return nil
		case <-deadline:
			p.Kill()
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	return p
}

// Kill ends the server as a power cut would, and waits. It may have ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Listens says whether something takes TCP connections at an address.
func Listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Answers says whether something answers at a URL, whatever it says.
func Answers(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}

// FreeAddress is a loopback address, with a port that nobody uses, of network
// tcp or udp.
func FreeAddress(t testing.TB, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Program is the path of a program that tests need. It is looked for in
// $MIXDOWN_TOOLS, in .cache/bin of the repository and in PATH; `make test`
// installs it.
func Program(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("MIXDOWN_TOOLS"); dir != "" {
		if p := filepath.Join(dir, name); executable(p) {
			return p
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if p := filepath.Join(dir, ".cache", "bin", name); executable(p) {
				return p
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run `make test`, which installs it, or set MIXDOWN_TOOLS to the folder that holds it", name)
	}
	return p
}

func executable(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Log keeps what is written to it. The zero value is ready.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tail is the last lines of it.
func (l *Log) Tail(lines int) string {
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Reset forgets what was written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
