package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/timestamp/timestamptest"
)

// TestTimeStamps: a sealed recording gets a time stamp, which verify and
// openssl take; a changed one, or one of another recording, is found.
func TestTimeStamps(t *testing.T) {
	t.Parallel()
	tsa, other := timestamptest.Start(t), timestamptest.Start(t)
	tsa.Down.Store(true)
	h := callOfTwo(t, spec("r"), func(c *configs.Config) { c.Timestamp = configs.Timestamp{URL: tsa.URL, CA: tsa.CAFile} })
	<-time.After(time.Second)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	dir := filepath.Join(h.config.Data, "recordings", "r", "c")
	stamp := filepath.Join(dir, storage.TimeStampName)
	eventually(t, "the authority was asked in vain", 20*time.Second, func() bool {
		st := call[capture.Status](t, h.client, http.MethodGet, "/v1/captures/c", nil).TimeStamp
		return st != nil && strings.Contains(st.Trouble, "503")
	})
	if code, out, errs := command(t, "verify", dir, "--public-key", filepath.Join(h.config.Data, "keys", "signing.pub")); code != exitOK {
		t.Errorf("without its stamp: exit %d: %s%s", code, out, errs)
	}
	tsa.Down.Store(false)
	h.ask("PUT", "/v1/captures/d", spec("r")).ok(201)
	<-time.After(time.Second)
	h.ask("POST", "/v1/captures/d/stop", nil).ok(200) // which has the authority asked for both
	eventually(t, "the stamp is there", 20*time.Second, func() bool { _, err := os.Stat(stamp); return err == nil })
	check := func(ca string) (int, string) {
		code, out, errs := command(t, "verify", dir, "--public-key", filepath.Join(h.config.Data, "keys", "signing.pub"), "--tsa-ca", ca)
		return code, out + errs
	}
	if code, out := check(tsa.CAFile); code != exitOK || !strings.Contains(out, "time stamp: an authority had seen it by") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	if code, out := check(other.CAFile); code != exitFailed || !strings.Contains(out, storage.TimeStampName) {
		t.Errorf("verify with a stranger's root: exit %d: %s", code, out)
	}
	if code, out := check(""); code != exitOK || !strings.Contains(out, "not checked") {
		t.Errorf("verify without roots: exit %d: %s", code, out)
	}
	tool(t, "openssl", "ts", "-verify", "-data", filepath.Join(dir, storage.ManifestName), "-in", stamp, "-CAfile", tsa.CAFile)
	if answer := h.ask("POST", "/v1/recordings/c/verify", nil).ok(200); !strings.Contains(string(answer.body), `"intact":true`) {
		t.Errorf("verify over REST: %s", answer.body)
	}
	foreign := filepath.Join(filepath.Dir(dir), "d", storage.TimeStampName)
	eventually(t, "the other stamp is there", 20*time.Second, func() bool { _, err := os.Stat(foreign); return err == nil })
	b, err := os.ReadFile(foreign)
	if err == nil {
		err = os.WriteFile(stamp, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out := check(tsa.CAFile); code != exitFailed || !strings.Contains(out, "of something else") {
		t.Errorf("another recording's stamp: exit %d: %s", code, out)
	}
}
