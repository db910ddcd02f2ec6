package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/configs"
	"mixdown/joiner/livekit"
	"mixdown/rules"
)

// roomURL is where a room is. A LiveKit server may be named as the
// configuration names it, or left out if there is only one.
func (d *daemon) roomURL(r capture.RoomSpec) (string, error) {
	switch {
	case r.System != "livekit" && r.URL == "":
		return "ws://" + loopback(d.inner.Addr()) + "/ws", nil
	case r.System != "livekit":
		return r.URL, nil
	}
	if server, ok := d.liveKit(r.URL); ok {
		return server.URL, nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(d.config.LiveKit)), ", ")
	switch {
	case r.URL == "" && known == "":
		return "", errors.New("no LiveKit server is configured (livekit): give a url and a token")
	case r.URL == "":
		return "", fmt.Errorf("which one of the LiveKit servers %s?", known)
	case r.Token == "":
		return "", fmt.Errorf("%q is no LiveKit server of the configuration, and there is no token", r.URL)
	}
	return r.URL, d.guard.CheckURL(asHTTP(r.URL))
}

// asHTTP is the URL of a WebSocket as that of the server that upgrades to it.
func asHTTP(url string) string {
	if rest, ok := strings.CutPrefix(url, "ws"); ok {
		return "http" + rest
	}
	return url
}

// liveKit finds a configured LiveKit server by name or URL.
func (d *daemon) liveKit(which string) (server configs.LiveKit, ok bool) {
	if which == "" && len(d.config.LiveKit) == 1 {
		for _, server := range d.config.LiveKit {
			return server, true
		}
	}
	plain := func(url string) string { return strings.TrimSuffix(asHTTP(url), "/") }
	for name, server := range d.config.LiveKit {
		if which == name || which != "" && plain(which) == plain(server.URL) {
			return server, true
		}
	}
	return configs.LiveKit{}, false
}

// serverOf is the name of the LiveKit server that a capture's room is on, if
// there are several; its URL, if the configuration does not know it.
func (d *daemon) serverOf(r capture.RoomSpec) string {
	if r.System != "livekit" || len(d.config.LiveKit) < 2 {
		return ""
	}
	found, _ := d.liveKit(r.URL)
	for name, server := range d.config.LiveKit {
		if found.URL == server.URL {
			return name
		}
	}
	return r.URL
}

func (d *daemon) liveKitKeys(url string) (livekit.Credentials, bool) {
	server, ok := d.liveKit(url)
	return livekit.Credentials{Key: server.APIKey, Secret: server.APISecret}, ok && url != ""
}

// liveKitClient dials what the configuration names freely, all else through
// the guard.
func (d *daemon) liveKitClient(url string) *http.Client {
	if _, ok := d.liveKit(url); ok {
		return http.DefaultClient
	}
	return &http.Client{Transport: d.guard.Transport()}
}

// liveKitHook takes the webhooks of the configured LiveKit servers.
func (d *daemon) liveKitHook() http.Handler {
	secret := func(key string) string {
		for _, server := range d.config.LiveKit {
			if server.APIKey == key {
				return server.APISecret
			}
		}
		return ""
	}
	return livekit.NewHook(secret, d.watchLiveKit)
}

// watchLiveKit passes on what happens in LiveKit rooms, as watch does of our
// own.
func (d *daemon) watchLiveKit(n livekit.News) {
	server := ""
	if len(d.config.LiveKit) > 1 {
		for name, s := range d.config.LiveKit {
			if s.APIKey == n.Key {
				server = name
			}
		}
	}
	stay := completeness.Stay{System: "livekit", RoomID: n.RoomID, UserID: n.UserID, StreamID: n.StreamID, From: n.At, To: n.At}
	switch {
	case n.StreamID == "":
	case n.Gone:
		d.history.Ended(stay)
	default:
		d.history.Began(stay)
	}
	d.rules.Observe(rules.Activity{
		System: "livekit", Server: server, RoomID: n.RoomID, UserID: n.UserID, StreamID: n.StreamID, Gone: n.Gone, At: n.At,
	})
}
