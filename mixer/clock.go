package mixer

import (
	"context"
	"time"

	"mixdown/mixer/pcm"
)

// Run mixes one frame every 20 ms of the monotonic clock until ctx ends, and
// returns its cause. Frame n is due n × 20 ms after the call. After a stall the
// missing frames are mixed at once, one after the other: the mix is late for a
// moment, never short. Run does not drain. What was to fade out when the mixer
// last stood still is forgotten.
func (m *Mixer) Run(ctx context.Context) error {
	m.mu.Lock()
	clear(m.leaving)
	m.leaving = m.leaving[:0]
	m.regroup()
	m.mu.Unlock()
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := time.Duration(0); ; {
		for late := time.Since(start) - n*pcm.FrameTime; late >= 0; late = time.Since(start) - n*pcm.FrameTime {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			m.tardy(late)
			m.Mix()
			n++
		}
		timer.Reset(time.Until(start.Add(n * pcm.FrameTime)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tardy counts how far behind the clock a frame is mixed.
func (m *Mixer) tardy(late time.Duration) {
	if late >= pcm.FrameTime {
		m.stats.late.Add(1)
	}
	if int64(late) > m.stats.lateness.Load() {
		m.stats.lateness.Store(int64(late))
	}
}
