package capture_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/encoder/opus"
	"mixdown/events"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// levels tells every recorder how loud the room hears a stream.
func (s *stage) levels(id string, dbov int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room := range s.rooms {
		room.Event(joiner.SoundLevels{Levels: map[string]int{id: dbov}})
	}
}

// noted keeps the events that it is told, and when.
type noted struct {
	mu     sync.Mutex
	events []events.Event
	at     []time.Time
}

// Publish implements events.Publisher.
func (n *noted) Publish(e events.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Series != "" && slices.ContainsFunc(n.events, func(o events.Event) bool { return o.Series == e.Series && o.Number == e.Number }) {
		return // as the log does
	}
	n.events, n.at = append(n.events, e), append(n.at, time.Now())
}

// when is when an event of a type was told first, and how many there were.
func (n *noted) when(kind string) (first time.Time, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, e := range n.events {
		if e.Type == kind {
			if count++; count == 1 {
				first = n.at[i]
			}
		}
	}
	return first, count
}

// call is a capture of one voice under watch.
type call struct {
	*house
	s     *stage
	c     *capture.Capture
	alice *voice
	told  *noted
}

func openCall(t *testing.T, change ...func(*capture.Config)) *call {
	told := &noted{}
	s := newStage()
	h := open(t, t.TempDir(), s, append(change, func(c *capture.Config) { c.Events = told })...)
	k := &call{h, s, h.start("a"), newVoice(t, "mic", 500), told}
	s.enter("mic", "alice", 1)
	return k
}

// talk speaks for d, as loud as packets and room say. Packets that are cut are
// sent, and arrive nowhere.
func (k *call) talk(d time.Duration, level uint8, room int, cut func() bool) {
	v := k.alice
	for i := range d / pcm.FrameTime {
		if cut == nil || !cut() {
			k.s.sendAs(v.id, v.seq, v.ts, v.packets[int(v.seq)%len(v.packets)], level)
		}
		v.seq++
		v.ts += pcm.FrameSize
		if i%50 == 0 {
			k.s.levels(v.id, room)
		}
		time.Sleep(pcm.FrameTime)
	}
}

// within checks that a fault was told and healed in time, once, with a cause.
func (k *call) within(t *testing.T, fault time.Time, cause capture.Verdict) {
	t.Helper()
	degraded, n := k.told.when("capture.degraded")
	if n != 1 || degraded.Sub(fault) > 5*time.Second {
		t.Errorf("%d times degraded, after %v", n, degraded.Sub(fault))
	}
	healed, n := k.told.when("capture.healed")
	if n != 1 || healed.Sub(degraded) > 10*time.Second {
		t.Errorf("%d times healed, %v after that", n, healed.Sub(degraded))
	}
	t.Logf("told after %v, healed after another %v", degraded.Sub(fault), healed.Sub(degraded))
	if v := k.c.Status().Listening.Verdict; v != capture.Hearing {
		t.Errorf("the verdict is %s afterwards", v)
	}
	if err := k.c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := k.recording("a")
	if a, b := k.events(m, "capture.degraded"), k.events(m, "capture.healed"); a != 1 || b != 1 {
		t.Errorf("the recording's timeline has it %d and %d times", a, b)
	}
	k.told.mu.Lock()
	defer k.told.mu.Unlock()
	for _, e := range k.told.events {
		if e.Type == "capture.degraded" && !bytes.Contains(dataOf(t, e), []byte(`"cause":"`+cause+`"`)) {
			t.Errorf("the cause is not %s: %+v", cause, e.Data)
		}
	}
}

func dataOf(t *testing.T, e events.Event) []byte {
	t.Helper()
	b, err := json.Marshal(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFrozenDecoder: packets say that somebody speaks, silence comes out. The
// decoder is made anew from the journal, and nothing is missing.
func TestFrozenDecoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frozen atomic.Bool
		made := 0
		k := openCall(t, func(c *capture.Config) {
			c.Freeze(func() func(string) bool {
				first := made == 0
				made++
				return func(string) bool { return first && frozen.Load() }
			})
		})
		k.talk(20*time.Second, 20, -30, nil)
		fault := time.Now()
		frozen.Store(true)
		k.talk(30*time.Second, 20, -30, nil)
		k.within(t, fault, capture.DeadDecoder)
		frames, start := k.listen(k.recording("a"), "mix-wav")
		if s := heard(frames, start, 500); len(s) != 1 || s[0][1]-s[0][0] < 49_000 {
			t.Errorf("the voice is heard at %v ms, want 50 s without a hole", s)
		}
	})
}

// TestMediaCut: the room hears somebody of whom no packets come. Another login
// brings them back.
func TestMediaCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := openCall(t)
		k.talk(10*time.Second, 20, -30, nil)
		fault := time.Now()
		before := k.s.logins()
		k.talk(30*time.Second, 20, -30, func() bool { return k.s.logins() == before })
		k.within(t, fault, capture.DeadMedia)
		if n := k.s.logins() - before; n != 1 {
			t.Errorf("the recorder came in again %d times", n)
		}
	})
}

