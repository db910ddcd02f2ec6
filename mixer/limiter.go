package mixer

import (
	"math"

	"mixdown/mixer/loudness"
	"mixdown/mixer/pcm"
)

// Latency is by how many samples an output is behind its inputs, 2 ms, unless
// the mixer is Aligned: the limiter looks that far ahead.
const Latency = ahead + loudness.Reach

const (
	box   = 36             // samples of one of the two averages that round off a change of gain
	ahead = 2 * box        // samples between seeing a peak and its way out
	hold  = pcm.Rate / 100 // a reduction lasts 10 ms, so that the gain does not follow the waves of tones above 50 Hz
	one   = 1 << 30        // reductions are fixed-point: integer sums have no rounding that could pile up
	fall  = 12             // after the hold, a reduction loses 1/2^fall of itself each sample: 85 ms to 37 %
)

// ceiling is the largest true peak that leaves the limiter by its own measure:
// -1.5 dBTP. Meters with other filters see what is between 20 and 24 kHz
// otherwise, up to 0.4 dB more in white noise, and still read at most -1.
var ceiling = float32(math.Pow(10, -1.5/20))

// limiter keeps the true peak of one mix (ITU-R BS.1770, annex 2: 4 times
// oversampled) at or below the ceiling, both channels by the same gain, and
// otherwise delays by Latency samples and changes not one bit. The zero value
// is ready.
//
// It turns the gain down before a peak comes, in a curve as long as the look
// ahead, holds it, and lets it rise slowly. What it heard fades from its state:
// one that starts in the middle gives the same samples as one that was always
// there, but for the last bit, after a second and a half. A recording that is
// mixed again from some point relies on that.
type limiter struct {
	delay   [Latency][2]float32
	last    float32 // an upper bound of what is in delay
	between float32 // largest true peak right before the next sample to be looked at

	held     highest
	envelope int64 // reduction after hold and release
	first    average
	second   average
}

// process takes the next frame of the mix and gives the one that is due. It
// says whether it turned anything down. The two frames must not be the same.
//
//go:norace
func (l *limiter) process(in, out *pcm.Frame) (limited bool) {
	now := bend(in[:])
	peak := math.Float32frombits(now.top)
	loud := max(peak, l.last)*loudness.Overshoot() > ceiling
	loud = loud && !(bound(&l.delay, in, now) <= ceiling) // so also if there is no number
	l.last = peak
	if !loud && l.idle() {
		l.pass(in, out)
		l.between = 0
		return false
	}

	var sound [Latency + pcm.FrameSize][2]float32
	copy(sound[:], l.delay[:])
	copy(sound[Latency:], in[:])
	var need [pcm.FrameSize]int64
	some := false
	if loud {
		l.between, some = reductions(&sound, &need, l.between)
	} else {
		l.between = 0
	}
	if !some && l.idle() { // it is loud, but not too loud
		l.pass(in, out)
		return false
	}
	copy(l.delay[:], sound[pcm.FrameSize:])
	for i := range out {
		reduction := l.reduce(need[i])
		if reduction == 0 {
			out[i] = sound[i]
			continue
		}
		limited = true
		gain := float32(1 - float64(reduction)/(box*box*one))
		out[i] = [2]float32{sound[i][0] * gain, sound[i][1] * gain}
	}
	return limited
}

// pass delays a frame.
func (l *limiter) pass(in, out *pcm.Frame) {
	copy(out[:], l.delay[:])
	copy(out[Latency:], in[:])
	copy(l.delay[:], in[pcm.FrameSize-Latency:])
}

// idle says whether the gain is 1 and stays so if no peak comes.
func (l *limiter) idle() bool {
	return l.held.used == 0 && l.envelope == 0 && l.first.sum == 0 && l.second.sum == 0
}

// reduce takes what the sample at the far end of the look ahead needs and
// gives what the sample on its way out gets, times box².
//
//go:norace
func (l *limiter) reduce(need int64) int64 {
	need = l.held.push(need)
	l.envelope -= l.envelope>>fall + 1
	l.envelope = max(l.envelope, need)
	return l.second.push(l.first.push(l.envelope))
}

// average is the sum of the last box values.
type average struct {
	ring [box]int64
	next int
	sum  int64
}

//go:norace
func (a *average) push(v int64) int64 {
	a.sum += v - a.ring[a.next]
	a.ring[a.next] = v
	a.next++
	if a.next == box {
		a.next = 0
	}
	return a.sum
}

// highest is the maximum over the last ahead+1+hold values: a falling row of
// those that can still become it.
type highest struct {
	row   [1 << 10]peak // longer than the window
	first uint32
	used  uint32
	now   uint32
}

type peak struct {
	at    uint32
	value int32
}

//go:norace
func (h *highest) push(v int64) int64 {
	const window, mask = ahead + 1 + hold, 1<<10 - 1
	if h.used > 0 && h.now-h.row[h.first&mask].at >= window {
		h.first++
		h.used--
	}
	if v > 0 {
		for h.used > 0 && int64(h.row[(h.first+h.used-1)&mask].value) <= v {
			h.used--
		}
		h.row[(h.first+h.used)&mask] = peak{h.now, int32(v)}
		h.used++
	}
	h.now++
	if h.used == 0 {
		return 0
	}
	return int64(h.row[h.first&mask].value)
}
