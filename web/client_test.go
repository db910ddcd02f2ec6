package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestClientInNode runs the client's own tests: order of events, codes,
// reconnection, against a service and a browser made for it, with the clock in
// the test's hand.
func TestClientInNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs Node.js 20 or later (make test installs it): %v", err)
	}
	tests, err := filepath.Glob("client/test/*.test.js")
	check(t, err)
	if len(tests) == 0 {
		t.Fatal("no tests in client/test")
	}
	command := exec.CommandContext(t.Context(), node, append([]string{"--test", "--test-reporter=spec"}, tests...)...)
	command.Env = append(os.Environ(), "NODE_OPTIONS=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
