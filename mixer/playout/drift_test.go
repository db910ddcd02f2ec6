package playout_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// sender is a stream whose clock runs wrong, sent over a network.
type sender struct {
	ppm    float64 // how much the clock runs fast
	length int     // samples of a packet
	delay  func(at time.Duration, r *rand.Rand) time.Duration
	ntp    float64 // ppm of the wall clock of the reports; NaN: no reports
	bad    func(at time.Duration, r *playout.Report)
	lose   func(at time.Duration, r *rand.Rand) bool
	mum    time.Duration // for how long no reports come
}

const baseDelay = 30 * time.Millisecond

func uniform(most time.Duration) func(time.Duration, *rand.Rand) time.Duration {
	return func(_ time.Duration, r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(most) + 1)) }
}

// source makes the packets and reports of a sender as time goes on.
type source struct {
	sender
	payloads [][]byte
	r        *rand.Rand
	media    int64
	seq      uint16
	held     []playout.Packet
	report   time.Duration
}

func newSource(s sender, payloads [][]byte) *source {
	return &source{sender: s, payloads: payloads, r: rand.New(rand.NewPCG(5, 5)), report: max(s.mum, time.Second)}
}

// sent is the instant at which the sender's clock shows media.
func (s *source) sent(media int64) time.Duration {
	return time.Duration(float64(media) / (1 + s.ppm*1e-6) / pcm.Rate * float64(time.Second))
}

// send makes the next packet, and the report that comes along.
func (s *source) send() (report *playout.Report) {
	at := s.sent(s.media)
	p := playout.Packet{
		SSRC: 1, Seq: s.seq, Timestamp: uint32(s.media) + 4e9, Level: playout.NoLevel,
		Payload: s.payloads[int(s.seq)%len(s.payloads)], At: at + baseDelay,
	}
	if s.delay != nil {
		p.At += s.delay(at, s.r)
	}
	if s.lose == nil || !s.lose(at, s.r) {
		i := len(s.held)
		for i > 0 && s.held[i-1].At > p.At {
			i--
		}
		s.held = slices.Insert(s.held, i, p)
	}
	if at >= s.report && !math.IsNaN(s.ntp) {
		whole, part := math.Modf(3.9e9 + at.Seconds()*(1+s.ntp*1e-6))
		report = &playout.Report{At: at + baseDelay, SSRC: 1, RTP: uint32(s.media) + 4e9, NTP: uint64(whole)<<32 | uint64(part*(1<<32))}
		if s.bad != nil {
			s.bad(at, report)
		}
		s.report = at + 5*time.Second
	}
	s.seq++
	s.media += int64(s.length)
	return report
}

// feed gives each of ds what arrives up to a time.
func (s *source) feed(until time.Duration, ds ...*playout.Deep) {
	for s.sent(s.media) <= until {
		if r := s.send(); r != nil {
			for _, d := range ds {
				d.Report(*r)
			}
		}
	}
	n := 0
	for n < len(s.held) && s.held[n].At <= until {
		for _, d := range ds {
			d.Push(&s.held[n])
		}
		n++
	}
	s.held = s.held[:copy(s.held, s.held[n:])]
}

// silent holds payloads that are cheap to place, by their length.
var silent = map[int][][]byte{960: {{0xf8, 0xff, 0xfe}}, 5760: {{0xfb, 0x06, 0xff, 0xfe, 0xff, 0xfe, 0xff, 0xfe, 0xff, 0xfe, 0xff, 0xfe, 0xff, 0xfe}}}

