package capture_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/joiner"
)

// TestSecondLoginOfRecorder: who logs in as the recorder elsewhere throws it
// out; what it has is a whole recording that says why it ends.
func TestSecondLoginOfRecorder(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		c := h.start("c1", func(s *capture.Spec) { s.User.UserID = "rec" })
		ann := h.talker("ann", "ann-voice", v, 0)
		ann.Say(7 * time.Second)
		h.visitor("rec", true, nil)
		within(t, 3*time.Second, "end of the capture", func() bool { return c.Status().State.Ended() })
		st := c.Status()
		if st.State != capture.Complete || !strings.Contains(st.Reason, "1002050") {
			t.Errorf("%s: %q", st.State, st.Reason)
		}
		said := ann.Frames()
		ann.Say(5 * time.Second)
		m := h.end(c, "c1")
		if lost := ann.missing(h.packets(m, "streams-ogg/ann/ann-voice"), 0, said); len(lost) > 0 {
			t.Errorf("missing: %v", lost)
		}
		if m.State != string(capture.Complete) || m.End == nil {
			t.Errorf("manifest: %s until %v", m.State, m.End)
		}
	})
}

// TestSecondLoginOfPublisher: the stream of the first login ends, that of the
// second goes on in the same row.
func TestSecondLoginOfPublisher(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		c := h.start("c1")
		first := h.talker("ann", "ann-voice", v, 0)
		first.Say(7 * time.Second)
		second := h.talker("ann", "ann-voice", v, 1000)
		first.Say(time.Second) // into the void
		second.Say(7 * time.Second)
		length := time.Since(first.begin)
		m := h.end(c, "c1")
		all := h.packets(m, "streams-ogg/ann/ann-voice")
		order(t, all)
		if lost := append(first.missing(all, 0, 350), second.missing(all, 50, second.Frames())...); len(lost) > 0 {
			t.Errorf("missing: %v", lost)
		}
		first.placed(t, m, all, 20*time.Millisecond)
		second.placed(t, m, all, 20*time.Millisecond)
		if len(m.Streams) != 1 || len(m.Streams[0].Joins) != 2 {
			t.Errorf("streams %+v", m.Streams)
		}
		whole(t, m, "ann/ann-voice", length)
	})
}

// TestTokens: tokens of a minute last for a capture of five, and a login after
// the last one's end brings a new one.
func TestTokens(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var h *hall
		h = openHall(t, func(c *capture.Config) {
			c.Token = func(_ string, l joiner.Login) (string, error) {
				asked.Add(1)
				return h.bed.TokenFor(l.RoomID, l.UserID, l.Hidden, time.Minute)
			}
		})
		c := h.start("c1")
		time.Sleep(time.Second)
		ann := h.talker("ann", "ann-voice", v, 0)
		ann.Say(unraced(5*time.Minute, 70*time.Second))
		if n := asked.Load(); n < 3 || n > 20 || n < 6 && !raced {
			t.Errorf("%d tokens until %v", n, time.Now())
		}
		h.recorder.Link.Cut(true)
		cut := ann.Frames()
		ann.Say(65 * time.Second)
		h.recorder.Link.Cut(false)
		back := ann.Frames()
		ann.Say(10 * time.Second)
		m := h.end(c, "c1")
		all := h.packets(m, "streams-ogg/ann/ann-voice")
		if lost := append(ann.missing(all, 0, cut), ann.missing(all, back+150, ann.Frames())...); len(lost) > 0 {
			t.Errorf("missing: %v", lost)
		}
		ann.placed(t, m, all, 20*time.Millisecond)
		if n := h.events(m, "recorder.connected"); n != 2 {
			t.Errorf("%d times connected", n)
		}
	})
}
