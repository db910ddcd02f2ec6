package playout_test

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// soak tells whether the long runs are asked for.
func soak() bool { return os.Getenv("MIXDOWN_SOAK") == "1" }

// repeated is payloads over and over, n of them.
func repeated(payloads [][]byte, n int) [][]byte {
	var all [][]byte
	for len(all) < n {
		all = append(all, payloads[:min(len(payloads), n-len(all))]...)
	}
	return all
}

// Without jitter a packet has left the live mix within 45 ms in the median,
// wherever between two ticks of the mixer it arrives: the frame in which its
// audio begins has been read by then.
func TestLiveIsEarlyWithoutJitter(t *testing.T) {
	var waits []time.Duration
	var mean, phases time.Duration
	for phase := 0; phase < 20; phase += 1 + brief/3 {
		l := listen(stream(repeated(speech(t, 500), 1000), time.Duration(phase)*time.Millisecond, 1, 1))
		l.read(t, 2*time.Second)
		l.delay = 0
		from := l.n
		for n := range 800 {
			tick := time.Duration(l.n)*frameTime + 3*time.Millisecond
			l.read(t, time.Duration(101+n)*frameTime)
			if at, ok := l.l.Playing(); ok {
				waits = append(waits, tick-at)
			}
		}
		mean += l.delay / time.Duration(l.n-from)
		phases++
		if q := l.l.Quality(); q.Lost+q.Late+q.Concealed+q.Spliced != 0 {
			t.Errorf("phase %d: %+v", phase, q)
		}
	}
	mean /= phases
	slices.Sort(waits)
	median, p99 := waits[len(waits)/2], waits[len(waits)*99/100]
	t.Logf("no jitter: %v buffered on average; packet in to frame out %v in the median, %v for 99 %%", mean, median, p99)
	if mean > 30*time.Millisecond || median > 45*time.Millisecond || p99 > 60*time.Millisecond {
		t.Error("too late")
	}
}

// resend loses packets at random, burst at a time, and brings each again one
// round trip and a NACK interval later, unless that is lost as well.
func resend(packets []playout.Packet, loss float64, burst int, rtt time.Duration, seed uint64) []playout.Packet {
	r := rand.New(rand.NewPCG(seed, 1))
	const interval = 20 * time.Millisecond
	left := 0
	for i := range packets {
		if left == 0 && r.Float64() < loss/float64(burst)/(1-loss) {
			left = burst
		}
		if left > 0 {
			left--
			packets[i].At += rtt + interval + time.Duration(left)*frameTime
			for r.Float64() < loss {
				packets[i].At += max(rtt, interval)
			}
		}
	}
	return byArrival(packets)
}

// With retransmissions nothing is missing in the recording, and live only what
// came too late.
func TestRetransmissionsRepairLoss(t *testing.T) {
	payloads := repeated(tone64(t, 1500), 3000)
	for _, test := range []struct {
		name  string
		loss  float64
		burst int
		rtt   time.Duration
	}{
		{"10 %, 40 ms", 0.1, 1, 40 * time.Millisecond},
		{"30 %, 40 ms", 0.3, 1, 40 * time.Millisecond},
		{"30 % in bursts of 8, 150 ms", 0.3, 8, 150 * time.Millisecond},
	} {
		packets := resend(stream(payloads, 0, 1, 1), test.loss, test.burst, test.rtt, 4)
		r := record(slices.Clone(packets)).skip(t, int64(len(payloads)))
		l := listen(packets).read(t, time.Duration(len(payloads)+50)*frameTime)
		q := l.l.Quality()
		led := r.d.Ledger()
		t.Logf("%s: recovered %.1f %%; live mean %v, target %v, late %.2f %%, concealed %.2f %%", test.name,
			100*float64(led[playout.Recovered])/float64(led.Span()), l.mean(), l.l.Target(), 100*float64(q.Late)/float64(len(payloads)), 100*float64(q.Concealed)/float64(len(payloads)*pcm.FrameSize))
		if len(r.placed) != len(payloads) || led[playout.Received]+led[playout.Recovered] != led.Span() {
			t.Errorf("%s: %d packets placed, ledger %v", test.name, len(r.placed), led)
		}
		if q.Lost > q.Late {
			t.Errorf("%s: %+v", test.name, q)
		}
	}
}

// After a blackout all packets are in the recording, and within a second the
// live mix goes on as before.
func TestBlackoutsAreRepaired(t *testing.T) {
	for _, dark := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		payloads := tone64(t, 1000)
		packets := stream(payloads, 0, 1, 1)
		end := 8*time.Second + dark
		for i := range packets {
			if at := packets[i].At; at >= 8*time.Second && at < end {
				// Asked for when the next has come, 500 packets a second.
				packets[i].At = end + 60*time.Millisecond + (at-8*time.Second)/10
			}
		}
		byArrival(packets)
		r := record(slices.Clone(packets)).read(t, 1000)
		same(t, r.samples(), 0, straight(t, payloads, 1))
		l := listen(packets)
		l.keep = true
		l.read(t, end+time.Second)
		before := l.l.Quality()
		l.read(t, 19900*time.Millisecond)
		after := l.l.Quality()
		steps := 0
		for _, g := range pcmtest.Steps(l.frames[(end+time.Second)/frameTime:], 997) {
			if math.Abs(g.Phase) > 6 || math.Abs(g.Level) > pcmtest.MaxLevelStep {
				steps++
			}
		}
		t.Logf("%v dark: live %v buffered a second later, %d glitches from then on", dark, l.l.Delay(), steps)
		if len(r.placed) != 1000 || after.Late != before.Late || after.Concealed != before.Concealed || steps > 0 {
			t.Errorf("%v: %d packets placed, live %+v, then %+v, %d glitches", dark, len(r.placed), before, after, steps)
		}
	}
}

