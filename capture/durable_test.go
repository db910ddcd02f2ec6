package capture_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// TestDurable: every output says up to where it is safe, in the status and in
// the manifest; that is at most a second ago, and a kill finds all of it.
func TestDurable(t *testing.T) {
	v := newVoice(t, "", 400)
	for _, killed := range []time.Duration{1300 * time.Millisecond, 12170 * time.Millisecond, 21 * time.Second} {
		t.Run(killed.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, data := newStage(), t.TempDir()
				s.enter("voice", "ann", 1)
				h := open(t, data, s)
				c := h.start("c1")
				synctest.Wait()
				last := int64(0)
				var n int64
				for ; n < int64(killed/pcm.FrameTime); n++ {
					s.send("voice", uint16(n), uint32(n)*pcm.FrameSize, numbered(v.packets[n%50], n))
					time.Sleep(pcm.FrameTime)
					for _, o := range c.Status().Outputs {
						if o.DurableSample < last || time.Since(o.DurableTo.Time) > time.Second || o.DurableTo.After(time.Now()) {
							t.Fatalf("after packet %d: %s is durable to sample %d, %s (%s ago), was %d before",
								n, o.ID, o.DurableSample, o.DurableTo, time.Since(o.DurableTo.Time), last)
						}
						last = o.DurableSample
					}
				}
				h = open(t, h.kill(), s)
				if c, _ = h.captures.Get("c1"); c == nil {
					t.Fatal("the capture is gone")
				}
				time.Sleep(time.Second)
				if o := c.Status().Outputs; len(o) != 2 || o[0].DurableSample < last {
					t.Errorf("durable after the restart: %+v, was %d", o, last)
				}
				time.Sleep(time.Second)
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				m := h.recording("c1")
				have := map[int64]bool{}
				for _, p := range h.packets(m, "streams-ogg/ann/voice") {
					have[p.number] = true
				}
				for i := range last / pcm.FrameSize {
					if !have[i] {
						t.Errorf("packet %d is missing, durable were %d samples", i, last)
					}
				}
				if q := m.Quality["ann/voice"]; q["duplicates"] != 0 {
					t.Errorf("quality %v", q)
				}
				for _, o := range m.Outputs {
					if !o.DurableTo.Equal(m.End.Time) || o.DurableSample != pcm.Samples(m.End.Sub(m.Start.Time)) {
						t.Errorf("%s of a sealed recording is durable to %s (%d), its end is %s", o.ID, o.DurableTo, o.DurableSample, m.End)
					}
				}
			})
		})
	}
}

// TestFsyncFails: journal and segments whose fsync fails are written anew,
// nothing claims to be durable meanwhile, and nothing is missing in the end.
func TestFsyncFails(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		var failed atomic.Int64
		fault := func(op, name string, p []byte) (int, error) {
			if op == "sync" && failing.Load() {
				failed.Add(1)
				return 0, syscall.EIO
			}
			return len(p), nil
		}
		h, c, talk := openTalk(t, v, false, func(c *capture.Config) { c.Fault = fault })
		talk(9 * time.Second)
		failing.Store(true)
		from := time.Now()
		talk(8 * time.Second) // over the end of a segment
		st := c.Status()
		if !strings.Contains(st.Trouble, "input/output error") || failed.Load() == 0 {
			t.Errorf("trouble %q after %d failed fsyncs", st.Trouble, failed.Load())
		}
		for _, o := range st.Outputs {
			if o.DurableTo.After(from) {
				t.Errorf("%s is durable to %s, no fsync succeeded since %s", o.ID, o.DurableTo, from)
			}
		}
		failing.Store(false)
		talk(15 * time.Second)
		if st := c.Status(); st.Trouble != "" || time.Since(st.Outputs[0].DurableTo.Time) > time.Second {
			t.Errorf("afterwards: trouble %q, durable to %s", st.Trouble, st.Outputs[0].DurableTo)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.checkVoice(c, talk(0))
	})
}

// TestSlowDisk: fsyncs of two seconds and a megabyte a second hold up nobody
// who listens, and lose nothing.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		var waited atomic.Int64
		slow := func(op, _ string, p []byte) (int, error) {
			d := time.Duration(len(p)) * time.Second / 1e6
			if op == "sync" || op == "syncdir" {
				d += 2 * time.Second
			}
			time.Sleep(d)
			waited.Add(int64(d))
			return len(p), nil
		}
		h, c, talk := openTalk(t, v, false, func(c *capture.Config) { c.Fault = slow })
		var heard times
		ctx, stop := context.WithCancel(t.Context())
		var listening sync.WaitGroup
		listening.Go(func() { _ = c.Listen(ctx, capture.Selection{}, &heard) })
		talk(60 * time.Second)
		stop()
		listening.Wait()
		if p99 := heard.late(); len(heard.at) < 590 || p99 > 5*time.Millisecond {
			t.Errorf("of %d pages of the live mix the p99 is %s late", len(heard.at), p99)
		}
		if d := time.Duration(waited.Load()); d < time.Minute {
			t.Errorf("all waited for the disk for %s only", d)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		all := h.packets(m, "streams-ogg/ann/voice")
		for i, p := range all {
			if p.number != int64(i) || p.pos-all[0].pos != int64(i)*pcm.FrameSize {
				t.Fatalf("packet %d of the file is number %d at sample %d", i, p.number, p.pos-all[0].pos)
			}
		}
		if n := talk(0); int64(len(all)) != n || m.Ledger["ann/voice"]["received"] != n*20 {
			t.Errorf("%d packets of %d, ledger %v", len(all), n, m.Ledger)
		}
	})
}

// times is a listener that notes when each page of live audio comes.
type times struct{ at []time.Time }

// Write implements io.Writer.
func (l *times) Write(p []byte) (int, error) {
	l.at = append(l.at, time.Now())
	return len(p), nil
}

// late is how late the pages come, 99 % of them, after the first one's clock.
func (l *times) late() time.Duration {
	const page = 5 * pcm.FrameTime
	pages := l.at[min(len(l.at), 10):] // after the headers
	late := []time.Duration{}
	for i, at := range pages {
		late = append(late, at.Sub(pages[0])-time.Duration(i)*page)
	}
	slices.Sort(late)
	if len(late) == 0 {
		return math.MaxInt64
	}
	return late[len(late)*99/100]
}

// TestFlushCosts: two fsyncs a second for a room in which somebody speaks, two
// more for a checkpoint every 15 s, none for one in which nobody is.
func TestFlushCosts(t *testing.T) {
	v := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		fsyncs := func() int64 { n, _ := h.captures.Flushed(); return n }
		h.start("c1")
		time.Sleep(time.Second)
		before := fsyncs()
		time.Sleep(time.Minute)
		if n := fsyncs() - before; n > 4*4 { // checkpoints
			t.Errorf("a minute of nobody took %d fsyncs", n)
		}
		s.enter("a-mic", "ann", 1)
		before = fsyncs()
		v.speak(s, time.Minute)
		if n := fsyncs() - before; n < 100 || n > 2*60+4*4 {
			t.Errorf("a minute of speech took %d fsyncs", n)
		}
	})
}
