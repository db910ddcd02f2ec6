package capture_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// ear is a participant who plays one stream and notes what comes.
type ear struct {
	streamID string

	mu     sync.Mutex
	stream joiner.Stream
	told   int // how often of the stream
	heard  []arrival
}

type arrival struct {
	rtp.Header
	payload []byte
	at      time.Time
}

func (e *ear) Event(joiner.Event) {}

func (e *ear) Stream(s joiner.Stream) joiner.Receiver {
	if s.ID != e.streamID {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stream, e.told = s, e.told+1
	return e
}

func (e *ear) Packet(p *rtp.Packet, _ uint8, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, arrival{p.Header, slices.Clone(p.Payload), at})
}

func (e *ear) Report(joiner.SenderReport, time.Time) {}

// TestRepublish: who plays the republished mix hears it soon, and its RTP time
// follows the clock on the wall through minutes of silence.
func TestRepublish(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		bob := &ear{streamID: "mix"}
		h.visitor("bob", false, bob)
		c := h.start("c1", func(s *capture.Spec) {
			s.Record = s.Record[1:]
			s.Republish = []capture.RepublishSpec{{StreamID: "mix"}}
		})
		ann := h.talker("ann", "ann-voice", v, 0)
		var said [][2]time.Time
		start := time.Now()
		pauses := []time.Duration{unraced(4*time.Minute, 20*time.Second), unraced(5*time.Minute, 10*time.Second), 0}
		soak := os.Getenv("MIXDOWN_SOAK") != ""
		if soak {
			pauses = []time.Duration{100 * time.Minute, 79 * time.Minute, 0}
		}
		for _, pause := range pauses {
			from := time.Now()
			ann.Say(20 * time.Second)
			said = append(said, [2]time.Time{from, time.Now()})
			time.Sleep(pause)
		}
		time.Sleep(time.Second)
		length := time.Since(start)
		live := c.Status().Live
		h.end(c, "c1")

		bob.mu.Lock()
		defer bob.mu.Unlock()
		if bob.stream.User.ID != "recorder-c1" || len(bob.heard) < int(length/pcm.FrameTime) {
			t.Fatalf("%d packets of %+v", len(bob.heard), bob.stream)
		}
		dec, err := opus.NewDecoder(2)
		if err != nil {
			t.Fatal(err)
		}
		frames := make([]pcm.Frame, 0, len(bob.heard))
		first, worst := bob.heard[0], time.Duration(0)
		fec, mono := 0, 0
		for _, p := range bob.heard {
			if opus.HasFEC(p.payload) {
				fec++
			}
			mono += 2 - opus.Channels(p.payload)
			off := time.Duration(p.Timestamp-first.Timestamp)*time.Second/pcm.Rate - p.at.Sub(first.at)
			worst = max(worst, off, -off)
			if soak {
				continue // the time is what takes three hours to go wrong
			}
			var out [2 * pcm.FrameSize]float32
			n, err := dec.Decode(p.payload, out[:])
			if err != nil || n != pcm.FrameSize {
				t.Fatalf("decode: %d, %v", n, err)
			}
			var f pcm.Frame
			for i := range f {
				f[i] = [2]float32{out[2*i], out[2*i+1]}
			}
			frames = append(frames, f)
		}
		if worst > 20*time.Millisecond {
			t.Errorf("RTP time is up to %v off", worst)
		}
		if mono != len(bob.heard) {
			t.Errorf("of one mono voice, %d of %d packets are mono", mono, len(bob.heard))
		}
		if speaking := int(40 * time.Second / pcm.FrameTime); fec < speaking*9/10 {
			t.Errorf("%d packets carry FEC, of %d and more with a voice", fec, speaking)
		}
		if soak {
			t.Logf("RTP time within %v over %v", worst, length)
			return
		}
		var want [][2]int64
		for _, s := range said {
			want = append(want, [2]int64{s[0].Sub(first.at).Milliseconds(), s[1].Sub(first.at).Milliseconds()})
		}
		// Up to 100 ms for the way, and as much concealed after the last packet.
		near(t, "ann in the republished mix", heard(frames, 0, 400), want, 200)
		t.Logf("RTP time within %v, heard at %v, said at %v, latency %d/%d ms", worst, heard(frames, 0, 400), want, live.LatencyP50MS, live.LatencyP99MS)
		if !live.Running || live.LatencyP50MS == 0 || live.LatencyP99MS > 150 {
			t.Errorf("live status %+v", live)
		}
	})
}

