package web_test

import (
	"bytes"
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

// TestClientIsBuilt: the client in the repository is what its sources make.
func TestClientIsBuilt(t *testing.T) {
	directory := t.TempDir()
	command := exec.CommandContext(t.Context(), "node", "build.mjs", "client", directory)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v (make web installs what is missing)\n%s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(directory, "client.js"))
	check(t, err)
	got, err := os.ReadFile("client/client.js")
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Error("client/client.js is not what client/src makes; make web builds it, then commit it")
	}
	types, err := os.ReadFile(filepath.Join(directory, "client.d.ts"))
	check(t, err)
	for _, line := range []string{"declare class ZegoExpressEngine", "loginRoom(roomID: string, token: string, user: ZegoUser, config?: ZegoRoomConfig)"} {
		if !bytes.Contains(types, []byte(line)) {
			t.Errorf("client.d.ts does not say %q", line)
		}
	}
}
