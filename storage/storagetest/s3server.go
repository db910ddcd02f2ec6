package storagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mixdown/servertest"
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
	program := servertest.Program(t, "versitygw")
	root := t.TempDir()
	s := S3{Region: "us-east-1", Bucket: "recordings", AccessKey: "testaccess", SecretKey: "test-secret-canary-5d1f"}
	s.Dir = filepath.Join(root, s.Bucket)
	versions := t.TempDir() // of buckets that are made to keep them
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		s.Endpoint = servertest.FreeAddress(t, "tcp")
		output, up := startServer(t, program, s, "posix", "--versioning-dir", versions, root)
		if up {
			return s
		}
		if attempt == 3 { // another process can take the port in between
			t.Fatalf("versitygw does not answer on %s:\n%s", s.Endpoint, output)
		}
	}
}

// startServer says whether the server answers, and if not what it said.
func startServer(t testing.TB, program string, s S3, backend ...string) (output string, up bool) {
	var log servertest.Log
	cmd := exec.Command(program, append([]string{"--port", s.Endpoint, "--region", s.Region, "--quiet"}, backend...)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Stdout, cmd.Stderr = &log, &log
	server := servertest.Run(t, cmd, func() bool { return servertest.Answers("http://" + s.Endpoint + "/") })
	if server == nil {
		return log.Tail(30), false
	}
	t.Cleanup(server.Kill)
	return "", true
}