// offsets skips through a recording and returns, of every minute, how far the
// packets are from where the sender meant them, on the capture's clock.
func offsets(t *testing.T, s sender, length time.Duration) (worst, last float64, d *playout.Deep, slew float64) {
	t.Helper()
	src := newSource(s, silent[s.length])
	var positions []playout.Placed
	d = playout.NewDeep(playout.DeepConfig{Placed: func(p playout.Placed) { p.Payload = nil; positions = append(positions, p) }})
	before := 0.0
	for n := int64(0); n < int64(length/frameTime); n++ {
		if n%50 == 0 {
			src.feed(time.Duration(n+50)*frameTime+5*time.Second, d)
		}
		if err := d.Skip(); err != nil {
			t.Fatal(err)
		}
		// The rendered audio shows where the mapping is: at the tail of the tape.
		if n%50 != 49 {
			continue
		}
		if pos, ok := d.Mapped(); ok {
			at := src.sent(pos.Media-4e9) + baseDelay
			off := ms(pos.Pos) - float64(at)/1e6
			if n > 100 {
				slew = max(slew, math.Abs(off-before))
			}
			before, last = off, off
			worst = max(worst, math.Abs(off))
		}
	}
	l := d.Ledger()
	first, _ := d.First()
	if l.Span() != d.Frame()*pcm.FrameSize-first {
		t.Errorf("the ledger holds %d samples of %d", l.Span(), d.Frame()*pcm.FrameSize-first)
	}
	for i, p := range positions {
		// The file of originals can only be as exact as whole packets are.
		if n := int64(len(positions)); int64(i) == n-1 {
			at := float64(src.sent(src.media)+baseDelay)/1e6 - ms(src.media-d.Played())
			if off := ms(p.Pos+int64(p.Samples)) - at; math.Abs(off) > max(21, ms(int64(s.length))) {
				t.Errorf("the last original ends %.2f ms off", off)
			}
		}
	}
	for i := 1; i < len(positions); i++ {
		if positions[i].Pos < positions[i-1].Pos+int64(positions[i-1].Samples) {
			t.Fatalf("packet %d overlaps", i)
		}
	}
	return worst, last, d, slew
}

func TestDeepFollowsTheSendersClock(t *testing.T) {
	none := math.NaN()
	step := func(by time.Duration) sender {
		return sender{ppm: 80, length: 960, ntp: 0, delay: uniform(10 * time.Millisecond), bad: func(at time.Duration, r *playout.Report) {
			if at > 2*time.Minute {
				r.NTP += uint64(int64(by/time.Second) << 32)
			}
		}}
	}
	exponential := func(mean time.Duration) func(time.Duration, *rand.Rand) time.Duration {
		return func(_ time.Duration, r *rand.Rand) time.Duration {
			return min(time.Duration(r.ExpFloat64()*float64(mean)), 3*time.Second)
		}
	}
	for _, test := range []struct {
		name   string
		s      sender
		length time.Duration
		most   float64 // ms
		ppm    float64 // tolerated error of the measured drift
	}{
		{"2 h, +100 ppm", sender{ppm: 100, length: 5760, ntp: none}, 2 * time.Hour, 5, 1},
		{"8 h, -100 ppm, 40 ms of jitter", sender{ppm: -100, length: 5760, ntp: none, delay: uniform(40 * time.Millisecond)}, 8 * time.Hour, 6, 3},
		{"1 h, +500 ppm, reports", sender{ppm: 500, length: 960, ntp: 0}, time.Hour, 10, 1},
		{"1 h, -500 ppm", sender{ppm: -500, length: 5760, ntp: none, delay: uniform(50 * time.Millisecond)}, time.Hour, 10, 10},
		{"10 min, +100 ppm, bad network", sender{ppm: 100, length: 960, ntp: 0, delay: exponential(25 * time.Millisecond),
			lose: func(_ time.Duration, r *rand.Rand) bool { return r.Float64() < 0.2 }}, 10 * time.Minute, 5, 10},
		{"1 h, the sender's wall clock is 200 ppm off", sender{ppm: 50, length: 5760, ntp: 200}, time.Hour, 5, 1},
		{"20 min, the wall clock steps by 10 s", sender{ppm: 80, length: 960, ntp: 0, bad: func(at time.Duration, r *playout.Report) {
			if at > 5*time.Minute {
				r.NTP += 10 << 32
			}
		}}, 20 * time.Minute, 5, 1},
		{"5 min, no reports for 10 s", sender{ppm: 100, length: 960, ntp: 0, mum: 10 * time.Second, delay: uniform(10 * time.Millisecond)}, 5 * time.Minute, 5, 5},
		{"5 min, the wall clock steps back by 10 s", step(-10 * time.Second), 5 * time.Minute, 5, 5},
		{"5 min, the wall clock steps by 1 h", step(time.Hour), 5 * time.Minute, 5, 5},
		{"5 min, the wall clock steps back by 1 h", step(-time.Hour), 5 * time.Minute, 5, 5},
		{"5 min, every third report errs by 500 ms", sender{ppm: 60, length: 960, ntp: 0, bad: func(at time.Duration, r *playout.Report) {
			switch int(at/time.Second) / 5 % 6 {
			case 1:
				r.NTP += 1 << 31
			case 4:
				r.NTP -= 1 << 31
			}
		}}, 5 * time.Minute, 5, 5},
		{"5 min, one report errs by 200 ms", sender{ppm: 0, length: 960, ntp: 0, bad: func(at time.Duration, r *playout.Report) {
			if at > 30*time.Second && at < 36*time.Second {
				r.NTP += 1 << 32 / 5
			}
		}}, 5 * time.Minute, 1, 1},
		{"1 h of words with pauses, +100 ppm", sender{ppm: 100, length: 960, ntp: none, delay: uniform(20 * time.Millisecond),
			lose: func(at time.Duration, _ *rand.Rand) bool { return at%(4*time.Second) > 3*time.Second }}, time.Hour + 2*time.Second, 5, 1},
		{"10 min, another route after 2", sender{ppm: 20, length: 960, ntp: none, delay: func(at time.Duration, r *rand.Rand) time.Duration {
			d := time.Duration(r.Int64N(int64(10 * time.Millisecond)))
			if at > 2*time.Minute && at < 6*time.Minute {
				d += 60 * time.Millisecond
			}
			return d
		}}, 10 * time.Minute, 5, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			worst, last, d, slew := offsets(t, test.s, test.length)
			ppm, ok := d.Drift()
			t.Logf("at most %.2f ms, at the end %.2f ms, drift %.1f ppm, slew %.2f ms/s", worst, last, ppm, slew)
			if worst > test.most {
				t.Errorf("off by up to %.2f ms", worst)
			}
			if !ok || math.Abs(ppm-test.s.ppm) > test.ppm {
				t.Errorf("measured %.1f ppm, want %.1f", ppm, test.s.ppm)
			}
			if test.s.lose == nil {
				// What the sender's clock gains, in packets, is left out of the originals.
				want := max(test.s.ppm, 0) * 1e-6 * test.length.Seconds() * pcm.Rate / float64(test.s.length)
				if cut := float64(d.Quality().Cut); math.Abs(cut-want) > 2 {
					t.Errorf("%v packets cut, want %.1f", cut, want)
				}
			}
			if slew > 5 {
				t.Errorf("moved by %.2f ms in a second", slew)
			}
		})
	}
}

