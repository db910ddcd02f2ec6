package capture_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
)

// TestEverybodyAtTheirTime: who joins late, leaves and comes back is in the
// mix and in their own file at their time.
func TestEverybodyAtTheirTime(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1")
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 30*time.Second) })
		wg.Go(func() {
			time.Sleep(5 * time.Second)
			s.enter("b-mic", "bob", 2)
			b.speak(s, 10*time.Second)
			s.leave("b-mic")
			time.Sleep(7 * time.Second)
			s.enter("b-mic", "bob", 3)
			b.speak(s, 5*time.Second)
		})
		time.Sleep(30 * time.Second)
		if st := c.Status(); st.State != capture.Recording || len(st.Streams) != 2 {
			t.Errorf("while it runs: state %s with %d streams", st.State, len(st.Streams))
		}
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		m := h.recording("c1")
		mix, start := h.listen(m, "mix-wav")
		near(t, "ann in the mix", heard(mix, start, 400), [][2]int64{{0, 30000}}, 20)
		near(t, "bob in the mix", heard(mix, start, 1000), [][2]int64{{5000, 15000}, {22000, 27000}}, 20)
		if got := len(mix); got != 1500 {
			t.Errorf("the mix has %d frames, want 1500", got)
		}
		own, start := h.listen(m, "streams-ogg/bob/b-mic")
		// A decoder that comes out of the silence of a file needs a packet or
		// two to find a tone that begins in its middle.
		near(t, "bob alone", heard(own, start, 1000), [][2]int64{{5000, 15000}, {22000, 27000}}, 40)
		near(t, "ann in bob's file", heard(own, start, 400), nil, 0)
		if l := m.Ledger["bob/b-mic"]; l["received"] < 14900 || l["away"] < 6900 || l["lost"] != 0 {
			t.Errorf("bob's ledger: %v", l)
		}
	})
}

// TestLinkCut: whatever the length of the cut, there is one recording, nobody
// shifts, and the hole is declared.
func TestLinkCut(t *testing.T) {
	for _, cut := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		t.Run(cut.String(), func(t *testing.T) {
			a := newVoice(t, "a-mic", 400)
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				h := open(t, t.TempDir(), s)
				s.enter("a-mic", "ann", 1)
				c := h.start("c1")
				length := 20*time.Second + cut
				var wg sync.WaitGroup
				wg.Go(func() { a.speak(s, length) })
				time.Sleep(10 * time.Second)
				s.link(false)
				time.Sleep(cut)
				s.link(true)
				time.Sleep(10 * time.Second)
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				m := h.recording("c1")
				mix, start := h.listen(m, "mix-wav")
				got := heard(mix, start, 400)
				if len(got) != 2 || got[0][1] < 9980 || got[0][1] > 10120 || got[1][1] != length.Milliseconds() {
					t.Fatalf("heard at %v", got)
				}
				if back := got[1][0] - 10000 - cut.Milliseconds(); back < 0 || back > 6000 {
					t.Errorf("back %d ms after the link", back)
				}
				hole := got[1][0] - got[0][1]
				if l := m.Ledger["ann/a-mic"]; l["recorderDown"]+l["concealed"] < hole-40 || l["recorderDown"] > hole+40 {
					t.Errorf("a hole of %d ms is declared as %v", hole, l)
				}
			})
		})
	}
}

// TestMute: ten minutes without packets are ten minutes in every file.
func TestMute(t *testing.T) {
	t.Parallel()
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", func(s *capture.Spec) {
			for i := range s.Record {
				s.Record[i].SegmentSeconds = 300
			}
		})
		silence := unraced(10*time.Minute, time.Minute)
		length := silence + time.Minute
		var wg sync.WaitGroup
		wg.Go(func() {
			a.speak(s, 20*time.Second)
			a.pause(silence)
			a.speak(s, 40*time.Second)
		})
		wg.Go(func() { b.speak(s, length) })
		time.Sleep(length)
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		m := h.recording("c1")
		want := [][2]int64{{0, 20000}, {length.Milliseconds() - 40000, length.Milliseconds()}}
		mix, start := h.listen(m, "mix-wav")
		near(t, "ann in the mix", heard(mix, start, 400), want, 20)
		own, start := h.listen(m, "streams-ogg/ann/a-mic")
		near(t, "ann alone", heard(own, start, 400), want, 40)
		if end := start + int64(len(own)+1)*pcm.FrameSize; end < pcm.Samples(length) {
			t.Errorf("ann's file ends at sample %d, want %d", end, pcm.Samples(length))
		}
	})
}

