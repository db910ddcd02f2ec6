package main

import (
	"context"
	"fmt"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"mixdown/rooms/token"
)

// serveCommand is mixdown serve.
type serveCommand struct {
	Settings settings `embed:""`
}

// gcPercent is how much the heap may grow, in percent, before it is collected.
const gcPercent = 50

// Run serves until ctx ends.
func (s *serveCommand) Run(ctx context.Context, p process) error {
	c, err := s.Settings.load(p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	// The audio's way allocates nothing, so collecting twice as often costs
	// nothing there, and keeps what abuse can cost small.
	debug.SetGCPercent(gcPercent)
	d, err := newDaemon(c, newLog(p.stderr, c.Log))
	if err != nil {
		return err
	}
	return d.run(ctx, func(a addresses) {
		link, err := d.loginLink(a)
		if err != nil {
			link = err.Error()
		}
		fmt.Fprintf(p.stdout, "Mixdown is at %s/ — join room demo: %s\n", a.site(), link)
	})
}

// loginLink is a link by which a browser can join the room demo for an hour.
// The token is in the fragment, which browsers do not send.
func (d *daemon) loginLink(a addresses) (string, error) {
	now := time.Now()
	t, err := d.rooms.MintToken(token.Claims{
		UserID: "guest", RoomID: "demo", Login: true, Publish: true, Created: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		return "", err
	}
	f := url.Values{"room": {"demo"}, "user": {"guest"}, "appID": {strconv.Itoa(int(d.rooms.AppID()))}, "token": {t}}
	return a.site() + "/call#" + f.Encode(), nil
}
