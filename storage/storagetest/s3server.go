package storagetest

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

// S3 is a running S3 server with one bucket, and its root keys.
type S3 struct {
	Endpoint  string // host:port, plain HTTP
	Region    string
	Bucket    string
	AccessKey string
	SecretKey string
	Dir       string // folder that holds the bucket's objects as files
}

// StartS3 starts versitygw on loopback over a folder of the test; it ends
// with the test.
func StartS3(t testing.TB) S3 {
	t.Helper()
	program := Program(t, "versitygw")
	root := t.TempDir()
	s := S3{Region: "us-east-1", Bucket: "recordings", AccessKey: "testaccess", SecretKey: "test-secret-canary-5d1f"}
	s.Dir = filepath.Join(root, s.Bucket)
	versions := t.TempDir() // of buckets that are made to keep them
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		s.Endpoint = freeAddress(t)
		output, up := startServer(t, program, s, "posix", "--versioning-dir", versions, root)
		if up {
			return s
		}
		if attempt == 3 { // another process can take the port in between
			t.Fatalf("versitygw does not answer on %s:\n%s", s.Endpoint, output)
		}
	}
}

func startServer(t testing.TB, program string, s S3, backend ...string) (output string, up bool) {
	var log lockedBuffer
	cmd := exec.Command(program, append([]string{"--port", s.Endpoint, "--region", s.Region, "--quiet"}, backend...)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := func() {
		cmd.Process.Kill()
		<-ended
	}
	deadline := time.After(10 * time.Second)
	for {
		response, err := http.Get("http://" + s.Endpoint + "/")
		if err == nil {
			response.Body.Close()
			t.Cleanup(stop)
			return "", true
		}
		select {
		case <-ended:
			return log.String(), false
		case <-deadline:
			stop()
			return log.String(), false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
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
		t.Fatalf("%s is not installed: run `make test`, which installs it into .cache/bin, or set MIXDOWN_TOOLS to the folder that holds it", name)
	}
	return p
}

func executable(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
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

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.b.String())
}
