package capacity_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capacity"
)

// machine is one whose streams each cost the same.
type machine struct {
	mu      sync.Mutex
	base    time.Duration // CPU a second without any stream
	cost    time.Duration // CPU a second of a stream
	streams int
	starts  atomic.Int64 // captures that run
	used    time.Duration
	at      time.Time
}

func (m *machine) cpu() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.at.IsZero() {
		m.used += time.Duration(now.Sub(m.at).Seconds() * float64(m.base+time.Duration(m.streams)*m.cost))
	}
	m.at = now
	return m.used
}

func (m *machine) set(streams int) {
	m.cpu()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams = streams
}

func (m *machine) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.streams
}

func run(t *testing.T, m *machine, c capacity.Config, test func(*capacity.Meter)) {
	synctest.Test(t, func(t *testing.T) {
		c.CPU, c.Count, c.Processors = m.cpu, func() (int, int) { return int(m.starts.Load()), m.count() }, 2
		meter := capacity.New(c)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { meter.Run(ctx) })
		test(meter)
		cancel()
		wg.Wait()
	})
}

// TestRefusesBeforeTheLimit: captures of ten streams are started one a second
// until one is refused; the load that results stays below the limit, and comes
// close to it.
func TestRefusesBeforeTheLimit(t *testing.T) {
	m := &machine{base: 20 * time.Millisecond, cost: 4 * time.Millisecond}
	run(t, m, capacity.Config{Limit: 0.8}, func(meter *capacity.Meter) {
		var full *capacity.FullError
		for range 200 {
			time.Sleep(time.Second)
			if err := meter.Admit(10, int(m.starts.Load())); err != nil {
				if !errors.As(err, &full) {
					t.Fatal(err)
				}
				break
			}
			time.Sleep(2 * time.Second) // people need a while to come
			m.set(m.count() + 10)
		}
		if full == nil || full.RetryAfter < time.Second || full.Reason == "" {
			t.Fatalf("never refused, or not said why: %v", full)
		}
		load := (0.02 + float64(m.count())*0.004) / 2
		if load > 0.8 || load < 0.65 {
			t.Errorf("refused at a load of %.2f", load)
		}
		time.Sleep(30 * time.Second)
		s := meter.State()
		if s.CostUS < 3800 || s.CostUS > 4600 || !s.Measured {
			t.Errorf("a stream costs %v µs", s.CostUS)
		}
		for range 100 { // it stays so: nobody gets in by asking again
			if meter.Admit(100, int(m.starts.Load())) == nil {
				t.Fatal("admitted a hundred streams into a full machine")
			}
		}
		m.set(10)
		time.Sleep(20 * time.Second)
		if err := meter.Admit(10, int(m.starts.Load())); err != nil {
			t.Errorf("after the others left: %v", err)
		}
	})
}

// TestBurst: a hundred starts in one instant do not all get in because none of
// them shows in the load yet.
func TestBurst(t *testing.T) {
	m := &machine{cost: 5 * time.Millisecond}
	run(t, m, capacity.Config{Limit: 0.5}, func(meter *capacity.Meter) {
		time.Sleep(10 * time.Second)
		in := 0
		for range 100 {
			if meter.Admit(10, int(m.starts.Load())) == nil {
				in++
			}
		}
		if streams := in * 10; streams < 200 || streams > 340 { // of 3 ms assumed, or 5
			t.Errorf("%d streams were let in at once", streams)
		}
	})
}

func TestFixedLimits(t *testing.T) {
	m := &machine{}
	run(t, m, capacity.Config{MaxStreams: 10, MaxCaptures: 3}, func(meter *capacity.Meter) {
		if meter.Admit(11, int(m.starts.Load())) == nil || meter.Admit(10, int(m.starts.Load())) != nil || meter.Admit(1, int(m.starts.Load())) == nil {
			t.Error("maxStreams")
		}
		time.Sleep(11 * time.Second)
		m.starts.Store(3)
		if err := meter.Admit(1, int(m.starts.Load())); err == nil {
			t.Error("maxCaptures")
		}
		if s := meter.State(); s.Accepting || s.FreeStreams != 0 || s.RetryAfter == 0 {
			t.Errorf("state %+v", s)
		}
	})
}

func TestProcessCPU(t *testing.T) {
	before := capacity.ProcessCPU()
	for sum := 0; capacity.ProcessCPU() == before; sum++ {
		_ = sum * sum
	}
}
