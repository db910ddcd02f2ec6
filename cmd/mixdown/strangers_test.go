package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/access"
)

// from makes a request that comes from another machine.
func (h *here) from(address, path, key string) (status int, body string) {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = address + ":1000"
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	h.http.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestWrongKeysWait: who tries keys has to wait, whatever path is asked.
func TestWrongKeysWait(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	for i, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/nope", "/v1/me"} {
		address := "203.0.113." + string(rune('1'+i))
		last := 0
		for range 30 {
			last, _ = h.from(address, path, "wrong")
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("the thirtieth wrong key at %s is answered %d", path, last)
		}
		if right, _ := h.from(address, path, h.key); right != http.StatusTooManyRequests {
			t.Errorf("after thirty wrong keys %s tells a right one: %d", path, right)
		}
	}
}

// TestFiguresOfAllRooms: a key for some rooms sees no names of others in
// metrics and in the spool.
func TestFiguresOfAllRooms(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.ask("PUT", "/v1/captures/secret", spec("board")).ok(201)
	aside := filepath.Join(h.config.Data, "spool", "quarantine", "out", "board", "secret", "x.ogg")
	must(t, os.MkdirAll(filepath.Dir(aside), 0o700))
	must(t, os.WriteFile(aside, []byte("x"), 0o600))
	for _, test := range []struct {
		path   string
		roles  []access.Role
		rooms  []string
		status int
		names  bool
	}{
		{"/metrics", []access.Role{access.Operator}, nil, 200, true},
		{"/metrics", []access.Role{access.Operator}, []string{"team-*"}, 403, false},
		{"/metrics", []access.Role{access.Exporter}, nil, 403, false},
		{"/readyz", []access.Role{access.Exporter}, []string{"team-*"}, 200, false},
		{"/v1/spool", []access.Role{access.Operator}, nil, 200, true},
		{"/v1/spool", []access.Role{access.Operator}, []string{"team-*"}, 200, false},
	} {
		status, body := h.from("203.0.113.9", test.path, h.makeKey(test.roles, test.rooms...).Key)
		if status != test.status || strings.Contains(body, "secret") != test.names {
			t.Errorf("%s as %v of %v: %d %s", test.path, test.roles, test.rooms, status, body)
		}
	}
}

// TestShownTokens: what is sent back as it was shown keeps its tokens, and what
// is shown instead of one is none.
func TestShownTokens(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	rule := func(token string) map[string]any {
		return map[string]any{"rooms": []string{"x-*"}, "disabled": true, "capture": map[string]any{
			"republish": []any{map[string]any{"whip": "https://93.184.216.34/whip", "token": token}},
		}}
	}
	h.ask("PUT", "/v1/rules/a", rule("***")).problem(422, "invalid_capture")
	h.ask("PUT", "/v1/rules/a", rule("s3cret")).ok(201)
	shown := decode[map[string]any](h.ask("GET", "/v1/rules/a", nil).ok(200))
	for _, own := range []string{"id", "version", "changedAt", "changedBy"} {
		delete(shown, own)
	}
	shown["priority"] = 7
	h.ask("PUT", "/v1/rules/a", shown).ok(200)
	r, err := h.rules.Rule("a")
	must(t, err)
	if token := r.Capture.Republish[0].Token; token != "s3cret" || r.Priority != 7 {
		t.Errorf("after the rule was saved as it is shown its token is %q (priority %d)", token, r.Priority)
	}

	body := func(token string) map[string]any {
		return map[string]any{"room": map[string]any{"roomID": "r"}, "republish": []any{map[string]any{"whip": "https://93.184.216.34/whip", "token": token}}}
	}
	h.ask("PUT", "/v1/captures/c", body("***")).problem(422, "invalid_capture")
	h.ask("PUT", "/v1/captures/c", body("s3cret")).ok(201)
	h.ask("PUT", "/v1/captures/c", body("***")).ok(200)
	h.ask("PUT", "/v1/captures/c", body("other")).problem(409, "capture_conflict")
}
