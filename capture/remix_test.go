package capture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
)

// TestRemix: mixing again from the streams' files gives the samples of the
// recorded mix, bit for bit, through losses, pauses, leaving, coming back and
// a cut link; another gain gives another mix.
func TestRemix(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1", func(s *capture.Spec) {
			s.Mix.Gains = map[string]float64{"bob": -3}
			s.Record = []capture.RecordSpec{{What: "mix", Format: "wav", SegmentSeconds: 60}, {What: "streams", SegmentSeconds: 7}}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			a.speak(s, 6*time.Second)
			a.seq += 3 // lost
			a.pause(60 * time.Millisecond)
			a.speak(s, 4*time.Second)
			a.pause(1234 * time.Millisecond)
			a.speak(s, 20*time.Second)
		})
		wg.Go(func() {
			time.Sleep(3 * time.Second)
			s.enter("b-mic", "bob", 2)
			b.speak(s, 5*time.Second)
			s.leave("b-mic")
			time.Sleep(4 * time.Second)
			s.enter("b-mic", "bob", 3)
			b.speak(s, 9*time.Second)
		})
		time.Sleep(16 * time.Second)
		s.link(false)
		time.Sleep(2 * time.Second)
		s.link(true)
		time.Sleep(10 * time.Second)
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		recorded, _ := h.listen(h.recording("c1"), "mix-wav")
		again := h.remix(t, capture.MixSpec{Gains: map[string]float64{"bob": -3}})
		h.equals(recorded, again)
		alone := h.remix(t, capture.MixSpec{Exclude: []string{"bob"}})
		near(t, "bob, excluded", heard(alone, 0, 1000), nil, 0)
		if len(heard(alone, 0, 400)) == 0 {
			t.Error("ann is not heard alone")
		}
	})
}

// TestRemixAfterKill: where a kill has taken the last instants away and the
// speaker has come back by a connection of its own, the mix is mixed again as
// it was, bit by bit, wherever the kill falls between checkpoints and segments.
func TestRemixAfterKill(t *testing.T) {
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	for _, killed := range []time.Duration{6730 * time.Millisecond, 12345 * time.Millisecond, 17110 * time.Millisecond, 19990 * time.Millisecond, 32680 * time.Millisecond} {
		t.Run(killed.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { remixAfterKill(t, a, b, killed) })
		})
	}
}

func remixAfterKill(t *testing.T, a, b *voice, killed time.Duration) {
	s, data := newStage(), t.TempDir()
	s.enter("a-mic", "ann", 1)
	s.enter("b-mic", "bob", 2)
	h := open(t, data, s)
	record := func(s *capture.Spec) {
		s.Record = []capture.RecordSpec{{What: "mix", Format: "wav", SegmentSeconds: 5}, {What: "streams", SegmentSeconds: 5}}
	}
	h.start("c1", record)
	var wg sync.WaitGroup
	wg.Go(func() {
		a.speak(s, killed)
		s.reconnect("a-mic", 11)
		a.seq, a.ts = 700, 12345
		a.speak(s, 14*time.Second)
	})
	wg.Go(func() { b.speak(s, killed+14*time.Second) })
	time.Sleep(killed)
	synctest.Wait()
	copied := h.kill()
	time.Sleep(2 * time.Second)
	h = open(t, copied, s)
	c, err := h.captures.Get("c1")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(11 * time.Second)
	if err := c.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	recorded, _ := h.listen(h.recording("c1"), "mix-wav")
	again := h.remix(t, capture.MixSpec{})
	h.equals(recorded, again)
}

func (h *house) remix(t *testing.T, mix capture.MixSpec) []pcm.Frame {
	t.Helper()
	var out frames
	if err := capture.Remix(context.Background(), h.local, "r/c1", mix, encoder.Config{Format: "wav"}, &out); err != nil {
		t.Fatal(err)
	}
	return out.all(t)
}

