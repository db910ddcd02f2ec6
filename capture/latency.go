package capture

import (
	"sync/atomic"
	"time"
)

// latency is a histogram of how long the live mix held packets back: from a
// packet's arrival to the moment when the first mixed packet that holds its
// sound has been sent. Buckets are one millisecond wide.
type latency struct{ buckets [500]atomic.Int64 }

func (l *latency) sent(d time.Duration) {
	if d > 0 {
		l.buckets[min(len(l.buckets)-1, int(d/time.Millisecond))].Add(1)
	}
}

// quantile is the time that the fraction q of packets stayed below, to the
// millisecond; zero if nothing was measured.
func (l *latency) quantile(q float64) time.Duration {
	var all int64
	for i := range l.buckets {
		all += l.buckets[i].Load()
	}
	var sum int64
	for i := range l.buckets {
		sum += l.buckets[i].Load()
		if all > 0 && float64(sum) >= q*float64(all) {
			return time.Duration(i+1) * time.Millisecond
		}
	}
	return 0
}