// TestEveryoneMuted: silence that everybody agrees on is no fault, with
// packets or without.
func TestEveryoneMuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := openCall(t)
		if v := k.c.Status().Listening.Verdict; v != capture.Empty {
			t.Errorf("before anybody came the verdict is %s", v)
		}
		k.talk(5*time.Second, 20, -30, nil)
		if v := k.c.Status().Listening.Verdict; v != capture.Hearing {
			t.Errorf("while somebody speaks the verdict is %s", v)
		}
		for _, cut := range []bool{false, true} {
			k.talk(5*time.Second, 127, -127, func() bool { return cut })
			if v := k.c.Status().Listening.Verdict; v != capture.Quiet {
				t.Errorf("after five seconds of silence, no packets: %v, the verdict is %s", cut, v)
			}
			k.talk(time.Minute, 127, -127, func() bool { return cut })
		}
		for _, kind := range []string{"capture.degraded", "capture.reconnecting", "capture.trouble"} {
			if _, n := k.told.when(kind); n != 0 {
				t.Errorf("%d events %s", n, kind)
			}
		}
	})
}

// TestNothingHelps: a fault that stays is told once, and healing is tried less
// and less.
func TestNothingHelps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := openCall(t)
		k.talk(5*time.Second, 20, -30, nil)
		before := k.s.logins()
		k.talk(5*time.Minute, 20, -30, func() bool { return true })
		if n := k.s.logins() - before; n < 3 || n > 8 {
			t.Errorf("%d logins in five minutes", n)
		}
		if _, n := k.told.when("capture.degraded"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if st := k.c.Status(); st.Listening.Verdict != capture.DeadMedia || len(st.Listening.Streams) != 1 {
			t.Errorf("the status says %+v", st.Listening)
		}
	})
}

// TestMediaCutInARealRoom: the recorder's packets are lost, its signalling is
// not. The room service's own sound levels give it away.
func TestMediaCutInARealRoom(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		told := &noted{}
		h := openHall(t, func(c *capture.Config) { c.Events = told })
		c := h.start("c1")
		ann := h.talker("ann", "ann-voice", v, 0)
		ann.Say(10 * time.Second)
		if v := c.Status().Listening.Verdict; v != capture.Hearing {
			t.Errorf("while ann speaks the verdict is %s", v)
		}
		if _, n := told.when("capture.degraded"); n != 0 {
			t.Error("degraded without a fault")
		}
		fault := time.Now()
		h.recorder.Link.CutMedia(true)
		ann.Say(6 * time.Second)
		h.recorder.Link.CutMedia(false)
		mended := time.Now()
		ann.Say(15 * time.Second)
		degraded, n := told.when("capture.degraded")
		if n != 1 || degraded.Sub(fault) > 5*time.Second {
			t.Errorf("%d times degraded, after %v", n, degraded.Sub(fault))
		}
		healed, n := told.when("capture.healed")
		if n != 1 || healed.Sub(mended) > 10*time.Second {
			t.Errorf("%d times healed, %v after the line was mended", n, healed.Sub(mended))
		}
		t.Logf("told after %v, healed %v after the line was mended", degraded.Sub(fault), healed.Sub(mended))
		h.end(c, "c1")
	})
}

// TestWrongLevels: a publisher that says it is loud and is not costs three
// verdicts, and no more.
func TestWrongLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := openCall(t)
		loudly, silence := k.alice.packets, newVoice(t, "", 0).packets
		for range 30 {
			k.alice.packets = loudly
			k.talk(2*time.Second, 20, -30, nil)
			k.alice.packets = silence
			k.talk(8*time.Second, 20, -30, nil)
		}
		if _, n := k.told.when("capture.degraded"); n != 3 {
			t.Errorf("told %d times, want 3", n)
		}
		if st := k.c.Status(); st.Listening.Verdict != capture.Hearing || st.Trouble != "" {
			t.Errorf("afterwards: %+v, trouble %q", st.Listening, st.Trouble)
		}
	})
}

// TestOppositeChannels: somebody whose channels cancel each other out is heard
// all the same.
func TestOppositeChannels(t *testing.T) {
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 2, Bitrate: 96000, Complexity: 5})
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	tone := pcmtest.Tone(500, 0.25)
	for range 50 {
		var f pcm.Frame
		var buf [1500]byte
		if err := tone.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		for i := range f {
			f[i][1] = -f[i][0]
		}
		n, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, slices.Clone(buf[:n]))
	}
	synctest.Test(t, func(t *testing.T) {
		k := openCall(t)
		k.alice.packets = packets
		k.talk(12*time.Second, 20, -20, nil)
		if _, n := k.told.when("capture.degraded"); n != 0 {
			t.Errorf("%d times degraded", n)
		}
		if v := k.c.Status().Listening.Verdict; v != capture.Hearing {
			t.Errorf("the verdict is %s", v)
		}
		if err := k.c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
