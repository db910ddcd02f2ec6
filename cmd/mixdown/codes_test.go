package main

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/access"
	"mixdown/configs"
	"mixdown/servertest"
	"mixdown/storage"
	"mixdown/storage/file"
)

// produced notes the codes that a daemon was made to answer.
type produced struct {
	*here
	codes map[string]bool
}

// refused asks for something and wants an error.
func (p produced) refused(method, path string, body any, status int, code string, header ...string) {
	p.t.Helper()
	p.note(p.ask(method, path, body, header...), status, code)
}

func (p produced) note(a answer, status int, code string) {
	p.t.Helper()
	a.problem(status, code)
	p.codes[code] = true
}

// asFrom asks as if from another machine.
func (p produced) asFrom(remote, key, method, path string) answer {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = remote
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	p.http.Handler.ServeHTTP(w, r)
	return answer{p.t, method + " " + path, w.Code, w.Result().Header, w.Body.Bytes()}
}

// TestEveryErrorCode: each code that docs/api.md explains is one that a daemon
// answers, at the status that it says.
func TestEveryErrorCode(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	h := produced{startHere(t, func(c *configs.Config) {
		c.Webhooks = map[string]configs.Webhook{"file": {URL: "https://webhook.invalid/", Secret: "whsec_" + strings.Repeat("A", 32)}}
		c.Limits.Sessions, c.Capacity.MaxCaptures = 2, 3
	}), codes}
	h.ofRequests()
	h.ofKeys()
	h.ofCaptures()
	h.ofErasure()
	h.ofFaults()
	stopping := produced{startHere(t, func(c *configs.Config) {
		c.Storages = map[string]configs.Storage{"far": { // where nobody is
			Type: "s3", Endpoint: "http://" + servertest.FreeAddress(t, "tcp"), Bucket: "bucket", AccessKey: "k", SecretKey: "s", PathStyle: true,
		}}
	}), codes}
	stopping.ofTheEnd()
	for _, code := range slices.Sorted(maps.Keys(documentedCodes(t))) {
		if !codes[code] {
			t.Errorf("docs/api.md explains %s, which nothing here made the daemon answer", code)
		}
	}
}

// ofRequests are the codes of requests that are wrong in themselves, or about
// what is not there.
func (p produced) ofRequests() {
	p.refused("PUT", "/v1/captures/b", `{"room": `, 400, "bad_request")
	p.refused("GET", "/v1/captures?cursor=none", nil, 400, "bad_cursor")
	p.refused("GET", "/v1/events", nil, 400, "bad_event_number", "Accept", "text/event-stream", "Last-Event-ID", "x")
	p.refused("GET", "/v1/captures/none", nil, 404, "capture_not_found")
	p.refused("GET", "/v1/recordings/none", nil, 404, "recording_not_found")
	p.refused("GET", "/v1/rooms/none", nil, 404, "room_not_found")
	p.refused("GET", "/v1/rules/none", nil, 404, "rule_not_found")
	p.refused("GET", "/v1/rules/explain?room=never&at=2020-01-01T00:00:00Z", nil, 404, "no_decision")
	p.refused("DELETE", "/v1/api-keys/none", nil, 404, "key_not_found")
	p.refused("GET", "/v1/webhooks/none", nil, 404, "webhook_not_found")
	p.refused("POST", "/v1/webhooks/file/dead/7/resend", nil, 404, "dead_letter_not_found")
	p.refused("GET", "/v1/nothing", nil, 404, "not_found")
	p.refused("DELETE", "/v1/captures/a", nil, 405, "method_not_allowed")
	p.refused("DELETE", "/v1/webhooks/file", nil, 409, "webhook_configured")
	p.refused("GET", "/v1/events?after=99999", nil, 410, "events_gone")
	p.refused("PUT", "/v1/rules/gone", map[string]any{"rooms": []string{"*"}, "capture": map[string]any{"record": spec("r")["record"]}}, 412, "rule_changed", "If-Match", `"1-0"`)
	p.refused("PUT", "/v1/captures/b", `{"labels":{"x":"`+strings.Repeat("x", 1<<20)+`"}}`, 413, "too_large")
	p.refused("PUT", "/v1/captures/b", "<x/>", 415, "unsupported_media_type", "Content-Type", "text/xml")
	p.refused("PUT", "/v1/captures/b", map[string]any{"recrod": 1}, 422, "invalid_request")
	p.refused("PUT", "/v1/captures/b", with(spec("r"), "record", []any{map[string]any{"what": "mix", "storage": "nowhere"}}), 422, "invalid_capture")
	p.refused("PUT", "/v1/captures/b%20c", spec("r"), 422, "invalid_id")
	p.refused("PUT", "/v1/rules/bad", map[string]any{"rooms": []string{"["}, "capture": map[string]any{"record": spec("r")["record"]}}, 422, "invalid_rule")
	p.refused("POST", "/v1/tokens", map[string]any{"roomID": "r/1", "userID": "u"}, 422, "invalid_token")
	p.refused("PUT", "/v1/webhooks/x", map[string]any{"url": "file:///etc/passwd"}, 422, "invalid_webhook")
}