// equals fails unless a mix made again is what was recorded, bit by bit.
func (h *house) equals(recorded, again []pcm.Frame) {
	h.t.Helper()
	if len(again) != len(recorded) {
		h.t.Fatalf("%d frames recorded, %d mixed again", len(recorded), len(again))
	}
	for i := range recorded {
		if recorded[i] != again[i] {
			h.t.Fatalf("frame %d differs: %v, again %v", i, recorded[i][:4], again[i][:4])
		}
	}
}

// TestRemixBegun: what was being said as the recording began is in the mix and in
// the stream's file from the same packet on.
func TestRemixBegun(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for _, after := range []int64{0, 1, 59, 61, 300, 500, 959, 960, 961} {
		ann := *a
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			h := open(t, t.TempDir(), s)
			s.enter("a-mic", "ann", 1)
			c := h.start("c1", func(s *capture.Spec) {
				s.Record = []capture.RecordSpec{{What: "mix", Format: "wav", SegmentSeconds: 60}, {What: "streams"}, {What: "streams", Format: "wav"}}
			})
			synctest.Wait()
			for range 2 { // what was said before comes at once
				s.send(ann.id, ann.seq, ann.ts, ann.packets[int(ann.seq)%len(ann.packets)])
				ann.seq++
				ann.ts += pcm.FrameSize
			}
			time.Sleep(pcm.Duration(after))
			ann.speak(s, 10*time.Second)
			if err := c.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			m := h.recording("c1")
			recorded, start := h.listen(m, "mix-wav")
			if got := heard(recorded, start, 400); len(got) != 1 || got[0][0] > 40 {
				t.Errorf("speech goes on %d samples after the beginning: heard %v", after, got)
			}
			for _, output := range []string{"streams-ogg/ann/a-mic", "streams-wav/ann/a-mic"} {
				if _, start := h.listen(m, output); start < 0 || start > pcm.FrameSize {
					t.Errorf("speech goes on %d samples after the beginning: %s begins at %d", after, output, start)
				}
			}
			h.equals(recorded, h.remix(t, capture.MixSpec{}))
		})
	}
}

// TestRemixLongSettings: settings may name so many that their line in the event
// log is longer than a megabyte.
func TestRemixLongSettings(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		c := h.start("c1", func(s *capture.Spec) {
			for n := range 60000 {
				s.Mix.Exclude = append(s.Mix.Exclude, fmt.Sprintf("a-user-whom-we-do-not-want-to-hear-%d", n))
			}
		})
		a.speak(s, 8*time.Second)
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		recorded, _ := h.listen(h.recording("c1"), "mix-wav")
		if len(heard(recorded, 0, 400)) == 0 {
			t.Error("ann is not heard")
		}
		h.equals(recorded, h.remix(t, capture.MixSpec{}))
	})
}

// TestRemixOddHoles: a sender that skips any number of samples leaves holes that
// the stream's file fills with silence; none of that is taken for a packet.
func TestRemixOddHoles(t *testing.T) {
	a := newVoice(t, "a-mic", 400)
	for seed := range uint64(4) {
		ann := *a
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			s := newStage()
			h := open(t, t.TempDir(), s)
			s.enter("a-mic", "ann", 1)
			c := h.start("c1")
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
				ann.speak(s, time.Duration(r.IntN(1500))*time.Millisecond)
				n := 1 + r.Int64N(5000)
				ann.ts += uint32(n)
				time.Sleep(pcm.Duration(n))
			}
			if err := c.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			recorded, _ := h.listen(h.recording("c1"), "mix-wav")
			h.equals(recorded, h.remix(t, capture.MixSpec{}))
		})
	}
}

// frames keeps a mix in memory.
type frames struct{ encodertest.Store }

func (f *frames) all(t testing.TB) (all []pcm.Frame) {
	t.Helper()
	samples, err := encodertest.Decode(".wav", f.Bytes(1))
	if err != nil {
		t.Fatal(err)
	}
	all = make([]pcm.Frame, 0, len(samples)/pcm.FrameSize)
	for len(samples) >= pcm.FrameSize {
		all = append(all, pcm.Frame(samples[:pcm.FrameSize]))
		samples = samples[pcm.FrameSize:]
	}
	return all
}
