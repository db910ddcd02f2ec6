package capture_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// TestTimeStamp: a seal does not wait for an authority that is down or silent;
// it is asked again every minute, also by the next life of the daemon.
func TestTimeStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, down, asked := t.TempDir(), true, 0
		authority := func(c *capture.Config) {
			c.Stamp = func(ctx context.Context, sum [32]byte) ([]byte, time.Time, error) {
				asked++
				time.Sleep(10 * time.Second)
				if down {
					return nil, time.Time{}, errors.New("it is down")
				}
				return append([]byte("stamp of "), sum[:]...), time.Now(), nil
			}
		}
		h := open(t, data, newStage(), authority)
		c := h.start("c1")
		time.Sleep(2 * time.Second)
		before := time.Now()
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took > time.Second {
			t.Errorf("the seal took %s", took)
		}
		time.Sleep(5*time.Minute + 30*time.Second)
		st := c.Status().TimeStamp
		if st == nil || st.At != nil || st.Trouble != "it is down" || asked < 4 || asked > 6 {
			t.Errorf("after %d tries: %+v", asked, st)
		}
		h.recording("c1")
		h.stop()

		down = false
		h = open(t, data, newStage(), authority)
		time.Sleep(2 * time.Minute)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		if st := c.Status().TimeStamp; st == nil || st.At == nil || st.Trouble != "" {
			t.Errorf("after the restart: %+v", st)
		}
		dir := filepath.Join(data, "recordings", "r", "c1")
		manifest, err := os.ReadFile(filepath.Join(dir, storage.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(manifest)
		if got, err := os.ReadFile(filepath.Join(dir, storage.TimeStampName)); err != nil || string(got) != "stamp of "+string(sum[:]) {
			t.Errorf("the stamp is %q, %v", got, err)
		}
		before, n := time.Now(), asked
		time.Sleep(10 * time.Minute)
		if asked != n {
			t.Errorf("asked again after %s", time.Since(before))
		}
	})
}
