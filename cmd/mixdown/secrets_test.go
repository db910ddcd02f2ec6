package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/servertest"
	"mixdown/storage/storagetest"
	"mixdown/storage/timestamp/timestamptest"
)

// TestPlantedSecrets plants every kind of secret in a daemon with everything
// on, and looks for them in what it says, answers, sends, records and stores,
// and in what it leaves when it crashes.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	bucket := storagetest.StartS3(t)
	tsa := timestamptest.Start(t)
	hooked := &servertest.Log{}
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(hooked, r.Body)
		fmt.Fprintln(hooked, r.Header)
	}))
	t.Cleanup(hooks.Close)
	hookKey := base64.StdEncoding.EncodeToString([]byte("webhook-canary-of-32-bytes-long!"))
	const appSecret = "0123456789abcdef0123456789canary" // people mint with it while the map below grows
	secrets := map[string]string{
		"API key": "api-key-canary-5f0e", "app secret": appSecret,
		"S3 secret": bucket.SecretKey, "webhook secret": hookKey,
	}
	c := configs.Default()
	c.Log = configs.Log{Level: "debug", Format: "json"}
	c.Storages = map[string]configs.Storage{"archive": archive(bucket)}
	c.Timestamp = configs.Timestamp{URL: tsa.URL, CA: tsa.CAFile}
	c.Webhooks = map[string]configs.Webhook{"all": {URL: hooks.URL, Secret: "whsec_" + hookKey}}
	c.Network.Allow = []string{"127.0.0.1"}
	d := newChild(t)
	d.args = append([]string{"--config", writeConfig(t, c)}, d.args...)
	d.env = []string{
		"MIXDOWN_API_KEY=" + secrets["API key"], "MIXDOWN_APP_ID=7", "MIXDOWN_APP_SECRET=" + appSecret, "GOTRACEBACK=all",
	}
	d.start()
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.cmd.Process.Pid)); err != nil || bytes.Contains(line, []byte("canary")) {
		t.Errorf("the process's arguments: %q, %v", line, err)
	}
	mint := func(user string) (string, error) { return mintFor(appSecret, 7, user) }
	join(t, "http://"+d.http, "r", "ann", tone(t, annHz), mint)
	roomToken, err := mint("recorder-secret")
	if err != nil {
		t.Fatal(err)
	}
	secrets["room token"] = roomToken
	secrets["WHIP token"], secrets["WHEP token"] = "whip-token-canary-3d0b", "whep-token-canary-8e55"
	said := &servertest.Log{}
	ask := func(method, path string, in any) []byte {
		return askChild(t, d, secrets["API key"], said, method, path, in)
	}

	made := ask("POST", "/v1/api-keys", map[string]any{"name": "canary", "roles": []string{"admin"}})
	var key struct{ Key string }
	if json.Unmarshal(made, &key) != nil || key.Key == "" {
		t.Errorf("no key was made: %s", made)
	} else {
		secrets["made API key"] = key.Key
	}
	said.Reset() // that answer shows the new key, once
	ask("PUT", "/v1/captures/c", map[string]any{
		"room": map[string]any{"roomID": "r", "token": roomToken}, "user": map[string]any{"userID": "recorder-secret"},
		"record":    []any{map[string]any{"what": "mix"}, map[string]any{"what": "mix", "storage": "archive"}, map[string]any{"what": "streams"}},
		"republish": []any{map[string]any{"streamID": "r-mix"}, map[string]any{"whip": "http://127.0.0.1:1/whip", "token": secrets["WHIP token"]}},
	})
	ask("PUT", "/v1/captures/w", map[string]any{
		"room": map[string]any{"system": "whep", "roomID": "w", "streams": []any{
			map[string]any{"streamID": "away", "url": "http://" + d.http + "/whep/nowhere/away", "token": secrets["WHEP token"]},
			map[string]any{"streamID": "dead", "url": "http://127.0.0.1:1/whep", "token": secrets["WHEP token"]},
		}}, "record": []any{map[string]any{"what": "mix"}},
	})
	ask("PATCH", "/v1/captures/w", map[string]any{"republish": []any{map[string]any{"whip": "http://127.0.0.1:1/whip", "token": secrets["WHIP token"]}}})
	ask("PUT", "/v1/captures/c", map[string]any{"room": map[string]any{"roomID": "r", "token": roomToken + "x"}, "record": []any{map[string]any{"what": "mix"}}})
	ask("PUT", "/v1/captures/e", map[string]any{"room": map[string]any{"roomID": 7, "token": roomToken}})
	ask("POST", "/v1/captures?dryRun=true", map[string]any{"room": map[string]any{"roomID": "r", "token": roomToken}, "record": []any{map[string]any{"what": "mix", "storage": "archive"}}})
	eventually(t, "the capture records", 20*time.Second, func() bool {
		var st capture.Status
		return json.Unmarshal(ask("GET", "/v1/captures/c", nil), &st) == nil && st.State == capture.Recording
	})
	<-time.After(2 * time.Second)
	ask("POST", "/v1/captures/c/stop", nil)
	eventually(t, "the recording is stamped", 20*time.Second, func() bool { return bytes.Contains(ask("GET", "/v1/captures/c", nil), []byte(`"at":`)) })
	for _, path := range gets(t, d) {
		ask("GET", path, nil)
	}
	ask("GET", "/v1/recordings/c/files/events.jsonl", nil)
	for _, wrong := range []string{"", "wrong"} {
		askChild(t, d, wrong, said, "GET", "/v1/captures", nil)
	}
	private, err := os.ReadFile(filepath.Join(d.data, "keys", "signing.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets["signing key"] = strings.TrimSpace(string(private))
	secrets["signing seed"] = strings.SplitN(secrets["signing key"], "+", 5)[4] // the seed itself may hold a plus
	d.end(syscall.SIGQUIT)
	if !strings.Contains(d.said(), "goroutine ") || !strings.Contains(d.said(), "listening") {
		t.Errorf("it did not crash aloud: %s", d.said())
	}

	places := map[string]string{"the log and the crash": d.said(), "answers": said.String(), "webhooks": hooked.String()}
	archived, err := openBucket(configs.Network{}, archive(bucket))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range content(t, archived, "") {
		places["the bucket's "+name] = b
	}
	stored(t, d.data, places)
	for what, secret := range secrets {
		for place, text := range places {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("the %s is in %s: after %q", what, place, text[max(0, i-80):i])
			}
		}
	}
	t.Logf("looked in %d places", len(places))
	if len(places) < 12 || hooked.String() == "" {
		t.Errorf("looked in %d places only, the webhooks got %d bytes", len(places), len(hooked.String()))
	}
}

