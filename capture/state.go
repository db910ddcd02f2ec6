package capture

import (
	"errors"

	"mixdown/joiner"
)

// State is the state of a capture:
//
//	waiting ──► recording ──► finalizing ──► complete
//	   │  ▲         │  ▲           ▲
//	   ▼  │         ▼  │           │
//	reconnecting ◄──┴──┘   stop, limit, kicked
//	   │
//	   └── crash or shutdown: interrupted ──► waiting (next start)
//
// failed is reached from any of them, with a reason, when nothing more can be
// recorded and nothing was. Only (*Capture).move changes it. Paused is
// a capture that is paused as a whole.
type State string

// The states of a capture.
const (
	Waiting      State = "waiting"
	Recording    State = "recording"
	Paused       State = "paused"
	Reconnecting State = "reconnecting"
	Finalizing   State = "finalizing"
	Complete     State = "complete"
	Interrupted  State = "interrupted"
	Failed       State = "failed"
)

// inRoom says that the participant changes this state.
func (s State) inRoom() bool {
	return s == Waiting || s == Recording || s == Paused || s == Reconnecting
}

// Ended says that a capture in this state never runs again.
func (s State) Ended() bool { return s == Complete || s == Failed }

// States lists all states.
func States() []State {
	return []State{Waiting, Recording, Paused, Reconnecting, Finalizing, Complete, Interrupted, Failed}
}

// present is the state of a capture that is in its room.
func (c *Capture) present() State {
	switch {
	case c.settings.Load().whole() != nil:
		return Paused
	case c.room.heard.Load():
		return Recording
	}
	return Waiting
}

// joined and reconnecting follow the participant; heard follows the packets.
func (c *Capture) joined() {
	reason := ""
	if p := c.settings.Load().whole(); p != nil {
		reason = p.Reason
	}
	c.change(c.present(), reason, Waiting, Reconnecting, Interrupted)
}

func (c *Capture) reconnecting(e joiner.StateChanged) {
	if e.Err != nil && !errors.Is(e.Err, ErrStopped) && !errors.Is(e.Err, ErrShutdown) {
		c.change(Reconnecting, e.Err.Error(), Waiting, Recording, Paused, Reconnecting, Interrupted)
	}
}

func (c *Capture) heard() {
	if c.settings.Load().whole() == nil {
		c.change(Recording, "", Waiting)
	}
}

// agree brings state and settings together where a change crossed another.
func (c *Capture) agree() {
	if p := c.settings.Load().whole(); p != nil {
		c.change(Paused, p.Reason, Recording, Waiting)
	} else {
		c.change(c.present(), "", Paused)
	}
}
