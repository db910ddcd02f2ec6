// Package capacity measures what capturing costs on this machine while it
// runs, and refuses new captures before the running ones suffer.
//
// It stands beside the straight line: nothing of it is in the audio's way. The
// capture manager asks [Meter.Admit] before it starts a capture; one that runs
// is never stopped to admit another. The load is the process's own CPU time
// over the processors that it may use, so what else runs on the machine has to
// be taken off the limit by configuration.
package capacity

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Config is what a [Meter] is made of.
type Config struct {
	Limit       float64                        // of the load, 0 to 1, above which nothing is admitted; 0 refuses nothing
	MaxStreams  int                            // captured at once; 0 is no limit
	MaxCaptures int                            // running at once; 0 is no limit
	Processors  int                            // that the process may use
	CPU         func() time.Duration           // that the process has used so far
	Count       func() (captures, streams int) // running and captured now
}

const (
	every       = time.Second
	loadTime    = 5 * time.Second  // over which the load is smoothed
	costTime    = 60 * time.Second // over which the cost of a stream is
	settleTime  = 10 * time.Second // until an admitted capture shows in the load
	firstCost   = 3 * time.Millisecond
	shortRetry  = 5 * time.Second
	longRetry   = 30 * time.Second
	fewStreams  = 4 // too few to tell the cost of one from the rest of the daemon
	reserveLeft = 0.001
)

// Meter measures. Its methods are safe for concurrent use.
type Meter struct {
	config Config

	mu       sync.Mutex
	at       time.Time
	cpu      time.Duration
	load     float64
	streams  int     // at the last sample
	cost     float64 // seconds of CPU per second of a stream
	measured bool
	reserved []reservation
}

// reservation is what an admitted capture will cost and does not yet.
type reservation struct {
	at      time.Time
	streams int
	unseen  int // of them, not yet captured
}

// New makes a meter. It knows no load before [Meter.Run] has run for a second.
func New(c Config) *Meter {
	return &Meter{config: c, cost: firstCost.Seconds(), at: time.Now(), cpu: c.CPU()}
}

// Run measures every second until ctx ends.
func (m *Meter) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, streams := m.config.Count()
			m.sample(time.Now(), m.config.CPU(), streams)
		}
	}
}

func (m *Meter) sample(now time.Time, cpu time.Duration, streams int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wall := now.Sub(m.at).Seconds()
	if wall <= 0 {
		return
	}
	used := (cpu - m.cpu).Seconds() / wall
	came := streams - m.streams
	m.at, m.cpu, m.streams = now, cpu, streams
	m.load += (used/float64(m.config.Processors) - m.load) * weight(wall, loadTime)
	if streams >= fewStreams {
		cost := used / float64(streams)
		if !m.measured {
			m.cost, m.measured = cost, true
		}
		m.cost += (cost - m.cost) * weight(wall, costTime)
	}
	keep := m.reserved[:0]
	for _, r := range m.reserved {
		seen := min(r.unseen, max(came, 0))
		r.unseen -= seen
		came -= seen
		if now.Sub(r.at) < settleTime {
			keep = append(keep, r)
		}
	}
	m.reserved = keep
}

// weight is that of a sample of some seconds in a mean that forgets over t.
func weight(seconds float64, t time.Duration) float64 {
	return 1 - math.Exp(-seconds/t.Seconds())
}

// FullError says that there is no room for one more capture.
type FullError struct {
	RetryAfter time.Duration
	Reason     string
}

func (e *FullError) Error() string {
	return fmt.Sprintf("no capacity for another capture: %s; try again in %s, or on another machine", e.Reason, e.RetryAfter)
}

// Admit admits a capture of so many streams beside those that run, or returns
// a [*FullError].
func (m *Meter) Admit(streams, running int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if full := m.fullLocked(streams, running, m.streams); full != nil {
		return full
	}
	m.reserved = append(m.reserved, reservation{time.Now(), streams, streams})
	return nil
}

func (m *Meter) fullLocked(streams, captures, captured int) *FullError {
	c := m.config
	if c.MaxCaptures > 0 && captures >= c.MaxCaptures {
		return &FullError{longRetry, fmt.Sprintf("%d captures run, capacity.maxCaptures is %d", captures, c.MaxCaptures)}
	}
	pending, unseen := 0, 0
	for _, r := range m.reserved {
		pending, unseen = pending+r.streams, unseen+r.unseen
	}
	if c.MaxStreams > 0 && captured+unseen+streams > c.MaxStreams {
		return &FullError{longRetry, fmt.Sprintf("%d streams are captured and %d expected, capacity.maxStreams is %d", captured, unseen+streams, c.MaxStreams)}
	}
	if c.Limit <= 0 {
		return nil
	}
	expected := m.load + float64(pending+streams)*m.cost/float64(c.Processors)
	if expected <= c.Limit+reserveLeft {
		return nil
	}
	retry := shortRetry
	if m.load > c.Limit {
		retry = longRetry
	}
	return &FullError{retry, fmt.Sprintf("the load is %.0f %% and would be %.0f %%, capacity.cpu is %.0f %%", m.load*100, expected*100, c.Limit*100)}
}

// State is how the capacity stands.
type State struct {
	Processors  int     `json:"processors" doc:"That the daemon may use."`
	Load        float64 `json:"load" doc:"CPU time of the daemon over that of the processors, 0 to 1, over five seconds."`
	Limit       float64 `json:"limit" doc:"Load above which captures are refused; 0 refuses none."`
	Captures    int     `json:"captures" doc:"That run."`
	MaxCaptures int     `json:"maxCaptures,omitempty"`
	Streams     int     `json:"streams" doc:"That are captured."`
	MaxStreams  int     `json:"maxStreams,omitempty"`
	CostUS      float64 `json:"streamCostUs" doc:"CPU time that a stream costs per second, in microseconds, with its share of everything else."`
	Measured    bool    `json:"measured" doc:"The cost was measured here; before, it is assumed."`
	FreeStreams int     `json:"freeStreams" doc:"That could be captured besides."`
	Accepting   bool    `json:"accepting" doc:"A capture of one stream would be admitted."`
	Reason      string  `json:"reason,omitempty" doc:"Why it would not."`
	RetryAfter  float64 `json:"retryAfterSeconds,omitempty"`
}

// State tells how the capacity stands.
func (m *Meter) State() State {
	captures, captured := m.config.Count()
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.config
	s := State{
		Processors: c.Processors, Load: round(m.load, 1000), Limit: c.Limit, Captures: captures, MaxCaptures: c.MaxCaptures,
		Streams: captured, MaxStreams: c.MaxStreams, CostUS: round(m.cost*1e6, 1), Measured: m.measured, Accepting: true,
	}
	limit := c.Limit
	if limit <= 0 {
		limit = 1
	}
	s.FreeStreams = max(0, int((limit-m.load)*float64(c.Processors)/max(m.cost, 1e-6)))
	if c.MaxStreams > 0 {
		s.FreeStreams = min(s.FreeStreams, max(0, c.MaxStreams-captured))
	}
	if full := m.fullLocked(1, captures, captured); full != nil {
		s.Accepting, s.Reason, s.RetryAfter = false, full.Reason, full.RetryAfter.Seconds()
		s.FreeStreams = 0
	}
	return s
}

func round(v, to float64) float64 { return math.Round(v*to) / to }