// ofKeys are the codes about who asks.
func (p produced) ofKeys() {
	p.note(p.askAs("wrong", "GET", "/v1/captures", nil), 401, "unauthorized")
	p.note(p.askAs(p.makeKey([]access.Role{access.Auditor}).Key, "PUT", "/v1/captures/b", spec("r")), 403, "forbidden")
	p.note(p.askAs(p.makeKey([]access.Role{access.Operator}, "team-*").Key, "PUT", "/v1/captures/b", spec("r")), 403, "foreign_room")
	p.refused("POST", "/v1/api-keys", map[string]any{"name": "x", "roles": []string{"reviewer"}, "expiresAt": "2020-01-01T00:00:00Z"}, 422, "invalid_key")
	for range 2 {
		p.ask("POST", "/v1/session", nil).ok(204)
	}
	p.refused("POST", "/v1/session", nil, 503, "too_many_sessions")
	for range 20 {
		p.asFrom("198.51.100.7:4000", "wrong", "GET", "/v1/captures").problem(401, "unauthorized")
	}
	a := p.asFrom("198.51.100.7:4001", p.key, "GET", "/v1/captures")
	if p.note(a, 429, "too_many_wrong_keys"); a.header.Get("Retry-After") == "" {
		p.t.Error("too many wrong keys, without a time to wait")
	}
	p.asFrom("203.0.113.7:4000", p.key, "GET", "/v1/captures").ok(200) // others are not to wait
}

// ofCaptures are the codes of captures that run and that ended.
func (p produced) ofCaptures() {
	p.join("r", "ann", tone(p.t, 440))
	p.ask("PUT", "/v1/captures/clear", spec("r")).ok(201)
	p.refused("PUT", "/v1/captures/clear", with(spec("r"), "labels", map[string]string{"x": "y"}), 409, "capture_conflict")
	p.refused("GET", "/v1/captures/clear/live?stream=none", nil, 404, "stream_not_found")
	p.refused("GET", "/v1/captures/clear/live/ws", nil, 426, "upgrade_required")
	eventually(p.t, "ann is in the room", 20*time.Second, func() bool { return p.ask("GET", "/v1/rooms/r", nil).status == 200 })
	p.refused("DELETE", "/v1/rooms/r/users/bob", nil, 404, "user_not_found")
	p.refused("GET", "/v1/recordings/clear/files/none.ogg", nil, 404, "file_not_found")
	p.refused("GET", "/v1/recordings/clear/files/a%2f%2fb", nil, 400, "bad_path")
	p.ask("PUT", "/v1/captures/two", spec("r")).ok(201)
	p.ask("PUT", "/v1/captures/three", spec("r")).ok(201)
	p.refused("PUT", "/v1/captures/four", spec("r"), 503, "no_capacity")
	for _, id := range []string{"clear", "two", "three"} {
		p.ask("POST", "/v1/captures/"+id+"/stop", nil).ok(200)
	}
	p.refused("PATCH", "/v1/captures/clear", map[string]any{"labels": map[string]string{"x": "y"}}, 409, "capture_ended")
}

