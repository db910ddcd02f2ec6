package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/storage"
	"mixdown/storage/file"
)

// TestEraseOverREST: the daemon destroys keys and says that there is no mix
// any more; whoever has the identity makes one. What is not encrypted, locked
// or not there is refused and stays as it is.
func TestEraseOverREST(t *testing.T) {
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
	refused("clear", ann, "not encrypted")
	refused("c1", map[string]string{"userID": "carl", "reason": "x"}, "carl")
	refused("none", ann, "none")
	refused("c1", map[string]string{"userID": "ann"}, "reason")

	root := filepath.Join(d.data, "recordings")
	local, err := file.Attach(root)
	if err != nil {
		t.Fatal(err)
	}
	lock := storage.Lock{Mode: storage.Governance, Until: time.Now().Add(2 * time.Second).Truncate(time.Second)}
	if err := local.ExtendLock(t.Context(), "r/c1/keys/streams/ann/ann-mic.age", lock); err != nil {
		t.Fatal(err)
	}
	refused("c1", ann, "locked")
	dir := filepath.Join(root, "r", "c1")
	intact(t, d, dir, identity)
	<-time.After(time.Until(lock.Until) + 100*time.Millisecond)

	answer := call[struct {
		Certificate storage.Amendment
		Mixed       bool
	}](t, d.client(), http.MethodPost, "/v1/recordings/c1/erase", ann)
	if a := answer.Certificate; answer.Mixed || len(a.Erased) != 2 || a.Reason != "request 17" || a.By != "key admin" {
		t.Errorf("answer: %+v", answer)
	}
	intact(t, d, dir, identity)
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
}