// TestListen: each listener hears what they selected, at once, for as long as
// they like.
func TestListen(t *testing.T) {
	v, w := newVoice(t, "", 400), newVoice(t, "", 1000)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		c := h.start("c1")
		ann, bob := h.talker("ann", "ann-voice", v, 0), h.talker("bob", "bob-voice", w, 0)
		var talking sync.WaitGroup
		talking.Go(func() { ann.Say(30 * time.Second) })
		talking.Go(func() { bob.Say(30 * time.Second) })
		time.Sleep(3 * time.Second)
		selections := []capture.Selection{{}, {Stream: "ann-voice"}, {Except: []string{"ann-voice"}}}
		hears := [][2]bool{{true, true}, {true, false}, {false, true}}
		files, errs := make([]bytes.Buffer, 3), make([]error, 3)
		ctx, leave := context.WithCancelCause(t.Context())
		var listening sync.WaitGroup
		for i, sel := range selections {
			listening.Go(func() { errs[i] = c.Listen(ctx, sel, &files[i]) })
		}
		time.Sleep(10 * time.Second)
		if !c.Status().Live.Running {
			t.Error("nobody listens")
		}
		gone := errors.New("gone")
		leave(gone)
		listening.Wait()
		talking.Wait()
		if c.Status().Live.Running {
			t.Error("somebody listens still")
		}
		for i := range files {
			frames := decode(t, &files[i])
			if n := len(frames); n < 490 || n > 505 || !errors.Is(errs[i], gone) {
				t.Errorf("listener %d: %d frames, %v", i, n, errs[i])
			}
			for j, hz := range []float64{400, 1000} {
				at := heard(frames, 0, hz)
				if got := len(at) == 1 && at[0][0] < 200 && at[0][1] > 9800; got != hears[i][j] || len(at) > 1 {
					t.Errorf("listener %d hears %v Hz at %v", i, hz, at)
				}
			}
		}
		if err := c.CanListen(capture.Selection{Stream: "nobody"}); !errors.Is(err, capture.ErrNoStream) {
			t.Errorf("a stream that is not there: %v", err)
		}
		h.end(c, "c1")
		if err := c.CanListen(capture.Selection{}); !errors.Is(err, capture.ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// decode plays an Ogg Opus stream that ends anywhere.
func decode(t testing.TB, r io.Reader) (frames []pcm.Frame) {
	t.Helper()
	d := ogg.NewDecoder(r)
	var f pcm.Frame
	for n := 0; ; {
		k, err := d.Read(f[n:])
		n += k
		if err != nil {
			return frames
		}
		if n == len(f) {
			frames, n = append(frames, f), 0
		}
	}
}

// TestRepublishChanges: whatever changes of a republished mix, it stays the same
// stream for those who play it, and its RTP time goes on.
func TestRepublishChanges(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		bob := &ear{streamID: "mix"}
		h.visitor("bob", false, bob)
		c := h.start("c1", func(s *capture.Spec) { s.Republish = []capture.RepublishSpec{{StreamID: "mix"}} })
		ann := h.talker("ann", "ann-voice", v, 0)
		for _, republish := range []string{
			`[{"streamID":"mix","bitrate":24000}]`, `[{"streamID":"mix","bitrate":24000,"except":["ann"]}]`,
			`[{"streamID":"mix","only":["ann"]},{"streamID":"more"}]`, `[{"streamID":"mix"}]`,
		} {
			ann.Say(3 * time.Second)
			if err := c.Patch([]byte(`{"republish":`+republish+`}`), "op"); err != nil {
				t.Fatal(err)
			}
		}
		ann.Say(3 * time.Second)
		h.end(c, "c1")
		bob.mu.Lock()
		defer bob.mu.Unlock()
		first, last := bob.heard[0], bob.heard[0]
		for i, p := range bob.heard {
			off := time.Duration(p.Timestamp-first.Timestamp)*time.Second/pcm.Rate - p.at.Sub(first.at)
			if off.Abs() > 20*time.Millisecond || p.SSRC != first.SSRC || i > 0 && p.SequenceNumber != last.SequenceNumber+1 {
				t.Fatalf("after %v: RTP time %v off, SSRC %d after %d, number %d after %d", p.at.Sub(first.at), off, p.SSRC, first.SSRC, p.SequenceNumber, last.SequenceNumber)
			}
			last = p
		}
		if d := last.at.Sub(first.at); d < 14*time.Second {
			t.Errorf("heard for %v", d)
		}
	})
}

// TestRepublishChannels: each republished mix has its own number of channels,
// and with another number it is another stream.
func TestRepublishChannels(t *testing.T) {
	v := leftVoice(t)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		stage, phone := &ear{streamID: "stage"}, &ear{streamID: "phone"}
		h.visitor("bob", false, stage)
		h.visitor("eve", false, phone)
		c := h.start("c1", func(s *capture.Spec) {
			s.Republish = []capture.RepublishSpec{{StreamID: "stage"}, {StreamID: "phone", Channels: 1}}
		})
		ann := h.talker("ann", "ann-voice", v, 0)
		ann.Say(3 * time.Second)
		check := func(e *ear, channels, told int) {
			t.Helper()
			e.mu.Lock()
			defer e.mu.Unlock()
			if len(e.heard) < 50 {
				t.Fatalf("%s: %d packets", e.streamID, len(e.heard))
			}
			last := e.heard[len(e.heard)-1]
			if n := opus.Channels(last.payload); n != channels || e.told != told {
				t.Errorf("%s has %d channels, want %d; told of it %d times, want %d", e.streamID, n, channels, e.told, told)
			}
		}
		check(stage, 2, 1)
		check(phone, 1, 1)
		if err := c.Patch([]byte(`{"republish":[{"streamID":"stage"},{"streamID":"phone"}]}`), "op"); err != nil {
			t.Fatal(err)
		}
		ann.Say(5 * time.Second)
		check(phone, 2, 2)
		check(stage, 2, 1)
		h.end(c, "c1")
	})
}

// leftVoice is a voice on the left.
func leftVoice(t *testing.T) *voice {
	v := newVoice(t, "", 400)
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 2, Bitrate: 64000})
	if err != nil {
		t.Fatal(err)
	}
	tone := pcmtest.Tone(400, 0.25)
	var f pcm.Frame
	var buf [1500]byte
	for i := range v.packets {
		if err := tone.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		for k := range f {
			f[k][1] = 0
		}
		n, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		v.packets[i] = slices.Clone(buf[:n])
	}
	return v
}
