package main

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"mixdown/events"
	"mixdown/events/webhook"
)

// deliveryGrace is what webhooks still get for the last events.
const deliveryGrace = time.Second

// openEvents opens the log of events and the webhooks that read it.
func (d *daemon) openEvents() (err error) {
	d.eventLog, err = events.Open(filepath.Join(d.config.Data, "events"), events.Options{
		Keep: d.config.Events.Keep, MaxBytes: int64(d.config.Events.MaxMiB) << 20, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.events = d.eventLog
	configured := map[string]webhook.Configured{}
	for name, w := range d.config.Webhooks {
		configured[name] = webhook.Configured{Endpoint: webhook.Endpoint{URL: w.URL, Events: w.Events, Captures: w.Captures, Rooms: w.Rooms}, Secret: w.Secret}
	}
	d.webhooks, err = webhook.Open(webhook.Config{
		Dir: filepath.Join(d.config.Data, "webhooks"), Log: d.eventLog, Configured: configured,
		CheckURL: d.guard.CheckURL, Transport: d.guard.Transport(), Logger: d.log,
	})
	return err
}

// runEvents writes the log of events and delivers it until stop is called,
// which returns when everything that happened before is on disk. What is not
// delivered within a moment is by the next start.
func (d *daemon) runEvents(base context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(base)
	var running sync.WaitGroup
	delivery, stopDelivery := context.WithCancel(base)
	var deliveries sync.WaitGroup
	running.Go(func() { _ = d.eventLog.Run(ctx) })         // ends with its context only
	deliveries.Go(func() { _ = d.webhooks.Run(delivery) }) // likewise
	return sync.OnceFunc(func() {
		cancel()
		running.Wait()
		grace, done := context.WithTimeout(base, deliveryGrace)
		d.webhooks.Drain(grace)
		done()
		stopDelivery()
		deliveries.Wait()
	})
}
