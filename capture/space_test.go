package capture_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// TestSpace: a disk that fills up. Below 5 % the streams' own files rest, below
// 1 % all files do, and both go on when there is room; each says why, and what
// was recorded before and after is whole.
func TestSpace(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for _, kill := range []bool{false, true} {
		t.Run(map[bool]string{false: "one life", true: "restarted while full"}[kill], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var level atomic.Int64
				space := func(config *capture.Config) {
					config.Space = func() storage.SpaceLevel { return storage.SpaceLevel(level.Load()) }
				}
				s, ann := newStage(), *a
				s.enter("a-mic", "ann", 1)
				data := t.TempDir()
				h := open(t, data, s, space)
				c := h.start("c1")
				synctest.Wait()
				see := func(what string, state capture.State, trouble string) {
					t.Helper()
					st := c.Status()
					if st.State != state || (trouble == "") != (st.Trouble == "") || !strings.Contains(st.Trouble, trouble) {
						t.Errorf("%s: %s, reason %q, trouble %q", what, st.State, st.Reason, st.Trouble)
					}
				}
				ann.speak(s, 8*time.Second)
				see("all well", capture.Recording, "")
				level.Store(int64(storage.SpaceVeryLow))
				ann.speak(s, time.Second)
				see("very low", capture.Recording, "")
				level.Store(int64(storage.SpaceMixOnly))
				ann.speak(s, 8*time.Second)
				see("mix only", capture.Recording, "only the mix is recorded")
				level.Store(int64(storage.SpaceNone))
				ann.speak(s, 8*time.Second)
				see("none", capture.Paused, "nothing is recorded")
				if r := c.Status().Reason; !strings.Contains(r, "of the disk is free") {
					t.Errorf("the reason is %q", r)
				}
				if kill {
					h.stop()
					h = open(t, data, s, space)
					var err error
					if c, err = h.captures.Get("c1"); err != nil {
						t.Fatal(err)
					}
					ann.speak(s, 2*time.Second)
					see("none, after a restart", capture.Paused, "nothing is recorded")
				}
				level.Store(int64(storage.SpaceAmple))
				ann.speak(s, 10*time.Second)
				see("room again", capture.Recording, "")
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				m := h.recording("c1")
				const second = 1000
				end, later := int64(35*second), int64(25*second)
				if kill {
					end, later = end+2*second, later+2*second
				}
				near(t, "the mix", covered(m, "mix-wav"), [][2]int64{{0, 17 * second}, {later, end}}, 1500)
				near(t, "the stream's own file", covered(m, "streams-ogg/ann/a-mic"), [][2]int64{{0, 9 * second}, {later, end}}, 1500)
				frames, start := h.hear(m, "mix-wav")
				near(t, "the tone", heard(frames, start, 400), [][2]int64{{0, 17 * second}, {later, end}}, 1500)
				reasons := map[string]int{}
				for _, g := range m.Gaps {
					reasons[g.Output]++
					if !strings.Contains(g.Reason, "of the disk is free") {
						t.Errorf("gap of %s: %q", g.Output, g.Reason)
					}
				}
				if reasons["mix-wav"] != 1 || reasons["streams-ogg/ann/a-mic"] != 1 {
					t.Errorf("gaps: %v", m.Gaps)
				}
			})
		})
	}
}

// TestSpaceWithoutMix: where no mix is recorded the streams go on until nothing
// can, and a pause that somebody asked for stays theirs.
func TestSpaceWithoutMix(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		var level atomic.Int64
		s := newStage()
		s.enter("a-mic", "ann", 1)
		h := open(t, t.TempDir(), s, func(config *capture.Config) {
			config.Space = func() storage.SpaceLevel { return storage.SpaceLevel(level.Load()) }
		})
		c := h.start("c1", func(s *capture.Spec) { s.Record = []capture.RecordSpec{{What: "streams", Format: "ogg"}} })
		synctest.Wait()
		level.Store(int64(storage.SpaceMixOnly))
		a.speak(s, 3*time.Second)
		if st := c.Status(); len(st.Pauses) != 0 || st.State != capture.Recording {
			t.Errorf("%s, pauses %+v", st.State, st.Pauses)
		}
		if err := c.Pause(capture.PauseRequest{Scope: capture.Scope{Output: "streams-ogg"}, Reason: "private"}, "op"); err != nil {
			t.Fatal(err)
		}
		level.Store(int64(storage.SpaceNone))
		a.speak(s, 3*time.Second)
		level.Store(int64(storage.SpaceAmple))
		a.speak(s, 3*time.Second)
		if st := c.Status(); len(st.Pauses) != 1 || st.Pauses[0].Actor != "op" || st.Trouble != "" {
			t.Errorf("a pause of somebody's became %+v, trouble %q", st.Pauses, st.Trouble)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
