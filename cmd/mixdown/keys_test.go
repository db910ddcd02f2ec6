package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/storage"
)

// TestSigningKeys: the public keys are told by command and REST; a rotation
// takes effect in a running daemon, and what the old key signed still
// verifies. A known head finds out what was cut off.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	h := callOfTwo(t, spec("r"))
	type answer struct {
		Keys []struct {
			KeyID, PublicKey string
			Current          bool
		}
	}
	before := call[answer](t, h.client, http.MethodGet, "/v1/keys", nil).Keys
	if len(before) != 1 || !before[0].Current || !strings.HasPrefix(before[0].PublicKey, before[0].KeyID+"+") {
		t.Fatalf("keys: %+v", before)
	}
	<-time.After(time.Second)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	code, stdout, stderr := command(t, "keys", "--rotate", "--data", h.config.Data)
	lines := strings.Fields(stdout)
	if code != exitOK || len(lines) != 2 || lines[1] != before[0].PublicKey {
		t.Fatalf("keys --rotate: exit %d: %s%s", code, stdout, stderr)
	}
	after := call[answer](t, h.client, http.MethodGet, "/v1/keys", nil).Keys
	if len(after) != 2 || after[0].PublicKey != lines[0] || !after[0].Current || after[1].Current {
		t.Errorf("after the rotation: %+v", after)
	}
	h.ask("PUT", "/v1/captures/d", spec("r")).ok(201)
	<-time.After(time.Second)
	h.ask("POST", "/v1/captures/d/stop", nil).ok(200)
	kept := filepath.Join(t.TempDir(), "keys.pub")
	if err := os.WriteFile(kept, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, key := range map[string]string{"c": before[0].KeyID, "d": after[0].KeyID} {
		m := call[storage.Manifest](t, h.client, http.MethodGet, "/v1/recordings/"+id, nil)
		if m.Sealed == nil || m.Sealed.KeyID != key {
			t.Errorf("%s is signed by %+v, not by %s", id, m.Sealed, key)
		}
		dir := filepath.Join(h.config.Data, "recordings", "r", id)
		if code, out, errs := command(t, "verify", dir, "--public-key", kept, "--head", m.Sealed.Head); code != exitOK {
			t.Errorf("verify %s: exit %d: %s%s", id, code, out, errs)
		}
		if code, out, errs := commandIn(t, []string{"MIXDOWN_DATA=" + h.config.Data}, "verify", dir); code != exitOK || strings.Contains(out, "not checked") {
			t.Errorf("verify %s with the data folder's keys: exit %d: %s%s", id, code, out, errs)
		}
		foreign := strings.Repeat("ab", 32)
		if code, out, errs := command(t, "verify", dir, "--public-key", kept, "--head", foreign); code != exitFailed || !strings.Contains(out, foreign) {
			t.Errorf("verify %s with another head: exit %d: %s%s", id, code, out, errs)
		}
	}
	if code, _, errs := command(t, "verify", h.config.Data, "--head", "xyz"); code != exitUsage || !strings.Contains(errs, "64 hex") {
		t.Errorf("a head that is none: exit %d: %s", code, errs)
	}
	if code, _, errs := command(t, "keys", "--data", filepath.Join(h.config.Data, "none")); code != exitUsage || !strings.Contains(errs, "no data folder") {
		t.Errorf("keys without a data folder: exit %d: %s", code, errs)
	}
}
