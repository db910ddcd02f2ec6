package playout

import "mixdown/mixer/pcm"

const (
	delayStep     = pcm.Rate / 100 // a bucket is 10 ms wide
	delayBuckets  = 100
	delayInterval = pcm.Rate / 2 // the greatest delay of 500 ms counts
	delayHistory  = 4            // intervals that the fastest packet is looked for in
	delayQuantile = 0.95
	delayForget   = 0.983
	delayLearn    = 8 // intervals that weigh the same at first
	delayFloor    = pcm.Rate / 50
	delayStart    = delayFloor + delayStep
	delayMargin   = 3 * delayFloor // the most that is waited for repair
)

// delay finds how long the fastest packet must wait for nearly all others to
// arrive in time, as NetEq of libwebrtc does: the delay of each packet relative
// to the fastest of the last two seconds goes, greatest of each half second,
// into a histogram that slowly forgets; the target is a high quantile of it.
type delay struct {
	buckets  [delayBuckets]float64
	fed      int
	least    [delayHistory]least
	interval int64
	worst    int64
	started  bool
	target   int64 // samples
}

type least struct {
	interval int64
	transit  int64
	set      bool
}

func newDelay() delay { return delay{target: delayStart} }

// restart forgets the fastest packets, for another clock begins, but not how
// the network is.
func (d *delay) restart() {
	d.least = [delayHistory]least{}
	d.started = false
}

// add takes the transit of a packet that arrived at sample at.
func (d *delay) add(at, transit int64) {
	i := at / delayInterval
	if d.started && i > d.interval {
		d.feed(d.worst)
		d.worst = 0
	}
	if !d.started || i > d.interval {
		d.interval, d.started = i, true
	}
	slot := &d.least[((i%delayHistory)+delayHistory)%delayHistory]
	if !slot.set || slot.interval < i || transit < slot.transit {
		*slot = least{i, transit, true}
	}
	d.worst = max(d.worst, transit-d.fastest())
	if d.fed == 0 {
		// The first interval is not waited for.
		d.target = max(d.target, min(d.worst+delayStep, delayBuckets*delayStep))
	}
}

// fastest is the least transit of the last two seconds in which there were
// packets.
func (d *delay) fastest() int64 {
	var best int64
	found := false
	for _, l := range d.least {
		if l.set && l.interval > d.interval-delayHistory && (!found || l.transit < best) {
			best, found = l.transit, true
		}
	}
	return best
}

func (d *delay) feed(worst int64) {
	forget := delayForget
	if d.fed < delayLearn {
		forget = float64(d.fed) / float64(d.fed+1)
		d.fed++
	}
	for i := range d.buckets {
		d.buckets[i] *= forget
	}
	d.buckets[min(worst/delayStep, delayBuckets-1)] += 1 - forget
	sum := 0.0
	for i, b := range d.buckets {
		if sum += b; sum >= delayQuantile {
			// Beyond the floor one bucket more is for the worst of the worst.
			if d.target = int64(i+1) * delayStep; d.target > delayFloor {
				d.target += delayStep
			}
			d.target = max(d.target, delayFloor)
			return
		}
	}
	d.target = delayBuckets * delayStep
}
