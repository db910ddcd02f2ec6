package livekit_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/livekit/protocol/auth"

	"mixdown/joiner/livekit"
)

const hookSecret = "a-secret-of-the-tests-0123456789abcdef"

// signed is the token of a webhook about a body.
func signed(t *testing.T, key, secret, body string, life time.Duration) string {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	token, err := auth.NewAccessToken(key, secret).SetValidFor(life).SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// expired is a token of five minutes ago.
func expired(t *testing.T, body string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "main", "exp": time.Now().Add(-5 * time.Minute).Unix(), "sha256": base64.StdEncoding.EncodeToString(sum[:]),
	}).SignedString([]byte(hookSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestHook: what is signed is told; recorders and video are not; who leaves
// takes their streams along, a room that ends everybody.
func TestHook(t *testing.T) {
	var told []string
	hook := livekit.NewHook(func(key string) string {
		return map[string]string{"main": hookSecret}[key]
	}, func(n livekit.News) {
		line := strings.Trim(n.RoomID+" "+n.UserID+" "+n.StreamID, " ")
		if n.Gone {
			line = "- " + line
		}
		if n.Key != "main" || time.Since(n.At) > time.Minute {
			t.Errorf("told %+v", n)
		}
		told = append(told, line)
	})
	post := func(token, body string) int {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/hooks/livekit", strings.NewReader(body))
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		return w.Code
	}
	good := func(body string) {
		t.Helper()
		if code := post(signed(t, "main", hookSecret, body, time.Minute), body); code != http.StatusOK {
			t.Errorf("%d for %s", code, body)
		}
	}
	joined := `{"event":"participant_joined","room":{"name":"r"},"participant":{"identity":"ann"}}`
	for name, token := range map[string]string{
		"none":        "",
		"nonsense":    "nonsense",
		"foreign":     signed(t, "main", hookSecret+"x", joined, time.Minute),
		"unknown key": signed(t, "other", hookSecret, joined, time.Minute),
		"old":         expired(t, joined),
		"other body":  signed(t, "main", hookSecret, joined+" ", time.Minute),
	} {
		if code := post(token, joined); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code := post(signed(t, "main", hookSecret, "{", time.Minute), "{"); code != http.StatusBadRequest {
		t.Errorf("no JSON: %d", code)
	}
	big := strings.Repeat(" ", 2<<20)
	if code := post(signed(t, "main", hookSecret, big, time.Minute), big); code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", code)
	}
	w := httptest.NewRecorder()
	hook.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/hooks/livekit", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	if len(told) > 0 {
		t.Fatalf("told %q of what was refused", told)
	}
	good(joined)
	good(`{"event":"participant_joined","room":{"name":"r"},"participant":{"identity":"recorder-mix","permission":{"recorder":true}}}`)
	good(`{"event":"track_published","room":{"name":"r"},"participant":{"identity":"recorder-mix"},"track":{"sid":"TR_mix"}}`)
	good(`{"event":"track_published","room":{"name":"r"},"participant":{"identity":"ann"},"track":{"sid":"TR_a","type":"AUDIO"},"futureField":1}`)
	good(`{"event":"track_published","room":{"name":"r"},"participant":{"identity":"ann"},"track":{"sid":"TR_v","type":"VIDEO"}}`)
	good(`{"event":"participant_left","room":{"name":"r"},"participant":{"identity":"ann"}}`)
	good(`{"event":"track_published","room":{"name":"r"},"participant":{"identity":"bob"},"track":{"sid":"TR_b"}}`)
	good(`{"event":"track_unpublished","room":{"name":"r"},"participant":{"identity":"bob"},"track":{"sid":"TR_b"}}`)
	good(`{"event":"room_finished","room":{"name":"r"}}`)
	want := []string{"r ann", "r ann TR_a", "- r ann TR_a", "- r ann", "r bob TR_b", "- r bob TR_b", "- r bob"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
}
