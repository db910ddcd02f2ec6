package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/access"
	"mixdown/configs"
)

// allowed says which roles besides admin may make a call. It is written by
// hand, apart from the code that decides, and names every operation.
var allowed = map[string]string{
	"put-capture": "operator", "post-capture": "operator", "stop-capture": "operator",
	"list-captures": "operator reviewer compliance auditor", "get-capture": "operator reviewer compliance auditor",
	"follow-meters": "operator reviewer compliance auditor",
	"patch-capture": "operator", "pause-capture": "operator", "resume-capture": "operator", "listen-ws": "reviewer",
	"list-webhooks": "", "get-webhook": "", "put-webhook": "", "delete-webhook": "", "rotate-webhook": "", "test-webhook": "",
	"list-dead-letters": "", "resend-dead-letters": "", "resend-dead-letter": "",
	"listen":           "reviewer",
	"list-recordings":  "operator reviewer exporter compliance auditor",
	"get-recording":    "operator reviewer exporter compliance auditor",
	"verify-recording": "operator reviewer exporter compliance auditor",
	"get-file":         "reviewer exporter", "get-overview": "reviewer exporter",
	"erase-recording": "compliance",
	"list-rooms":      "operator reviewer",
	"get-room":        "operator reviewer",
	"kick-user":       "operator",
	"remove-stream":   "operator",
	"make-token":      "operator",
	"list-holds":      "compliance", "get-hold": "compliance", "put-hold": "compliance", "delete-hold": "compliance",
	"patch-recording": "compliance", "delete-recording": "compliance",
	"get-retention": "operator reviewer exporter compliance auditor",
	"get-disposal":  "operator reviewer exporter compliance auditor", "get-disposal-signature": "operator reviewer exporter compliance auditor",
	"list-audit": "compliance auditor", "export-audit": "compliance auditor", "note-act": "compliance",
	"list-rules": "operator compliance auditor", "get-rule": "operator compliance auditor",
	"capacity":     "operator",
	"completeness": "compliance auditor", "completeness-page": "compliance auditor",
	"get-spool": "operator", "list-signing-keys": "operator reviewer exporter compliance auditor",
	"list-events": "operator reviewer exporter compliance auditor", "capture-events": "operator reviewer exporter compliance auditor",
	"explain-rules": "operator compliance auditor", "put-rule": "operator", "delete-rule": "operator",
	"list-keys":     "",
	"make-key":      "",
	"revoke-key":    "",
	"who-am-i":      "operator reviewer exporter compliance auditor",
	"begin-session": "operator reviewer exporter compliance auditor",
	"end-session":   "operator reviewer exporter compliance auditor",
}

type madeKey struct{ ID, Key string }

func (h *here) makeKey(roles []access.Role, rooms ...string) madeKey {
	h.t.Helper()
	return decode[madeKey](h.ask("POST", "/v1/api-keys", map[string]any{"name": "test", "roles": roles, "rooms": rooms}).ok(201))
}

// operations are the calls of the description: id, method and path.
func (h *here) operations() map[string][2]string {
	h.t.Helper()
	description := decode[struct {
		Paths map[string]map[string]struct{ OperationID string }
	}](h.askAs("", "GET", "/openapi.json", nil).ok(200))
	all := map[string][2]string{}
	for path, methods := range description.Paths {
		for method, op := range methods {
			all[op.OperationID] = [2]string{strings.ToUpper(method), path}
		}
	}
	return all
}

// TestRoles walks every operation with a key of every role: what a role has
// no right to is refused before anything is looked at.
func TestRoles(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	keys := map[access.Role]string{}
	for _, r := range access.Roles() {
		keys[r] = h.makeKey([]access.Role{r}).Key
	}
	fill := strings.NewReplacer("{path...}", "manifest.json", "{path}", "manifest.json")
	for id, op := range h.operations() {
		roles, known := allowed[id]
		if !known {
			t.Errorf("operation %s (%s %s) is in no table of rights: add it to api's and to this test's", id, op[0], op[1])
		}
		path := fill.Replace(op[1])
		for open := strings.Index(path, "{"); open >= 0; open = strings.Index(path, "{") {
			path = path[:open] + "none" + path[open+strings.Index(path[open:], "}")+1:]
		}
		for role, key := range keys {
			a := h.askAs(key, op[0], path, nil, "Accept", "application/json")
			may := role == access.Admin || slices.Contains(strings.Fields(roles), string(role))
			switch {
			case a.status == http.StatusUnauthorized:
				t.Errorf("%s as %s: %d", a.call, role, a.status)
			case may && a.status == http.StatusForbidden:
				t.Errorf("%s (%s) is refused to %s: %s", a.call, id, role, a.body)
			case !may:
				a.problem(403, "forbidden")
			}
		}
	}
}

