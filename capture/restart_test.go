package capture_test

import (
	"context"
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
	"mixdown/storage/crypt"
)

// TestChangeAfterShutdown: a change of a capture that a shutdown has ended
// already counts for the next life, at its time, and keeps nothing from being
// recorded there.
func TestChangeAfterShutdown(t *testing.T) {
	ann := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s)
		c := h.start("c1")
		synctest.Wait()
		ann.speak(s, 3*time.Second)
		h.stop()
		if err := c.Pause(capture.PauseRequest{Mode: capture.PauseSilence}, "op"); err != nil {
			t.Fatal(err)
		}
		if err := c.Resume(capture.Scope{}, "op", ""); err != nil {
			t.Fatal(err)
		}
		h = open(t, h.data, s)
		synctest.Wait()
		ann.speak(s, 20*time.Second)
		h = open(t, h.kill(), s)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		frames, start := h.listen(h.recording("c1"), "mix-wav")
		near(t, "the mix", heard(frames, start, 400), [][2]int64{{0, 23000}}, 1000)
	})
}

// TestPublishFailsAtRestart: a disk that is full while a recording is opened
// again holds it up only as long as it is full.
func TestPublishFailsAtRestart(t *testing.T) {
	ann := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		full := func(c *capture.Config) {
			c.Fault = func(op, name string, p []byte) (int, error) {
				if failing.Load() && op == "rename" && strings.HasPrefix(name, "out/") {
					return 0, syscall.ENOSPC
				}
				return len(p), nil
			}
		}
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s, full)
		h.start("c1")
		ann.speak(s, 20*time.Second)
		data := h.image()
		h.stop()
		h = open(t, data, s, full)
		time.Sleep(time.Minute)
		failing.Store(false)
		time.Sleep(time.Minute)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		if st := c.Status(); st.Trouble != "" || st.State != capture.Recording {
			t.Errorf("a minute after the disk has room again: %s, %q", st.State, st.Trouble)
		}
	})
}

// TestCutStart: a capture does not go on in the folder of a start that was cut
// short, nor removes it.
func TestCutStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		h.start("c1") // mix wav and streams ogg
		data := h.kill()
		if err := os.Remove(filepath.Join(data, "captures", "c1", "capture.json")); err != nil {
			t.Fatal(err)
		}
		h = open(t, data, s)
		c := h.start("c1", func(s *capture.Spec) {
			s.Record = []capture.RecordSpec{{What: "mix", Format: "flac", SegmentSeconds: 10}}
		})
		time.Sleep(12 * time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, o := range h.recording("c1").Outputs {
			if o.ID != "mix-flac" {
				t.Errorf("asked for mix-flac, recorded %s", o.ID)
			}
		}
		if _, err := os.Stat(filepath.Join(data, "captures", "c1.cut-1", "journal")); err != nil {
			t.Error(err)
		}
	})
}

// TestUnfinishedFilesGo: what a life before the last began and nobody wrote
// again is gone from the spool when the recording is sealed.
func TestUnfinishedFilesGo(t *testing.T) {
	ann := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s)
		h.start("c1")
		ann.speak(s, 9*time.Second)
		data := h.kill()
		parts, err := filepath.Glob(filepath.Join(data, "spool", "open", "r", "c1", "mix*", "*.part"))
		if err != nil || len(parts) == 0 {
			t.Fatalf("parts %q, %v", parts, err)
		}
		part := filepath.Join(filepath.Dir(parts[0]), "000009-20000101T000000.000Z.wav.part")
		if err := os.WriteFile(part, []byte("RIFF"), 0o600); err != nil {
			t.Fatal(err)
		}
		h = open(t, data, s)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		ann.speak(s, 5*time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(part); err == nil {
			t.Error("an unfinished file is left")
		}
		h.recording("c1")
	})
}

