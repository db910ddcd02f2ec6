package capture_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// fullDisk takes no new files below a folder of the data while it is full.
type fullDisk struct {
	folder string
	full   atomic.Bool
}

func (f *fullDisk) fault(c *capture.Config) {
	c.Fault = func(op, name string, p []byte) (int, error) {
		if op == "create" && f.full.Load() && strings.Contains(name, f.folder) {
			return 0, syscall.ENOSPC
		}
		return len(p), nil
	}
}

// TestDiskFullAtStart: a daemon that comes back to a full disk keeps the
// captures that cannot go on, says so, and lets them go on when they can. What
// asks for the same capture meanwhile gets it and spoils nothing.
func TestDiskFullAtStart(t *testing.T) {
	v := newVoice(t, "voice", 400)
	synctest.Test(t, func(t *testing.T) {
		s, disk := newStage(), &fullDisk{folder: "open"}
		s.enter("voice", "ann", 1)
		h := open(t, t.TempDir(), s, disk.fault)
		var spec capture.Spec
		h.start("c1", func(s *capture.Spec) { spec = *s })
		synctest.Wait()
		v.speak(s, 18*time.Second)
		data := h.kill()
		disk.full.Store(true)
		h = open(t, data, s, disk.fault)
		c, created, err := h.captures.Start("c1", spec)
		if err != nil || created {
			t.Fatalf("the same again: created %v, %v", created, err)
		}
		time.Sleep(time.Minute)
		if st := c.Status(); st.State != capture.Interrupted || !strings.Contains(st.Trouble, "no space left") {
			t.Errorf("on a full disk: %s, trouble %q", st.State, st.Trouble)
		}
		disk.full.Store(false)
		time.Sleep(31 * time.Second)
		v.speak(s, 5*time.Second)
		if c, err = h.captures.Get("c1"); err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		for _, output := range []string{"mix-wav", "streams-ogg/ann/voice"} {
			frames, start := h.listen(m, output)
			near(t, output, heard(frames, start, 400), [][2]int64{{0, 18000}, {109000, 114000}}, 300)
		}
	})
}

// TestUnreadableCapture: a capture whose first file cannot be read is none that
// could be started again over its files.
func TestUnreadableCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		var spec capture.Spec
		h.start("c1", func(s *capture.Spec) { spec = *s })
		synctest.Wait()
		data := h.kill()
		file := filepath.Join(data, "captures", "c1", "capture.json")
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		h = open(t, data, s)
		if _, _, err := h.captures.Start("c1", spec); err == nil || !strings.Contains(err.Error(), filepath.Dir(file)) {
			t.Errorf("started over what cannot be read: %v", err)
		}
		if _, err := os.Stat(filepath.Join(data, "captures", "c1", "segments.jsonl")); err != nil {
			t.Error(err)
		}
	})
}

// TestStartWithoutManifest: a disk that takes no manifest refuses no start; the
// manifest comes when it can.
func TestStartWithoutManifest(t *testing.T) {
	v := newVoice(t, "voice", 400)
	synctest.Test(t, func(t *testing.T) {
		s, disk := newStage(), &fullDisk{folder: "tmp"}
		s.enter("voice", "ann", 1)
		disk.full.Store(true)
		h := open(t, t.TempDir(), s, disk.fault)
		c := h.start("c1")
		if st := c.Status(); !strings.Contains(st.Trouble, "no space left") {
			t.Errorf("trouble %q", st.Trouble)
		}
		synctest.Wait()
		v.speak(s, 4*time.Second)
		disk.full.Store(false)
		v.speak(s, 14*time.Second)
		if st := c.Status(); st.Trouble != "" {
			t.Errorf("afterwards: trouble %q", st.Trouble)
		}
		if _, err := os.Stat(filepath.Join(h.data, "recordings", "r", "c1", storage.ManifestName)); err != nil {
			t.Error(err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.recording("c1")
	})
}
