package capture

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"
)

// resume loads a capture of an earlier life. One that cannot be read must not
// keep the others from going on: its files stay where they are, and it is tried
// again until it can.
func (m *Manager) resume(id string) {
	stub := m.stuck[id]
	if stub != nil {
		stub.acting.Lock() // what is changed of it meanwhile must not get lost
		defer stub.acting.Unlock()
	}
	c, err := m.load(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil && stub != nil:
		stub.setTrouble(unopened(err))
		return
	case err != nil && c == nil:
		m.config.Log.Error("capture cannot be read", "capture", id, "err", err)
		return
	case err != nil:
		c.setTrouble(unopened(err))
		m.stuck[id] = c
	case stub != nil:
		delete(m.stuck, id)
		c.log.Info("the capture goes on")
		stub.mu.Lock()
		stub.mu.stopAt = 1 // nothing can be changed of it any more
		stub.mu.Unlock()
		context.AfterFunc(stub.ending, func() { c.stop(context.Cause(stub.ending)) }) // asked before, or by who still has the stub
	}
	m.captures[id] = c
	if err == nil && !c.Status().State.Ended() {
		m.begin(c)
	}
}

func unopened(err error) error {
	return fmt.Errorf("the capture cannot go on, and is tried again every %s: %w", resumeEvery, err)
}

// resumeEvery is how often a capture is tried whose files could not be opened.
const resumeEvery = 30 * time.Second

// retry tries those again.
func (m *Manager) retry(ctx context.Context) {
	for tick := time.NewTicker(resumeEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		m.mu.Lock()
		stuck := slices.Collect(maps.Keys(m.stuck))
		m.mu.Unlock()
		for _, id := range stuck {
			m.resume(id)
		}
	}
}

// load reads what is left of a capture; a panic over it keeps nobody else from
// going on.
func (m *Manager) load(id string) (c *Capture, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanicked, v, debug.Stack())
		}
	}()
	return loadCapture(&m.config, id)
}
