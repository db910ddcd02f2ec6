package timestamp_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/storage/timestamp"
	"mixdown/storage/timestamp/timestamptest"
)

// TestStamp: a stamp holds for what was stamped and for nothing else, by us
// and by openssl.
func TestStamp(t *testing.T) {
	tsa, other := timestamptest.Start(t), timestamptest.Start(t)
	data := []byte("the manifest\n")
	a := &timestamp.Authority{URL: tsa.URL, Roots: tsa.Roots}
	stamp, at, err := a.Stamp(t.Context(), sha256.Sum256(data))
	if err != nil || time.Since(at) > time.Minute {
		t.Fatalf("stamped at %s: %v", at, err)
	}
	c, err := timestamp.Check(stamp, sha256.Sum256(data), tsa.Roots)
	if err != nil || !c.Trusted || !c.At.Equal(at) || !strings.Contains(c.By, "Test Time Stamps") {
		t.Errorf("checked: %+v, %v", c, err)
	}
	if c, err := timestamp.Check(stamp, sha256.Sum256(data), nil); err != nil || c.Trusted {
		t.Errorf("without roots: %+v, %v", c, err)
	}
	if _, err := timestamp.Check(stamp, sha256.Sum256(data), other.Roots); err == nil {
		t.Error("a stranger's root was taken")
	}
	if _, err := timestamp.Check(stamp, sha256.Sum256([]byte("another")), tsa.Roots); err == nil {
		t.Error("it holds for something else")
	}
	for i := range stamp { // the parts that are not signed are structure
		bad := bytes.Clone(stamp)
		bad[i] ^= 0x04
		if c, err := timestamp.Check(bad, sha256.Sum256(data), tsa.Roots); err == nil && !c.At.Equal(at) {
			t.Errorf("with byte %d changed it is of %s", i, c.At)
		}
	}
	for n := range len(stamp) {
		if _, err := timestamp.Check(stamp[:n], sha256.Sum256(data), tsa.Roots); err == nil {
			t.Errorf("%d bytes of %d are a stamp", n, len(stamp))
		}
	}
	openssl(t, data, stamp, tsa.CAFile, true)
	openssl(t, data, stamp, other.CAFile, false)
	openssl(t, []byte("another"), stamp, tsa.CAFile, false)
}

// openssl is the second verifier.
func openssl(t *testing.T, data, stamp []byte, ca string, want bool) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"data": data, "stamp": stamp} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("openssl", "ts", "-verify", "-data", filepath.Join(dir, "data"), "-in", filepath.Join(dir, "stamp"), "-CAfile", ca).CombinedOutput()
	if (err == nil) != want {
		t.Errorf("openssl ts -verify: %v, want it well %v: %s", err, want, out)
	}
}

// TestStampFails: an authority that is down, that lies or that is none.
func TestStampFails(t *testing.T) {
	tsa, other := timestamptest.Start(t), timestamptest.Start(t)
	ask := func(a timestamp.Authority) error {
		_, _, err := a.Stamp(t.Context(), [32]byte{1})
		return err
	}
	if err := ask(timestamp.Authority{URL: tsa.URL, Roots: other.Roots}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody vouches for: %v", err)
	}
	tsa.Down.Store(true)
	if err := ask(timestamp.Authority{URL: tsa.URL, Roots: tsa.Roots}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("an authority that is down: %v", err)
	}
	if err := ask(timestamp.Authority{URL: "http://127.0.0.1:1/"}); err == nil {
		t.Error("nobody answered")
	}
}
