package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// refuse makes every write to a file of this process fail, as on a full disk,
// until it is taken back.
func refuse(t testing.TB) (takeBack func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	})
}

// alone runs the test again in a process of its own and says that it did: a
// limit on a process is also one on the files of the test binary.
func alone(t *testing.T) bool {
	t.Helper()
	const name = "CAPTURE_TEST_ALONE"
	if os.Getenv(name) == t.Name() {
		return false
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), name+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")) {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

// block puts a file in the place of a folder until it is taken back: nothing
// can be made or moved below it.
func block(t testing.TB, folder string) (takeBack func()) {
	t.Helper()
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
		if err := os.Rename(folder+".away", folder); err != nil {
			t.Error(err)
		}
	})
}

// TestDiskFull: while the disk takes nothing for 20 s the capture says so and
// goes on; then the recording is written as if nothing had been.
func TestDiskFull(t *testing.T) {
	if alone(t) {
		return
	}
	atMoments(t, func(t testing.TB, _ *house) func() { return refuse(t) })
}

// TestNoNewSegments: files can be written but none can be made.
func TestNoNewSegments(t *testing.T) {
	atMoments(t, func(t testing.TB, h *house) func() { return block(t, filepath.Join(h.data, "spool", "open")) })
}

// TestNoUploads: segments cannot be handed to the uploader.
func TestNoUploads(t *testing.T) {
	atMoments(t, func(t testing.TB, h *house) func() { return block(t, filepath.Join(h.data, "spool", "out")) })
}

// TestNoManifests: segments can be written, manifests cannot.
func TestNoManifests(t *testing.T) {
	atMoments(t, func(t testing.TB, h *house) func() { return block(t, filepath.Join(h.data, "spool", "tmp")) })
}

// atMoments lets a fault of 20 s begin at several moments of a recording.
func atMoments(t *testing.T, fault func(testing.TB, *house) (takeBack func())) {
	v := newVoice(t, "", 400)
	const middle = 12 * time.Second
	for n, after := range []time.Duration{2 * time.Second, middle, middle, 14600 * time.Millisecond, 33 * time.Second} {
		if raced && after != middle {
			continue
		}
		encrypted := n%2 == 0
		t.Run(fmt.Sprintf("%v,encrypted=%v", after, encrypted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, c, talk := openTalk(t, v, encrypted)
				talk(after)
				takeBack := fault(t, h)
				defer takeBack()
				talk(20 * time.Second)
				if st := c.Status(); st.State != capture.Recording || st.Trouble == "" {
					t.Errorf("while the fault lasts: %s, trouble %q", st.State, st.Trouble)
				}
				takeBack()
				talk(15 * time.Second)
				if st := c.Status(); st.State != capture.Recording || st.Trouble != "" {
					t.Errorf("after it: %s, trouble %q", st.State, st.Trouble)
				}
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.checkVoice(c, talk(0))
			})
		})
	}
}

// openTalk starts a capture of one stream with every kind of file; talk sends
// packets for a time and returns how many were sent by then. What is recorded may
// be encrypted.
func openTalk(t testing.TB, v *voice, encrypted bool, change ...func(*capture.Config)) (h *house, c *capture.Capture, talk func(time.Duration) int64) {
	t.Helper()
	s := newStage()
	s.enter("voice", "ann", 1)
	h = open(t, t.TempDir(), s, change...)
	spec := []func(*capture.Spec){func(s *capture.Spec) {
		s.Record = append(s.Record, capture.RecordSpec{What: "streams", Format: "wav", SegmentSeconds: 10})
	}}
	if encrypted {
		spec = append(spec, h.owner(newCustomer(t)))
	}
	c = h.start("c1", spec...)
	synctest.Wait() // the recorder is in the room
	var n int64
	return h, c, func(d time.Duration) int64 {
		for end := n + int64(d/pcm.FrameTime); n < end; n++ {
			s.send("voice", uint16(n), uint32(n)*pcm.FrameSize, numbered(v.packets[n%50], n))
			time.Sleep(pcm.FrameTime)
		}
		return n
	}
}

// checkVoice checks that all n packets are in the recording, and the tone.
func (h *house) checkVoice(c *capture.Capture, n int64) {
	h.t.Helper()
	if st := c.Status(); st.State != capture.Complete {
		h.t.Fatalf("in the end: %s, %q, trouble %q", st.State, st.Reason, st.Trouble)
	}
	m := h.recording("c1")
	all := h.packets(m, "streams-ogg/ann/voice")
	for i, p := range all {
		if p.number != int64(i) || p.pos != int64(i)*pcm.FrameSize {
			h.t.Fatalf("packet %d of the file is number %d at sample %d", i, p.number, p.pos)
		}
	}
	if int64(len(all)) != n {
		h.t.Errorf("%d packets of %d", len(all), n)
	}
	l := m.Ledger["ann/voice"]
	if l["received"] != n*20 || l["lost"]+l["concealed"] != 0 {
		h.t.Errorf("ledger %v", l)
	}
	for _, output := range []string{"mix-wav", "streams-wav/ann/voice"} {
		frames, start := h.listen(m, output)
		near(h.t, output, heard(frames, start, 400), [][2]int64{{0, 20 * n}}, 20)
	}
	if q := m.Quality["ann/voice"]; q["packets"] != float64(n) || q["duplicates"] != 0 {
		h.t.Errorf("quality %v", q)
	}
}

// TestStopWhileDiskFullForLong: a stop that cannot be done says so, and it is
// done when the disk takes it, however late that is.
func TestStopWhileDiskFullForLong(t *testing.T) {
	if alone(t) {
		return
	}
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h, c, talk := openTalk(t, v, false)
		talk(18 * time.Second)
		takeBack := refuse(t)
		defer takeBack()
		n := talk(7 * time.Second) // only in memory
		for range 2 {
			if err := c.Stop(t.Context()); !errors.Is(err, capture.ErrUnsealed) {
				t.Errorf("stop while the disk is full: %v", err)
			}
		}
		time.Sleep(10 * time.Minute)
		if st := c.Status(); st.State != capture.Finalizing || st.Trouble == "" {
			t.Errorf("after ten minutes: %s, trouble %q", st.State, st.Trouble)
		}
		takeBack()
		time.Sleep(time.Minute)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.checkVoice(c, n)
	})
}

// TestStopWhileDiskFull: a stop waits for a disk that takes something soon.
func TestStopWhileDiskFull(t *testing.T) {
	if alone(t) {
		return
	}
	v := newVoice(t, "", 400)
	for _, before := range []time.Duration{0, 4 * time.Second} {
		t.Run(before.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, c, talk := openTalk(t, v, before == 0)
				talk(18 * time.Second)
				takeBack := refuse(t)
				defer takeBack()
				n := talk(before)
				time.AfterFunc(8*time.Second, takeBack)
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.checkVoice(c, n)
			})
		})
	}
}
