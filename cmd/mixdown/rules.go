package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/events"
	"mixdown/rooms"
	"mixdown/rules"
)

// openRules opens the rules and the history; they hear of the embedded rooms
// from now on.
func (d *daemon) openRules() (err error) {
	if d.history, err = completeness.OpenHistory(filepath.Join(d.config.Data, "rooms")); err != nil {
		return err
	}
	d.onClose(d.history.Close)
	d.rules, err = rules.New(rules.Config{
		Dir:   filepath.Join(d.config.Data, "rules"),
		Check: d.captures.Check,
		Start: func(id string, spec capture.Spec) error {
			_, _, err := d.captures.Start(id, spec)
			return err
		},
		Stop: func(ctx context.Context, id string) error {
			c, err := d.captures.Get(id)
			if err != nil {
				return err
			}
			return c.Stop(ctx)
		},
		State: func(id string) (capture.State, string) {
			c, err := d.captures.Get(id)
			if err != nil {
				return "", ""
			}
			return c.State()
		},
		Running: func() map[string]rules.Running {
			found := map[string]rules.Running{}
			for _, c := range d.captures.List() {
				if state, _ := c.State(); !state.Ended() && state != capture.Finalizing {
					r := c.Room()
					found[c.ID()] = rules.Running{System: r.System, Server: d.serverOf(r), RoomID: r.RoomID, Rule: c.Label(rules.Label)}
				}
			}
			return found
		},
		Log: d.log,
	})
	return err
}

// watch passes on what happens in the embedded rooms. A mix that a capture
// publishes is nobody who talks.
func (d *daemon) watch(a rooms.Activity) {
	if a.StreamID != "" && capture.IsMix(a.ExtraInfo) {
		return
	}
	stay := completeness.Stay{System: "mixdown", RoomID: a.RoomID, UserID: a.UserID, StreamID: a.StreamID, From: a.At, To: a.At}
	switch a.Kind {
	case rooms.StreamAdded:
		d.history.Began(stay)
	case rooms.StreamRemoved:
		d.history.Ended(stay)
	}
	d.rules.Observe(rules.Activity{
		System: "mixdown", RoomID: a.RoomID, UserID: a.UserID, StreamID: a.StreamID, At: a.At,
		Gone: a.Kind == rooms.UserLeft || a.Kind == rooms.StreamRemoved,
	})
}

// keepHistory makes durable, every second, what was heard of the rooms.
func (d *daemon) keepHistory(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.history.Flush(); err != nil {
			d.log.Error("the history of rooms is not written down", "err", err)
		}
	}
}

// reconsidering lets the rules look again when a capture changes its state.
type reconsidering struct {
	events.Publisher
	d *daemon
}

// Publish implements events.Publisher.
func (r reconsidering) Publish(e events.Event) {
	r.Publisher.Publish(e)
	if strings.HasPrefix(e.Type, "capture.") && r.d.rules != nil {
		r.d.rules.Reconsider(e.Room)
	}
}
