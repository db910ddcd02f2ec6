package main

import (
	"fmt"

	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/joiner/whep"
	"mixdown/netguard"
)

// openWHEP opens the way to media servers elsewhere, and the guard before it.
func (d *daemon) openWHEP() (err error) {
	if d.guard, err = netguard.New(d.config.Network.Allow); err != nil {
		return fmt.Errorf("network.allow: %w", err)
	}
	d.whep = whep.New(whep.Config{Engine: d.engine, Guard: d.guard, Log: d.log})
	return nil
}

// systems are the room systems that captures can join, by the name that a
// capture gives. They share the recorder's sockets.
func (d *daemon) systems() map[string]joiner.System {
	return map[string]joiner.System{
		"mixdown": native.New(native.Config{Engine: d.engine, Log: d.log}),
		"whep":    d.whep,
	}
}
