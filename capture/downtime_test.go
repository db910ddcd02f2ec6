package capture_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// interrupted is the data of a capture that was killed when ann had spoken for
// 20 s. Time begins anew after it.
func interrupted(t *testing.T, ann *voice, change ...func(*capture.Spec)) (data string) {
	outer := t
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		h.t = outer // the copy outlives the bubble
		s.enter("a-mic", "ann", 1)
		h.start("c1", change...)
		ann.speak(s, 20*time.Second)
		synctest.Wait()
		data = h.image()
	})
	return data
}

// TestClockBack: a machine that comes back with its clock behind the recording
// records what is said all the same, after what was there.
func TestClockBack(t *testing.T) {
	ann := newVoice(t, "a-mic", 400)
	data := interrupted(t, ann)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(5 * time.Second) // 15 s behind
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, data, s)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ann.speak(s, 10*time.Second)
		if st := c.Status(); st.State != capture.Recording {
			t.Errorf("after 10 s: %s", st.State)
		}
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		for _, output := range []string{"mix-wav", "streams-ogg/ann/a-mic"} {
			frames, start := h.listen(m, output)
			near(t, output, heard(frames, start, 400), [][2]int64{{0, 30000}}, 600)
		}
	})
}

// TestLongDown: what a capture was not there for counts, but it does not record
// silence past its limit.
func TestLongDown(t *testing.T) {
	data := interrupted(t, newVoice(t, "a-mic", 400), func(s *capture.Spec) { s.Limits.MaxSeconds = 60 })
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Minute)
		h := open(t, data, newStage())
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if st := c.Status(); st.State != capture.Complete {
			t.Errorf("it is %s: %s", st.State, st.Reason)
		}
		m := h.recording("c1")
		if d := m.End.Sub(m.Start.Time); d != time.Minute || len(m.Segments) > 12 {
			t.Errorf("it lasts %s in %d segments", d, len(m.Segments))
		}
	})
}