// TestTornCheckpoint: a kill in the middle of writing a checkpoint costs the
// next life nothing.
func TestTornCheckpoint(t *testing.T) {
	ann := newVoice(t, "a-mic", 400)
	for _, short := range []int{10, 150, 300, 600, 1000, 2000, 10000} { // bytes
		synctest.Test(t, func(t *testing.T) {
			ann := *ann
			var dead, off atomic.Bool
			fault := func(op, name string, p []byte) (int, error) {
				switch {
				case off.Load():
					return len(p), nil
				case dead.Load():
					return 0, syscall.EIO
				case op == "write" && strings.HasSuffix(name, ".journal") && name >= "00000003" && len(p) > 20000:
					dead.Store(true)
					return len(p) - short, syscall.EIO
				}
				return len(p), nil
			}
			s := newStage()
			s.enter("a-mic", "ann", 1)
			begun := time.Now()
			h := open(t, t.TempDir(), s, func(c *capture.Config) { c.Fault = fault })
			h.start("c1")
			for !dead.Load() {
				ann.speak(s, 20*time.Millisecond)
			}
			data := h.image()
			killed := time.Since(begun)
			off.Store(true)
			h.stop()
			h = open(t, data, s)
			synctest.Wait()
			ann.speak(s, 4*time.Second)
			h = open(t, h.kill(), s)
			c, err := h.captures.Get("c1")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			frames, start := h.listen(h.recording("c1"), "mix-wav")
			all := heard(frames, start, 400)
			last := all[len(all)-1]
			if last[0] > killed.Milliseconds()+60 || last[1] < killed.Milliseconds()+3000 || all[0][1] < killed.Milliseconds()-1000 {
				t.Errorf("killed at %v, %d bytes before the end of a checkpoint: heard %v", killed, short, all)
			}
		})
	}
}

// TestKeyFileWaits: a key file that the spool could not take at once is in the
// recording that is sealed.
func TestKeyFileWaits(t *testing.T) {
	ann, who := newVoice(t, "a-mic", 400), newCustomer(t)
	for _, key := range []string{"keys/events", "keys/mix", "keys/streams"} {
		synctest.Test(t, func(t *testing.T) {
			ann := *ann
			var failed atomic.Bool
			once := func(c *capture.Config) {
				c.Encryption.Host = crypt.NewHost(filepath.Join(t.TempDir(), "host.key"))
				c.Fault = func(op, name string, p []byte) (int, error) {
					if op == "rename" && strings.HasPrefix(name, "out/") && strings.Contains(name, key) && failed.CompareAndSwap(false, true) {
						return 0, syscall.ENOSPC
					}
					return len(p), nil
				}
			}
			s := newStage()
			s.enter("a-mic", "ann", 1)
			h := open(t, t.TempDir(), s, once)
			c := h.start("c1", h.owner(who))
			ann.speak(s, 12*time.Second)
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if !failed.Load() {
				t.Errorf("%s: nothing was refused", key)
			}
			h.verify("c1", who.unlock(t, h, "c1"))
			m := h.recording("c1")
			if frames, start := h.listen(m, "mix-wav"); len(heard(frames, start, 400)) != 1 || len(frames) < 590 {
				t.Errorf("%s: of 600 frames %d are recorded, heard at %v", key, len(frames), heard(frames, start, 400))
			}
		})
	}
}

// TestUnredact: a token that is shown as asterisks comes back for the address
// that it is of, and for no other.
func TestUnredact(t *testing.T) {
	before := capture.Spec{
		Room:      capture.RoomSpec{System: "mixdown", URL: "wss://good.example", Token: "secret"},
		Republish: []capture.RepublishSpec{{WHIP: "https://good.example/whip", Token: "secret"}},
	}
	same, other := before.Redacted(), before.Redacted()
	other.Room.URL, other.Republish[0].WHIP = "wss://evil.example", "https://evil.example/whip"
	same.Unredact(before)
	other.Unredact(before)
	if same.Room.Token != "secret" || same.Republish[0].Token != "secret" {
		t.Errorf("tokens of the same addresses: %q, %q", same.Room.Token, same.Republish[0].Token)
	}
	if other.Room.Token == "secret" || other.Republish[0].Token == "secret" {
		t.Errorf("tokens of other addresses: %q, %q", other.Room.Token, other.Republish[0].Token)
	}
}

// finish stops a capture that is there and returns its verified recording.
func (h *house) finish(id string) *storage.Manifest {
	h.t.Helper()
	c, err := h.captures.Get(id)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Stop(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	return h.recording(id)
}