// ofErasure are the codes of erasing ann, who talks in room r.
func (p produced) ofErasure() {
	_, public := customerKey(p.t)
	p.ask("PUT", "/v1/captures/secret", with(spec("r"), "encrypt", map[string]any{"recipients": []string{public}})).ok(201)
	eventually(p.t, "the capture hears ann", 20*time.Second, func() bool {
		return strings.Contains(string(p.ask("GET", "/v1/captures/secret", nil).body), `"recording"`)
	})
	<-time.After(2 * time.Second) // that she says something
	ann := map[string]string{"userID": "ann", "reason": "request 17"}
	erase := func(id string, status int, code string) {
		p.t.Helper()
		p.refused("POST", "/v1/recordings/"+id+"/erase", ann, status, code)
	}
	erase("secret", 409, "recording_not_sealed")
	p.ask("POST", "/v1/captures/secret/stop", nil).ok(200)
	erase("clear", 409, "recording_not_encrypted")
	p.refused("GET", "/v1/recordings/secret/overview", nil, 409, "recording_encrypted")

	root := filepath.Join(p.config.Data, "recordings")
	local, err := file.Attach(root)
	if err != nil {
		p.t.Fatal(err)
	}
	const key = "r/secret/keys/streams/ann/ann-mic.age"
	lock := func() {
		p.t.Helper()
		if err := local.ExtendLock(p.t.Context(), key, storage.Lock{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}); err != nil {
			p.t.Fatal(err)
		}
	}
	name := filepath.Join(root, filepath.FromSlash(key))
	kept, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	lock()
	erase("secret", 409, "recording_locked")
	breakLock(p.t, root, key)
	p.ask("POST", "/v1/recordings/secret/erase", ann).ok(200)
	// The key comes back from a backup, and under a lock.
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, kept, 0o600)); err != nil {
		p.t.Fatal(err)
	}
	lock()
	erase("secret", 503, "erasure_incomplete")
	breakLock(p.t, root, key)
	p.ask("POST", "/v1/recordings/secret/erase", ann).ok(200)
	if _, err := os.Stat(name); err == nil {
		p.t.Error("the key that came back is still there")
	}
}

// ofFaults are the codes of what is broken behind the API.
func (p produced) ofFaults() {
	manifest := filepath.Join(p.config.Data, "recordings", "r", "two", storage.ManifestName)
	if err := os.WriteFile(manifest, []byte("{"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.refused("GET", "/v1/recordings/two", nil, 500, "internal")
	if !strings.Contains(p.log.String(), "request failed") {
		p.t.Error("the log says nothing of an internal error")
	}
	shut, err := newDaemon(func() configs.Config {
		c := p.config
		c.Data = p.t.TempDir()
		return c
	}(), p.daemon.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer shut.close() // its log of acts is closed already, as a test of this would say
	if err := shut.audit.Close(); err != nil {
		p.t.Fatal(err)
	}
	other := produced{&here{daemon: shut, t: p.t}, p.codes}
	p.note(other.asFrom("127.0.0.1:1", shut.key, "POST", "/v1/captures/clear/stop"), 503, "audit_unavailable")
	other.asFrom("127.0.0.1:1", shut.key, "GET", "/v1/captures").ok(200) // what is no act goes on
}

// ofTheEnd are the codes of a daemon that stops, and of a storage that is
// away; for the last uploads to it the daemon waits.
func (p produced) ofTheEnd() {
	p.ask("PUT", "/v1/captures/a", with(spec("r"), "record", []any{map[string]any{"what": "mix", "storage": "far"}})).ok(201)
	p.ask("POST", "/v1/captures/a/stop", nil).ok(200)
	p.refused("GET", "/v1/recordings/a", nil, 503, "storage_unavailable")
	p.ask("GET", "/readyz", nil).ok(http.StatusOK)
	ended := make(chan struct{})
	go func() { p.stop(); close(ended) }()
	defer func() { <-ended }()
	var last answer // asked again, the daemon may be gone
	eventually(p.t, "the daemon stops", 4*time.Second, func() bool {
		last = p.ask("GET", "/readyz", nil)
		return last.status == 503
	})
	p.note(last, 503, "not_ready")
	eventually(p.t, "no captures start", 4*time.Second, func() bool {
		last = p.ask("POST", "/v1/captures", spec("r"))
		return last.status == 503
	})
	p.note(last, 503, "shutting_down")
}
