package playout_test

import (
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// listening drives a Live by a clock of 20 ms that begins 3 ms after the
// capture's.
type listening struct {
	l       *playout.Live
	packets []playout.Packet
	n       int64
	frames  []pcm.Frame
	keep    bool
	delay   time.Duration // sum over frames
	most    time.Duration
}

func listen(packets []playout.Packet) *listening {
	return &listening{l: playout.NewLive(playout.LiveConfig{}), packets: packets}
}

func (l *listening) read(t testing.TB, until time.Duration) *listening {
	t.Helper()
	for ; time.Duration(l.n)*frameTime < until; l.n++ {
		now := time.Duration(l.n)*frameTime + 3*time.Millisecond
		for len(l.packets) > 0 && l.packets[0].At <= now {
			l.l.Push(&l.packets[0])
			l.packets = l.packets[1:]
		}
		var f pcm.Frame
		if err := l.l.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		if l.keep {
			l.frames = append(l.frames, f)
		}
		l.delay += l.l.Delay()
		l.most = max(l.most, l.l.Delay())
	}
	return l
}

func (l *listening) mean() time.Duration { return l.delay / time.Duration(l.n) }

func TestLivePlaysATone(t *testing.T) {
	l := listen(stream(tone64(t, 500), 7*time.Millisecond, 65400, math.MaxUint32-10000))
	l.keep = true
	l.read(t, 9900*time.Millisecond)
	if g := pcmtest.Glitches(l.frames[10:], 997); len(g) > 0 {
		t.Errorf("%d glitches, the first %v", len(g), g[0])
	}
	if l.mean() > 40*time.Millisecond {
		t.Errorf("%v buffered on average", l.mean())
	}
	if q := l.l.Quality(); q.Lost+q.Late+q.Broken != 0 {
		t.Errorf("quality %+v", q)
	}
}

// The buffer follows the jitter: late stays rare, the delay small.
func TestLiveFollowsJitter(t *testing.T) {
	speech := speech(t, 500)
	for _, test := range []struct {
		jitter time.Duration
		mean   time.Duration
		late   float64
	}{
		{time.Millisecond, 40 * time.Millisecond, 0},
		{20 * time.Millisecond, 40 * time.Millisecond, 0.001},
		{50 * time.Millisecond, 70 * time.Millisecond, 0.001},
		{100 * time.Millisecond, 110 * time.Millisecond, 0.005},
		{150 * time.Millisecond, 170 * time.Millisecond, 0.005},
	} {
		var payloads [][]byte
		for range 12 {
			payloads = append(payloads, speech...)
		}
		n := len(payloads)
		l := listen(jitter(stream(payloads, 0, 1, 1), test.jitter, 6)).read(t, 2*time.Minute-time.Second)
		q := l.l.Quality()
		t.Logf("jitter %v: mean %v, target %v, %+v", test.jitter, l.mean(), l.l.Target(), q)
		if l.mean() > test.mean {
			t.Errorf("jitter %v: %v buffered on average", test.jitter, l.mean())
		}
		if late := float64(q.Late) / float64(n); late > test.late {
			t.Errorf("jitter %v: %.3f %% late", test.jitter, late*100)
		}
	}
}

// After a burst of what five seconds held back, the delay is small again.
func TestLiveRecoversFromAStall(t *testing.T) {
	packets := stream(speech(t, 1500), 0, 1, 1)
	for i := 500; i < 750; i++ {
		packets[i].At = packets[750].At
	}
	l := listen(packets).read(t, 15*time.Second+200*time.Millisecond)
	if d := l.l.Delay(); d > 100*time.Millisecond {
		t.Errorf("%v buffered 200 ms after the stall", d)
	}
	l.read(t, 17*time.Second)
	if d := l.l.Delay(); d > 60*time.Millisecond {
		t.Errorf("%v buffered 2 s after the stall", d)
	}
}

// Half a second too much is worked off within seconds, even in loud sound.
func TestLiveWorksOffASpike(t *testing.T) {
	packets := stream(tone64(t, 1500), 0, 1, 1)
	for i := 500; i < 520; i++ {
		packets[i].At = packets[520].At
	}
	l := listen(packets).read(t, 15*time.Second)
	if d := l.l.Delay(); d > 110*time.Millisecond {
		t.Errorf("%v buffered 5 s after the spike", d)
	}
}

func TestLiveFollowsADriftingClock(t *testing.T) {
	for _, ppm := range []float64{200, -200} {
		src := newSource(sender{ppm: ppm, length: 960, ntp: math.NaN()}, tone64(t, 1500))
		l := playout.NewLive(playout.LiveConfig{})
		var most time.Duration
		frames := make([]pcm.Frame, 90*50)
		for n := range frames {
			for src.sent(src.media)+baseDelay <= time.Duration(n)*frameTime {
				src.send()
				l.Push(&src.held[0])
				src.held = src.held[:0]
			}
			if err := l.ReadFrame(&frames[n]); err != nil {
				t.Fatal(err)
			}
			most = max(most, l.Delay())
		}
		if most > 80*time.Millisecond {
			t.Errorf("%v ppm: up to %v buffered", ppm, most)
		}
		if q := l.Quality(); q.Late+q.Lost != 0 {
			t.Errorf("%v ppm: %+v", ppm, q)
		}
		// The tone may bend, but not break. The row of packets itself breaks
		// where it begins again, every 30 s.
		broken := 0
		for _, g := range pcmtest.Steps(frames[600:1200], 997) {
			if math.Abs(g.Level) > pcmtest.MaxLevelStep || math.Abs(g.Phase) > 6 {
				broken++
			}
		}
		if broken > 0 {
			t.Errorf("%v ppm: %d glitches", ppm, broken)
		}
	}
}

func TestLiveConcealsAndRestores(t *testing.T) {
	packets := stream(speech(t, 1000), 0, 1, 1)
	r := rand.New(rand.NewPCG(3, 3))
	lost := 0
	packets = slices.DeleteFunc(packets, func(playout.Packet) bool {
		if r.Float64() < 0.1 {
			lost++
			return true
		}
		return false
	})
	l := listen(packets)
	l.keep = true
	l.read(t, 19900*time.Millisecond)
	q := l.l.Quality()
	if q.Lost < int64(lost)-2 || q.Lost > int64(lost) || q.Late != 0 {
		t.Errorf("%d of %d lost: %+v", lost, 1000, q)
	}
	if l.mean() > 60*time.Millisecond {
		t.Errorf("%v buffered on average", l.mean())
	}
	silent := 0
	for i := range l.frames[10:] {
		if l.frames[10+i].Silent() {
			silent++
		}
	}
	if silent > 5 {
		t.Errorf("%d silent frames", silent)
	}
}

func TestLiveIsSilentThroughDTX(t *testing.T) {
	tone := tone64(t, 200)
	packets := stream(tone[:100], 0, 1, 1)
	for i := range 8 {
		at := 2*time.Second + time.Duration(i)*400*time.Millisecond
		packets = append(packets, playout.Packet{At: at, SSRC: 1, Seq: uint16(101 + i), Timestamp: uint32(1 + pcm.Samples(at)), Payload: []byte{0xf8}, Level: playout.NoLevel})
	}
	packets = append(packets, stream(tone[100:], 5200*time.Millisecond, 109, uint32(1+pcm.Samples(5200*time.Millisecond)))...)
	l := listen(packets)
	l.keep = true
	l.read(t, 7*time.Second)
	var quiet [][2]float32
	for i := range l.frames[106:255] {
		quiet = append(quiet, l.frames[106+i][:]...)
	}
	if top := loudest(quiet); top > -60 {
		t.Errorf("%.1f dBFS in silence", top)
	}
	if q := l.l.Quality(); q.Lost+q.Late != 0 {
		t.Errorf("quality %+v", q)
	}
	if heard := pcmtest.Level(l.frames[268:300], 997); heard < -13 {
		t.Errorf("%.1f dBFS after the silence", heard)
	}
}

func TestLiveEndsWhenAllIsPlayed(t *testing.T) {
	l := playout.NewLive(playout.LiveConfig{})
	packets := stream(tone64(t, 10), 0, 1, 1)
	for i := range packets {
		l.Push(&packets[i])
	}
	l.End()
	frames := 0
	var f pcm.Frame
	for l.ReadFrame(&f) == nil {
		if frames++; frames > 100 {
			t.Fatal("no end")
		}
	}
	if frames < 5 || !f.Silent() {
		t.Errorf("%d frames", frames)
	}
	if err := l.ReadFrame(&f); err != io.EOF {
		t.Errorf("%v after the end", err)
	}
}

// Whatever comes, frames come out, the memory stays bounded, and the stream is
// heard afterwards.
func TestLiveTakesAnyCall(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(8) {
		packets := call(payloads, seed, 30*time.Second)
		after := stream(tone64(t, 250), 40*time.Second, 9, 9)
		for i := range after {
			after[i].SSRC = 4711
		}
		l := listen(append(packets, after...))
		l.keep = true
		l.read(t, 45*time.Second)
		for n := 2080; n < 2230; n += 10 {
			if heard := pcmtest.Level(l.frames[n:n+10], 997); heard < -12.6 {
				t.Fatalf("seed %d, frame %d: %.1f dBFS afterwards", seed, n, heard)
			}
		}
		if l.most > 12*time.Second {
			t.Errorf("seed %d: %v buffered", seed, l.most)
		}
	}
}