// Without drift nothing is resampled, whatever the jitter.
func TestDeepLeavesAGoodClockAlone(t *testing.T) {
	payloads := tone64(t, 1500)
	packets := jitter(stream(payloads, 0, 1, 1), 60*time.Millisecond, 4)
	r := record(packets).read(t, 1500)
	first, _ := r.d.First()
	same(t, r.samples(), first, straight(t, payloads, 1))
}

// While the audio is resampled the tone has no glitch.
func TestDeepResamplesWithoutAGlitch(t *testing.T) {
	for _, ppm := range []float64{300, -300} {
		payloads := tone64(t, 1500)
		src := newSource(sender{ppm: ppm, length: 960, ntp: 0, delay: uniform(20 * time.Millisecond)}, payloads)
		d := playout.NewDeep(playout.DeepConfig{})
		var frames []pcm.Frame
		for n := range 1450 {
			src.feed(time.Duration(n+1)*frameTime+5*time.Second, d)
			var f pcm.Frame
			if err := d.ReadFrame(&f); err != nil {
				t.Fatal(err)
			}
			frames = append(frames, f)
		}
		if g := pcmtest.Glitches(frames[700:], 997); len(g) > 0 {
			t.Errorf("%v ppm: %d glitches, the first %v", ppm, len(g), g[0])
		}
		l := d.Ledger()
		first, _ := d.First()
		if l[playout.Received] != 1450*pcm.FrameSize-first {
			t.Errorf("%v ppm: ledger %v", ppm, l)
		}
	}
}
