package main

import (
	"fmt"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/livekit"
	"mixdown/joiner/native"
	"mixdown/joiner/whep"
	"mixdown/netguard"
	"mixdown/rooms/peer"
	"mixdown/rooms/token"
)

// openElsewhere opens the ways to room systems and media servers elsewhere, and
// the guard before them.
func (d *daemon) openElsewhere() (err error) {
	if d.guard, err = netguard.New(d.config.Network.Allow); err != nil {
		return fmt.Errorf("network.allow: %w", err)
	}
	// LiveKit sends again what it does not say it would.
	d.asking, err = peer.New(peer.Config{Sockets: d.sockets, Log: d.log, SenderReports: true, AskAlways: true})
	if err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	d.onClose(d.asking.Close)
	d.whep = whep.New(whep.Config{Engine: d.engine, Guard: d.guard, Log: d.log})
	return nil
}

// systems are the room systems that captures can join, by the name that a
// capture gives. They share the recorder's sockets.
func (d *daemon) systems() map[string]joiner.System {
	return map[string]joiner.System{
		"livekit": livekit.New(livekit.Config{Engine: d.asking, Credentials: d.liveKitKeys, Client: d.liveKitClient, Log: d.log}),
		"mixdown": native.New(native.Config{Engine: d.engine, Log: d.log}),
		"whep":    d.whep,
	}
}

// recorderToken is the token by which a capture logs in to the embedded rooms.
func (d *daemon) recorderToken(system string, l joiner.Login) (string, error) {
	if system != "mixdown" {
		return "", nil // the system has credentials of its own
	}
	now := time.Now()
	return d.rooms.MintToken(token.Claims{
		UserID: l.UserID, RoomID: l.RoomID, Login: true, Publish: true, Hidden: l.Hidden,
		Created: now, Expires: now.Add(24 * time.Hour),
	})
}