// TestShutdownAndResume: a stopped daemon leaves an interrupted capture, the
// next one goes on in the same recording.
func TestShutdownAndResume(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s, data := newStage(), t.TempDir()
		s.enter("a-mic", "ann", 1)
		h := open(t, data, s)
		c := h.start("c1")
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 40*time.Second) })
		time.Sleep(14 * time.Second)
		h.stop()
		if st := c.Status(); st.State != capture.Interrupted {
			t.Errorf("after a shutdown the capture is %s", st.State)
		}
		time.Sleep(6 * time.Second)
		h = open(t, data, s)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if st := c.Status(); st.State != capture.Recording {
			t.Errorf("after the restart the capture is %s: %s", st.State, st.Reason)
		}
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		m := h.recording("c1")
		mix, start := h.listen(m, "mix-wav")
		near(t, "ann in the mix", heard(mix, start, 400), [][2]int64{{0, 14000}, {20000, 40000}}, 60)
		if l := m.Ledger["ann/a-mic"]; l["recorderDown"] < 5900 || l["recorderDown"] > 6100 {
			t.Errorf("six seconds of shutdown are declared as %v", l)
		}
	})
}

// TestKill: the data folder as a kill would leave it, at many moments, always
// resumes into a whole recording that misses at most a second.
func TestKill(t *testing.T) {
	t.Parallel()
	a := newVoice(t, "a-mic", 400)
	for _, killed := range []time.Duration{
		300 * time.Millisecond, 4700 * time.Millisecond, 10050 * time.Millisecond, 15330 * time.Millisecond,
		20010 * time.Millisecond, 31490 * time.Millisecond, 61990 * time.Millisecond,
	} {
		t.Run(killed.String(), func(t *testing.T) {
			t.Parallel()
			a := *a
			synctest.Test(t, func(t *testing.T) {
				s, data := newStage(), t.TempDir()
				s.enter("a-mic", "ann", 1)
				h := open(t, data, s)
				h.start("c1")
				var wg sync.WaitGroup
				wg.Go(func() { a.speak(s, killed+20*time.Second) })
				time.Sleep(killed)
				synctest.Wait()
				copied := h.kill()
				time.Sleep(3 * time.Second)
				h = open(t, copied, s)
				c, err := h.captures.Get("c1")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(17 * time.Second)
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				m := h.recording("c1")
				mix, start := h.listen(m, "mix-wav")
				kill, end := killed.Milliseconds(), (killed + 20*time.Second).Milliseconds()
				for name, got := range map[string][][2]int64{
					"mix": heard(mix, start, 400),
					"own": func() [][2]int64 { f, at := h.listen(m, "streams-ogg/ann/a-mic"); return heard(f, at, 400) }(),
				} {
					if killed < time.Second && len(got) == 1 {
						continue // the second before the kill is all there was
					}
					if len(got) != 2 || got[0][0] > 20 || got[0][1] < kill-1000 || got[0][1] > kill+120 ||
						got[1][0] > kill+3200 || got[1][1] < end-20 {
						t.Errorf("%s: heard at %v with a kill at %d ms and the end at %d", name, got, kill, end)
					}
				}
			})
		})
	}
}

// TestStartIsIdempotent: one id is one capture.
func TestStartIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), newStage())
		c := h.start("c1")
		spec := capture.Spec{Room: capture.RoomSpec{RoomID: "r", System: "mixdown"}, Record: []capture.RecordSpec{
			{What: "mix", Format: "wav", SegmentSeconds: 10, Storage: "local"}, {What: "streams", SegmentSeconds: 10},
		}}
		again, created, err := h.captures.Start("c1", spec)
		if err != nil || created || again != c {
			t.Errorf("the same again: %v, created %v", err, created)
		}
		spec.Labels = map[string]string{"case": "A-17"}
		spec.Record[0].SegmentSeconds = 20
		_, _, err = h.captures.Start("c1", spec)
		var conflict *capture.ConflictError
		if !errors.As(err, &conflict) || len(conflict.Differences) != 2 {
			t.Errorf("another spec: %v", err)
		}
	})
}