// narrow is a loud tone that costs little to decode.
func narrow(t *testing.T) [][]byte {
	return encode(t, pcmtest.Tone(400, 0.25), 200, opus.EncoderConfig{Channels: 1, Bitrate: 7000, Voice: true, Complexity: 1})
}

// Clocks that run fast or slow never empty the live buffer, nor is loud sound
// cut for them.
func TestLiveFollowsDriftForHours(t *testing.T) {
	payloads := narrow(t)
	for ppm, length := range map[float64]time.Duration{100: 10 * time.Minute, -100: 10 * time.Minute, 500: time.Hour, -500: time.Hour} {
		if soak() {
			length = 8 * time.Hour
		}
		length /= brief
		src := newSource(sender{ppm: ppm, length: 960, ntp: math.NaN()}, payloads)
		l := playout.NewLive(playout.LiveConfig{})
		var most, least time.Duration = 0, time.Hour
		for n := range int(length / frameTime) {
			for src.sent(src.media)+baseDelay <= time.Duration(n)*frameTime {
				src.send()
				l.Push(&src.held[0])
				src.held = src.held[:0]
			}
			var f pcm.Frame
			if err := l.ReadFrame(&f); err != nil {
				t.Fatal(err)
			}
			if n > 500 {
				most, least = max(most, l.Delay()), min(least, l.Delay())
			}
		}
		q := l.Quality()
		t.Logf("%+.0f ppm, %v: %v to %v buffered, %d underruns, %d samples cut", ppm, length, least, most, q.Concealed, q.Spliced)
		if q.Lost+q.Late+q.Concealed+q.Spliced+q.Dropped != 0 || most > 60*time.Millisecond {
			t.Errorf("%+.0f ppm: up to %v buffered, %+v", ppm, most, q)
		}
	}
}

// Three speakers, each with a tone, a clock and a network of its own: in the
// sum of the recordings no tone breaks, and there is no other.
func TestThreeTonesStayWhole(t *testing.T) {
	tones := []float64{397, 997, 1597}
	const frames = 1450
	sum := make([]pcm.Frame, frames)
	for i, hz := range tones {
		payloads := encode(t, pcmtest.Tone(hz, 0.25), 1500, opus.EncoderConfig{Channels: 1, Bitrate: 64000})
		src := newSource(sender{
			ppm: 100 * float64(1-i), length: 960, ntp: 0,
			delay: func(_ time.Duration, r *rand.Rand) time.Duration {
				d := time.Duration(r.Int64N(int64(50 * time.Millisecond)))
				for r.Float64() < 0.2 {
					d += 60 * time.Millisecond
				}
				return d
			},
		}, payloads)
		d := playout.NewDeep(playout.DeepConfig{})
		own := make([]pcm.Frame, frames)
		for n := range own {
			src.feed(time.Duration(n+1)*frameTime+5*time.Second, d)
			if err := d.ReadFrame(&own[n]); err != nil {
				t.Fatal(err)
			}
			for k, s := range own[n] {
				sum[n][k][0] += s[0]
				sum[n][k][1] += s[1]
			}
		}
		var phase, low, high float64
		for _, g := range pcmtest.Steps(own[20:], hz) {
			phase = max(phase, math.Abs(g.Phase))
		}
		for n := 20; n+10 <= frames; n += 10 {
			level := pcmtest.Level(own[n:n+10], hz) + 12.04
			low, high = min(low, level), max(high, level)
		}
		l := d.Ledger()
		t.Logf("%v Hz: phase steps up to %.2f°, level %+.2f to %+.2f dB, %d ms concealed or lost", hz, phase, low, high, (l[playout.Concealed]+l[playout.Lost])/48)
		if phase > 2.5 || low < -0.5 || high > 0.5 || l[playout.Concealed]+l[playout.Lost] != 0 {
			t.Errorf("%v Hz: a glitch; ledger %v", hz, l)
		}
	}
	worst := -200.0
	for n := 20; n+50 <= frames; n += 50 {
		for _, hz := range []float64{200, 600, 794, 1194, 1391, 1800, 1994, 2400, 3194, 4000, 8000, 12000} {
			worst = max(worst, pcmtest.Level(sum[n:n+50], hz))
		}
	}
	t.Logf("the loudest foreign tone has %.1f dBFS", worst)
	if worst > -60 {
		t.Error("a foreign tone")
	}
}
