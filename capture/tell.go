package capture

import (
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// told is the data of every event about a capture.
type told struct {
	Capture Status         `json:"capture"`
	Details map[string]any `json:"details,omitempty"`
}

// tell publishes an event about this capture; it carries the whole of it.
func (c *Capture) tell(kind string, details map[string]any) {
	c.env.Events.Publish(events.Event{Type: kind, Capture: c.id, Room: c.spec.Room.RoomID, Data: told{c.Status(), details}})
}

// tellSegment tells that a segment is sealed, with the head of the chain by
// then: whoever keeps it finds out if the recording's end is cut off later.
func (c *Capture) tellSegment(s storage.Segment) {
	c.tell("segment.sealed", map[string]any{
		"path": s.Path, "output": s.Output, "index": s.Index, "start": s.Start, "startSample": s.StartSample,
		"samples": s.Samples, "bytes": s.Bytes, "sha256": s.SHA256, "head": s.Chain,
		"seal": storage.SealMark{At: storage.At(time.Now()), Head: s.Chain},
	})
}

// tellSealed tells that the recording is sealed.
func (c *Capture) tellSealed() {
	seal := c.Status().Sealed
	if seal == nil {
		return // nothing was recorded
	}
	c.tell("recording.sealed", map[string]any{"base": c.Base(), "head": seal.Head, "seal": seal})
}