// TestKeysForRooms: what is in other rooms is not there for a key of some.
func TestKeysForRooms(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.ask("PUT", "/v1/captures/mine", spec("team-a-1")).ok(201)
	h.ask("PUT", "/v1/captures/other", spec("board")).ok(201)
	key := h.makeKey([]access.Role{access.Operator, access.Reviewer, access.Exporter, access.Compliance, access.Auditor}, "team-a-*").Key
	for path, code := range map[string]string{
		"GET /v1/captures/other": "capture_not_found", "POST /v1/captures/other/stop": "capture_not_found",
		"PUT /v1/captures/other": "capture_not_found", "GET /v1/captures/other/live": "capture_not_found",
		"GET /v1/recordings/other": "recording_not_found", "GET /v1/recordings/other/files/manifest.json": "recording_not_found",
		"POST /v1/recordings/other/verify": "recording_not_found", "GET /v1/rooms/board": "room_not_found",
		"DELETE /v1/rooms/board/users/u": "room_not_found",
	} {
		method, path, _ := strings.Cut(path, " ")
		var body any
		if method == "PUT" {
			body = spec("board")
		}
		h.askAs(key, method, path, body).problem(404, code)
	}
	h.askAs(key, "PUT", "/v1/captures/new", spec("board")).problem(403, "foreign_room")
	h.askAs(key, "POST", "/v1/tokens", map[string]any{"roomID": "board", "userID": "u"}).problem(403, "foreign_room")
	h.askAs(key, "PUT", "/v1/captures/new", spec("team-a-2")).ok(201)
	h.askAs(key, "GET", "/v1/captures/mine", nil).ok(200)
	for _, kind := range []string{"captures", "recordings", "rooms"} {
		list := h.askAs(key, "GET", "/v1/"+kind, nil).ok(200)
		if strings.Contains(string(list.body), "board") {
			t.Errorf("the list of %s shows another room: %s", kind, list.body)
		}
	}
}

// TestKeysComeAndGo: a key is shown once, works across restarts, and is dead
// the moment it is revoked or expires.
func TestKeysComeAndGo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := startHere(t, func(c *configs.Config) { c.Data = data })
	made := h.makeKey([]access.Role{access.Reviewer})
	soon := decode[madeKey](h.ask("POST", "/v1/api-keys", map[string]any{
		"name": "soon over", "roles": []string{"operator"}, "expiresAt": time.Now().Add(5 * time.Second),
	}).ok(201))
	file, err := os.ReadFile(filepath.Join(data, "api-keys.json"))
	if err != nil || strings.Contains(string(file), made.Key) {
		t.Errorf("the file of keys holds a secret, or is not there: %v", err)
	}
	if list := h.ask("GET", "/v1/api-keys", nil).ok(200); strings.Contains(string(list.body), made.Key) {
		t.Errorf("the list shows a secret")
	}
	h.stop()
	h = startHere(t, func(c *configs.Config) { c.Data = data })
	me := decode[struct{ ID string }](h.askAs(made.Key, "GET", "/v1/me", nil).ok(200))
	if me.ID != made.ID {
		t.Errorf("key %s is %s", made.ID, me.ID)
	}
	session := h.askAs(made.Key, "POST", "/v1/session", nil)
	cookie, _, _ := strings.Cut(session.header.Get("Set-Cookie"), ";")
	if !strings.Contains(session.header.Get("Set-Cookie"), "HttpOnly") || !strings.Contains(session.header.Get("Set-Cookie"), "SameSite=Strict") {
		t.Errorf("session: %d %s", session.status, session.header)
	}
	h.askAs("", "GET", "/v1/me", nil, "Cookie", cookie).ok(200)
	h.askAs("", "GET", "/v1/me", nil, "Cookie", cookie, "Sec-Fetch-Site", "cross-site").problem(401, "unauthorized")
	h.askAs("", "POST", "/v1/session", nil, "Cookie", cookie).problem(401, "unauthorized") // reads only
	h.ask("DELETE", "/v1/api-keys/"+made.ID, nil).ok(204)
	h.askAs(made.Key, "GET", "/v1/me", nil).problem(401, "unauthorized")
	h.askAs("", "GET", "/v1/me", nil, "Cookie", cookie).problem(401, "unauthorized")
	h.ask("DELETE", "/v1/api-keys/"+made.ID, nil).problem(404, "key_not_found")
	eventually(t, "the short key is over", 20*time.Second, func() bool {
		return h.askAs(soon.Key, "GET", "/v1/me", nil).status == 401
	})
	for _, wrong := range []map[string]any{
		{"name": "x", "roles": []string{"admin"}, "rooms": []string{"a"}},
		{"name": "x", "roles": []string{"reviewer"}, "rooms": []string{"["}},
		{"name": "x", "roles": []string{"reviewer"}, "expiresAt": "2020-01-01T00:00:00Z"},
	} {
		h.ask("POST", "/v1/api-keys", wrong).problem(422, "invalid_key")
	}
	h.ask("POST", "/v1/api-keys", map[string]any{"name": "x", "roles": []string{"king"}}).problem(422, "invalid_request")
}

// TestCertificate: HTTP over TLS, with a certificate that is renewed while the
// daemon runs; its own recorder gets in as well.
func TestCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := configs.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	writeCertificate(t, files, 1)
	h := startHere(t, func(c *configs.Config) { c.TLS = files })
	h.join("r", "ann", tone(t, 440))
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	eventually(t, "the capture hears ann", 10*time.Second, func() bool {
		return strings.Contains(string(h.ask("GET", "/v1/captures/a", nil).body), `"recording"`)
	})
	serial := func() int64 {
		c, err := tls.Dial("tcp", strings.TrimPrefix(h.at.HTTPS, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	writeCertificate(t, files, 2)
	eventually(t, "the new certificate is used", 20*time.Second, func() bool { return serial() == 2 })
	public, err := json.Marshal(h.at)
	if err != nil || !strings.Contains(string(public), `"https":"https://`) {
		t.Errorf("addresses %s %v", public, err)
	}
}

func writeCertificate(t testing.TB, files configs.TLS, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "mixdown test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: der}, files.KeyFile: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