// stored adds the files of a data folder; those that hold secrets by design
// must be nobody else's.
func stored(t *testing.T, data string, places map[string]string) {
	t.Helper()
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(data, path)
		keeps := []string{"api-key", "app.json", "keys/signing.key", "captures/c/capture.json", "captures/e/capture.json", "captures/w/capture.json"} // the last: tokens, for the next life
		if slices.Contains(keeps, rel) || strings.HasPrefix(rel, "keys/") && strings.HasSuffix(rel, ".key") {
			if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", rel, info.Mode(), err)
			}
			return nil
		}
		if strings.HasPrefix(rel, "captures/w/journal/") { // of a change with a token in it
			if info, err := os.Stat(filepath.Join(data, "captures")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the captures' folder has mode %v, %v", info.Mode(), err)
			}
			return nil
		}
		b, err := os.ReadFile(path)
		places["the data folder's "+rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// gets lists the paths that can be read, for the capture c in the room r.
func gets(t *testing.T, d *child) (paths []string) {
	t.Helper()
	resp, err := http.Get("http://" + d.http + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var api struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&api); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{id}", "c", "{roomID}", "r", "{name}", "all")
	for path, methods := range api.Paths {
		// Those that never end by themselves are left out.
		if methods["get"] != nil && !strings.Contains(path, "/live") && !strings.HasSuffix(path, "events") && !strings.Contains(path, "{path") {
			paths = append(paths, fill.Replace(path))
		}
	}
	return append(paths, "/metrics", "/v1/events?after=0&limit=1000")
}

// askChild asks with a key and keeps the answer, whatever it is.
func askChild(t *testing.T, d *child, key string, said *servertest.Log, method, path string, in any) []byte {
	t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.http+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := (&http.Client{Timeout: 15 * time.Second}).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode >= 500 {
		t.Errorf("%s %s: %s: %s", method, path, resp.Status, raw)
	}
	fmt.Fprintln(said, resp.Header)
	_, _ = said.Write(raw)
	return raw
}
