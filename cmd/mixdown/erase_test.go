package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/audit"
	"mixdown/capture"
	"mixdown/storage"
	"mixdown/storage/file"
)

// TestEraseOverREST: the daemon destroys keys and says that there is no mix
// any more; whoever has the identity makes one. What is not encrypted, locked
// or not there is refused and stays as it is.
func TestEraseOverREST(t *testing.T) {
	t.Parallel()
	identity, public := customerKey(t)
	d := newChild(t)
	d.start()
	join(t, "http://"+d.http, "r", "ann", tone(t, 400), minter(d.data))
	join(t, "http://"+d.http, "r", "bob", tone(t, 1000), minter(d.data))
	spec := capture.Spec{Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{{What: "mix"}, {What: "streams"}}}
	call[capture.Status](t, d.client(), http.MethodPut, "/v1/captures/clear", spec)
	spec.Encrypt = &capture.EncryptSpec{Recipients: []string{public}}
	call[capture.Status](t, d.client(), http.MethodPut, "/v1/captures/c1", spec)
	heardBoth(t, d)
	<-time.After(2 * time.Second)
	ann := map[string]string{"userID": "ann", "reason": "request 17"}
	refused := func(id string, body any, want string) {
		t.Helper()
		err := d.client().call(t.Context(), http.MethodPost, "/v1/recordings/"+id+"/erase", body, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("erase in %s: %v, want %q", id, err, want)
		}
	}
	refused("c1", ann, "not sealed")
	for _, id := range []string{"clear", "c1"} {
		call[capture.Status](t, d.client(), http.MethodPost, "/v1/captures/"+id+"/stop", nil)
	}
	err := d.client().call(t.Context(), http.MethodGet, "/v1/recordings/c1/overview", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("what an encrypted recording looks like is told: %v", err)
	}
	refused("clear", ann, "not encrypted")
	refused("c1", map[string]string{"userID": "carl", "reason": "x"}, "carl")
	refused("none", ann, "none")
	refused("c1", map[string]string{"userID": "ann"}, "reason")

	root := filepath.Join(d.data, "recordings")
	if _, err := os.Stat(filepath.Join(root, "r", "c1", storage.OverviewName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an encrypted recording has an overview: %v", err)
	}
	local, err := file.Attach(root)
	if err != nil {
		t.Fatal(err)
	}
	const key = "r/c1/keys/streams/ann/ann-mic.age"
	if err := local.ExtendLock(t.Context(), key, storage.Lock{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	refused("c1", ann, "locked")
	dir := filepath.Join(root, "r", "c1")
	intact(t, d, dir, identity)
	breakLock(t, root, key)

	answer := call[struct {
		Certificate storage.Amendment
		Mixed       bool
	}](t, d.client(), http.MethodPost, "/v1/recordings/c1/erase", ann)
	if a := answer.Certificate; answer.Mixed || len(a.Erased) != 2 || a.Reason != "request 17" || a.By != "key admin" {
		t.Errorf("answer: %+v", answer)
	}
	intact(t, d, dir, identity)
	hold := map[string]any{"selector": map[string]any{"recordingID": "c1"}, "reason": "a lawsuit"}
	call[map[string]any](t, d.client(), http.MethodPut, "/v1/holds/suit", hold)
	if code, _, errs := command(t, "erase", dir, "--user", "bob", "--reason", "request 18", "--data", d.data); code == exitOK || !strings.Contains(errs, "suit") {
		t.Errorf("erase under a hold: exit %d\n%s", code, errs)
	}
	if err := d.client().call(t.Context(), http.MethodDelete, "/v1/holds/suit", nil, nil); err != nil {
		t.Error(err)
	}
	if code, out, errs := command(t, "erase", dir, "--user", "ann", "--reason", "request 17", "--identity", identity, "--data", d.data); code != exitOK || !strings.Contains(out, "mix-ogg-v3") {
		t.Errorf("mixing again: exit %d\n%s%s", code, out, errs)
	}
	intact(t, d, dir, identity)
	answer = call[struct {
		Certificate storage.Amendment
		Mixed       bool
	}](t, d.client(), http.MethodPost, "/v1/recordings/c1/erase", ann)
	if !answer.Mixed || answer.Certificate.Number != 2 {
		t.Errorf("erased again over REST: %+v", answer)
	}
	tampered(t, dir, filepath.Join(d.data, "keys", "signing.pub"))
	erasuresAreActs(t, d, dir)
}

// breakLock takes the lock of an object away, as whoever may write to the
// folder of a local storage can.
func breakLock(t testing.TB, root, key string) {
	t.Helper()
	if err := os.Remove(filepath.Join(root, ".locks", filepath.FromSlash(key))); err != nil {
		t.Fatal(err)
	}
}

// erasuresAreActs: what mixdown erase has done, and what it was refused, is in
// the log of acts; also when no daemon is there to write it.
func erasuresAreActs(t *testing.T, d *child, dir string) {
	t.Helper()
	acts := call[struct{ Entries []audit.Entry }](t, d.client(), http.MethodGet, "/v1/audit?limit=1000", nil)
	var told []string
	for _, e := range acts.Entries {
		if e.Details["operation"] == "mixdown erase" {
			told = append(told, fmt.Sprint(e.Details["details.user"], " ", e.Details["outcome"]))
		}
	}
	if len(told) != 4 || told[0] != "bob <nil>" || !strings.Contains(told[1], "suit") || told[2] != "ann <nil>" || told[3] != "ann ok" {
		t.Errorf("acts of mixdown erase: %q", told)
	}
	d.end(syscall.SIGTERM)
	if code, out, errs := command(t, "erase", dir, "--user", "ann", "--reason", "request 19", "--data", d.data); code != exitOK {
		t.Errorf("erase without a daemon: exit %d\n%s%s", code, out, errs)
	}
	logs := filepath.Join(d.data, "audit")
	if code, out, errs := command(t, "audit", "verify", logs, "--public-key", filepath.Join(d.data, "keys", "signing.pub")); code != exitOK {
		t.Errorf("audit verify: exit %d\n%s%s", code, out, errs)
	}
	files, err := filepath.Glob(filepath.Join(logs, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the log of acts is %q, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-2:]; !strings.Contains(last[0], `"operation":"mixdown erase"`) || !strings.Contains(last[1], "request 19") || !strings.Contains(last[1], `"outcome":"ok"`) {
		t.Errorf("the last acts are:\n%s", strings.Join(last, "\n"))
	}
}

// tampered changes what stands about an erasure, and verify finds it.
func tampered(t testing.TB, dir, keys string) {
	t.Helper()
	for _, c := range []struct {
		name   string
		change func([]byte) []byte // nil result: removed
	}{
		{"amendments/000001.json", func(b []byte) []byte { return bytes.Replace(b, []byte("request 17"), []byte("request 18"), 1) }},
		{"amendments/000001.json", func([]byte) []byte { return nil }},
		{"amendments/000001.json.sig", func([]byte) []byte { return nil }},
		{"amendments/000002.json", func([]byte) []byte { return nil }},
		{"amendments/000002.json.sig", func(b []byte) []byte { return append(b, '\n') }},
		{"keys/mix-v3.age", func([]byte) []byte { return nil }},
		{"keys/streams/bob/bob-mic.age", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"keys/events.age", func([]byte) []byte { return nil }},
	} {
		name := filepath.Join(dir, filepath.FromSlash(c.name))
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if after := c.change(bytes.Clone(before)); after == nil {
			err = os.Remove(name)
		} else {
			err = os.WriteFile(name, after, 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
		if code, out, _ := command(t, "verify", dir, "--public-key", keys); code != exitFailed {
			t.Errorf("%s changed: verify exits with %d\n%s", c.name, code, out)
		}
		if err := os.WriteFile(name, before, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := command(t, "verify", dir, "--public-key", keys); code != exitOK {
		t.Errorf("put back: verify exits with %d\n%s%s", code, out, errs)
	}
}