// TestBadSpec: every wrong field is named.
func TestBadSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), newStage())
		_, _, err := h.captures.Start("c1", capture.Spec{
			Record:    []capture.RecordSpec{{What: "video", Format: "mp4", Storage: "moon", SegmentSeconds: -1}},
			Republish: []capture.RepublishSpec{{StreamID: "a b"}},
		})
		var bad *capture.SpecError
		if !errors.As(err, &bad) || len(bad.Problems) != 6 {
			t.Errorf("got %v", err)
		}
		// A gain that is taken is the gain that is heard.
		for db, good := range map[float64]bool{mixer.MaxGain: true, mixer.MaxGain + 0.1: false, pcm.MinDB: true, pcm.MinDB - 1: false} {
			_, _, err := h.captures.Start("", capture.Spec{
				Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{{What: "mix"}}, Mix: capture.MixSpec{Gains: map[string]float64{"ann": db}},
			})
			if (err == nil) != good || !good && !errors.As(err, &bad) {
				t.Errorf("a gain of %v dB: %v", db, err)
			}
		}
	})
}

// TestLimits: a capture ends by itself when its time is over or nobody comes.
func TestLimits(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		short := h.start("short", func(s *capture.Spec) { s.Limits.MaxSeconds = 12 })
		idle := h.start("idle", func(s *capture.Spec) { s.Limits.IdleSeconds = 15 })
		s.enter("a-mic", "ann", 1)
		a.speak(s, 10*time.Second)
		s.leave("a-mic")
		time.Sleep(5 * time.Second)
		if st := short.Status(); st.State != capture.Complete {
			t.Errorf("after maxSeconds: %s", st.State)
		}
		if st := idle.Status(); st.State.Ended() {
			t.Errorf("idle for 5 s only: %s", st.State)
		}
		time.Sleep(15 * time.Second)
		if st := idle.Status(); st.State != capture.Complete {
			t.Errorf("after idleSeconds: %s", st.State)
		}
	})
}

// TestKillOfLongSegments: what an unsealed file held at the kill is made again
// from the journal, however long ago it began and whatever else was sealed since.
func TestKillOfLongSegments(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for name, record := range map[string][]capture.RecordSpec{
		"streams alone":         {{What: "streams", SegmentSeconds: 60}},
		"a mix in short pieces": {{What: "mix", Format: "wav", SegmentSeconds: 5}, {What: "streams", SegmentSeconds: 60}},
		"streams in short ones": {{What: "mix", Format: "wav", SegmentSeconds: 60}, {What: "streams", SegmentSeconds: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const killed = 41330 * time.Millisecond
				s, data := newStage(), t.TempDir()
				s.enter("a-mic", "ann", 1)
				h := open(t, data, s)
				h.start("c1", func(s *capture.Spec) { s.Record = record })
				var wg sync.WaitGroup
				wg.Go(func() { a.speak(s, killed+10*time.Second) })
				time.Sleep(killed)
				synctest.Wait()
				h = open(t, h.kill(), s)
				c, err := h.captures.Get("c1")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(8 * time.Second)
				if err := c.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				m := h.recording("c1")
				for _, o := range m.Outputs {
					frames, start := h.listen(m, o.ID)
					got := heard(frames, start, 400)
					if n := len(got); n == 0 || n > 2 || got[0][0] > 20 || got[0][1] < killed.Milliseconds()-1000 || got[n-1][1] < killed.Milliseconds()+7900 {
						t.Errorf("%s is heard at %v with a kill at %v", o.ID, got, killed)
					}
				}
			})
		})
	}
}

// TestKilledWhileStopping: a stop that a kill interrupted is finished by the
// next start, and the recorder does not go back into the room.
func TestKilledWhileStopping(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s, data := newStage(), t.TempDir()
		s.enter("a-mic", "ann", 1)
		h := open(t, data, s)
		c := h.start("c1")
		var wg sync.WaitGroup
		wg.Go(func() { a.speak(s, 20*time.Second) })
		time.Sleep(12 * time.Second)
		wg.Go(func() { _ = c.Stop(context.Background()) })
		time.Sleep(100 * time.Millisecond) // within the grace for late packets
		copied := h.image()
		wg.Wait()
		h.stop()
		h = open(t, copied, s)
		time.Sleep(time.Second)
		c, err := h.captures.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		if st := c.Status(); st.State != capture.Complete {
			t.Fatalf("after the restart the capture is %s: %s", st.State, st.Reason)
		}
		if err := c.Stop(context.Background()); err != nil { // waits for the local storage
			t.Fatal(err)
		}
		mix, start := h.listen(h.recording("c1"), "mix-wav")
		near(t, "ann in the mix", heard(mix, start, 400), [][2]int64{{0, 12000}}, 300)
		if len(mix) != 600 {
			t.Errorf("the mix has %d frames, want 600", len(mix))
		}
	})
}
