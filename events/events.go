// Package events is what the daemon tells the world: one ordered log of what
// happened to captures, recordings, storages and rules.
//
// It stands beside the straight line: whoever notices something publishes it
// here and goes on; nobody in the audio's way waits for the log.
package events

// Event is something that happened, before the log has numbered it.
type Event struct {
	Type    string // as capture.recording, segment.sealed, spool.low
	Capture string // id of the capture it is about; "" if it is about none
	Room    string // of that capture
	Data    any    // becomes JSON before Publish returns, so it may change afterwards
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
