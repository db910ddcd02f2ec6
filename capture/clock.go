package capture

import (
	"time"

	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// clock is the capture's clock: time since the start of the recording, on the
// monotonic clock of this process. After a restart the wall clock bridges the
// gap, once.
type clock struct {
	start  time.Time     // UTC of sample 0
	anchor time.Time     // an instant of this process, with its monotonic reading
	offset time.Duration // capture time at anchor
}

func newClock(start time.Time) *clock {
	now := time.Now()
	return &clock{start: start, anchor: now, offset: now.Sub(start)}
}

// reach says that capture time has come as far as end, whatever the wall clock
// says after a restart, and by how much that is behind. It must be called before
// others ask for the time.
func (c *clock) reach(end time.Duration) (behind time.Duration) {
	behind = max(0, end-c.now())
	c.offset += behind
	return behind
}

// at is the capture time of an instant of this process.
func (c *clock) at(t time.Time) time.Duration { return c.offset + t.Sub(c.anchor) }

func (c *clock) now() time.Duration { return c.at(time.Now()) }

// sample is the wall time of a sample, to the millisecond.
func (c *clock) sample(n int64) storage.Time { return storage.AtSample(storage.At(c.start), n) }

// frameAt is the number of the first frame that starts at or after d.
func frameAt(d time.Duration) int64 {
	return int64((d + pcm.FrameTime - 1) / pcm.FrameTime)
}

// utcAt is the wall time of an instant of capture time.
func (c *clock) utcAt(d time.Duration) storage.Time { return storage.At(c.start.Add(d)) }

// samplesAt is capture time in samples.
func samplesAt(d time.Duration) int64 { return pcm.Samples(d) }

// Captures look whether something is due on beats of the wall clock, beatLag
// after its multiples of beatEvery. So many of them can do so at once that a
// machine is not woken for each, which costs more than what they do. The sockets
// of a recorder are looked at on the multiples themselves (rooms/udp, untilTick):
// what came is taken first, then what is due is rendered, and the machine sleeps.
const (
	beatEvery = 80 * time.Millisecond
	beatLag   = 5 * time.Millisecond
)

// untilBeat is how long it is until the first beat that is wait away or more. A
// step of the wall clock moves one beat, by less than beatEvery.
func untilBeat(wait time.Duration) time.Duration {
	passed := time.Duration(time.Now().UnixNano()) - beatLag + wait
	return wait + (beatEvery-passed%beatEvery)%beatEvery
}
