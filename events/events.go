// Package events is what the daemon tells the world: one ordered log of what
// happened to captures, recordings, storages and rules.
//
// It stands beside the straight line: whoever notices something publishes it
// here and goes on; nobody in the audio's way waits for the log. Package api
// shows the log, package events/webhook carries it to others.
package events

import "time"

// Event is something that happened, before the log has numbered it.
type Event struct {
	Type    string // as capture.recording, segment.sealed, spool.low
	Capture string // id of the capture it is about; "" if it is about none
	Room    string // of that capture
	Data    any    // becomes JSON before Publish returns, so it may change afterwards

	// Series and Number are for publishers that can tell something again after
	// a crash. The numbers of a series count a capture's events of one kind
	// from 1 without holes: its changes of state, its sealed segments. The log
	// remembers how far a series has come and ignores what it has already, so
	// that publishing again all that one knows loses nothing and doubles
	// nothing. An empty series is not numbered.
	Series string
	Number uint64
	At     time.Time // when it happened; zero is now
}

// Publisher takes events. Publish does not block on disk or network and is
// safe for concurrent use; events of one caller keep their order.
type Publisher interface {
	Publish(Event)
}

// Discard drops events.
var Discard Publisher = discard{}

type discard struct{}

func (discard) Publish(Event) {}
