package playout_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// hold lets what is sent within a stretch arrive at its end.
func hold(packets []playout.Packet, from, length time.Duration) []playout.Packet {
	for i := range packets {
		if at := packets[i].At; at >= from && at < from+length {
			packets[i].At = from + length
		}
	}
	return byArrival(packets)
}

// pauseless is speech of the repository in which nobody draws breath.
func pauseless(t *testing.T, n int) [][]byte {
	t.Helper()
	frames, err := voices()
	if err != nil {
		t.Fatal(err)
	}
	var loud []pcm.Frame
	for len(loud) < n {
		for _, f := range frames[1] {
			power := 0.0
			for _, s := range f {
				power += float64(s[0]) * float64(s[0])
			}
			if power/pcm.FrameSize > 1e-4 && len(loud) < n {
				loud = append(loud, f)
			}
		}
	}
	return encode(t, &row{loud}, n, opus.EncoderConfig{Channels: 1, Bitrate: 32000, Voice: true})
}

// After a stall the delay is back at its target within two seconds, also while
// somebody speaks without pause, and the way there is by splices that cannot be
// heard.
func TestLiveReturnsToTargetWhileSomebodySpeaks(t *testing.T) {
	speech, tone := pauseless(t, 1200), tone64(t, 1200)
	for _, stall := range []time.Duration{150, 300, 480, 900, 5000} {
		stall *= time.Millisecond
		for name, payloads := range map[string][][]byte{"speech": speech, "tone": tone} {
			l := listen(hold(stream(payloads, 0, 1, 1), 8*time.Second, stall))
			end := 8*time.Second + stall
			l.read(t, end)
			back := time.Duration(-1)
			for at := end; at < end+4*time.Second; at += frameTime {
				l.read(t, at)
				if l.l.Delay() > 70*time.Millisecond {
					back = -1
				} else if back < 0 {
					back = at - end
				}
			}
			q := l.l.Quality()
			t.Logf("%s, %v: back after %v, %d ms spliced, %d packets left out, target %v", name, stall, back, q.Spliced/48, q.Late, l.l.Target())
			if back < 0 || back > 2*time.Second {
				t.Errorf("%s, %v: back after %v", name, stall, back)
			}
			if stall < 500*time.Millisecond && q.Late > 0 {
				t.Errorf("%s, %v: %d packets left out", name, stall, q.Late)
			}
		}
	}
}

// A tone of any frequency keeps its level through acceleration; its phase
// moves at splices by no more than what one sample is.
func TestSplicesInTones(t *testing.T) {
	for _, hz := range []float64{397, 997, 1597} {
		payloads := encode(t, pcmtest.Tone(hz, 0.25), 700, opus.EncoderConfig{Channels: 1, Bitrate: 64000})
		l := listen(hold(stream(payloads, 0, 1, 1), 4*time.Second, 400*time.Millisecond))
		l.keep = true
		l.read(t, 13*time.Second)
		// 30 ms after the stall all is sound again.
		after := l.frames[225:600]
		var phase, level float64
		for _, g := range pcmtest.Steps(after, hz) {
			phase, level = max(phase, math.Abs(g.Phase)), max(level, math.Abs(g.Level))
		}
		q := l.l.Quality()
		t.Logf("%v Hz: %d ms spliced, phase steps up to %.1f°, level steps up to %.2f dB", hz, q.Spliced/48, phase, level)
		if q.Spliced < 200*48 {
			t.Errorf("%v Hz: only %d samples spliced", hz, q.Spliced)
		}
		if level > 1 || phase > 12 {
			t.Errorf("%v Hz: phase steps up to %.1f°, level steps up to %.2f dB", hz, phase, level)
		}
	}
}

// Packets of 10 ms are taken together, and 60 ms are taken as they are.
func TestSplicesTakePacketsOfAnyLength(t *testing.T) {
	whole := tone64(t, 1200)
	long := make([][]byte, 0, 400)
	for i := 0; i+3 <= len(whole); i += 3 {
		p := []byte{whole[i][0] | 3, 0x80 | 3}
		for _, f := range whole[i : i+2] {
			if n := len(f) - 1; n < 252 {
				p = append(p, byte(n))
			} else {
				p = append(p, byte(252+n&3), byte((n-252)>>2))
			}
		}
		for _, f := range whole[i : i+3] {
			p = append(p, f[1:]...)
		}
		long = append(long, p)
	}
	short := shortTone(t, 10, 2400)
	for length, payloads := range map[int][][]byte{480: short, 2880: long} {
		packets := stream(payloads, 0, 1, 1)
		for i := range packets {
			packets[i].At, packets[i].Timestamp = pcm.Duration(int64(i*length)), uint32(i*length)
		}
		l := listen(hold(packets, 8*time.Second, 400*time.Millisecond))
		l.read(t, 10*time.Second+400*time.Millisecond)
		q := l.l.Quality()
		t.Logf("%d samples: %v buffered two seconds later, %d ms spliced", length, l.l.Delay(), q.Spliced/48)
		if l.l.Delay() > 120*time.Millisecond || q.Spliced == 0 || q.Broken > 0 {
			t.Errorf("%d samples: %v buffered, %+v", length, l.l.Delay(), q)
		}
	}
}

// When the network becomes worse the buffer grows by repeating, not by holes.
func TestLiveGrowsWithoutHoles(t *testing.T) {
	packets := stream(pauseless(t, 1500), 0, 1, 1)
	calm := slices.Clone(packets[:500])
	rough := jitter(slices.Clone(packets[500:]), 80*time.Millisecond, 9)
	l := listen(append(calm, rough...))
	l.read(t, 29*time.Second)
	q := l.l.Quality()
	t.Logf("target %v, %+v", l.l.Target(), q)
	if l.l.Target() < 80*time.Millisecond || q.Late > 8 {
		t.Errorf("target %v, %+v", l.l.Target(), q)
	}
}
