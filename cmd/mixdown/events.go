package main

import (
	"context"
	"path/filepath"
	"sync"

	"mixdown/events"
)

// openEvents opens the log of events.
func (d *daemon) openEvents() (err error) {
	d.eventLog, err = events.Open(filepath.Join(d.config.Data, "events"), events.Options{
		Keep: d.config.Events.Keep, MaxBytes: int64(d.config.Events.MaxMiB) << 20, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.events = d.eventLog
	return nil
}

// runEvents writes the log of events until stop is called, which returns when
// everything that happened before is on disk.
func (d *daemon) runEvents(base context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(base)
	var running sync.WaitGroup
	running.Go(func() { _ = d.eventLog.Run(ctx) }) // ends with its context only
	return sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
}
