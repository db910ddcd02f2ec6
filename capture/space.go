package capture

import (
	"errors"
	"slices"

	"mixdown/storage"
)

// spaceActor is who pauses outputs that there is no room for on the disk.
const spaceActor = "mixdown.space"

// Why an output rests while the disk is nearly full.
const (
	spaceMixOnly = "less than 5 % of the disk is free: only the mix is recorded"
	spaceNone    = "less than 1 % of the disk is free: nothing is recorded"
)

// roomFor says why there is no room for one of the outputs; "" if there is. Where
// no mix is recorded the streams' own files are all there is, and go on as one
// would.
func roomFor(level storage.SpaceLevel, r RecordSpec, all []RecordSpec) string {
	mixed := slices.ContainsFunc(all, func(o RecordSpec) bool { return o.What != "streams" })
	switch {
	case level >= storage.SpaceNone:
		return spaceNone
	case level >= storage.SpaceMixOnly && r.What == "streams" && mixed:
		return spaceMixOnly
	}
	return ""
}

// followSpace pauses the outputs that there is no room for, and resumes them
// when there is. They skip: what is not written takes no room, the gap is
// declared in the manifest, and the live mix goes on. It is a pause like any
// other, so it is in the journal, the events and the status; one that somebody
// else asked for is theirs.
func (c *Capture) followSpace() {
	if c.env.Space == nil {
		return
	}
	level, now := c.env.Space(), c.settings.Load()
	for _, r := range now.Record {
		scope := Scope{Output: r.ID}
		reason, p := roomFor(level, r, now.Record), now.pause(scope)
		var err error
		switch {
		case reason != "" && p == nil:
			err = c.pauseIf(PauseRequest{Scope: scope, Mode: PauseSkip, Reason: reason}, spaceActor, func(old *Pause) bool { return old == nil })
		case reason == "" && p != nil && p.Actor == spaceActor:
			err = c.resumeIf(scope, spaceActor, "there is room on the disk again", func(p *Pause) bool { return p.Actor == spaceActor })
		}
		if err != nil && !errors.Is(err, ErrNotRunning) {
			c.log.Error("an output cannot follow the room on the disk", "output", r.ID, "err", err)
		}
	}
}

// whole is the pause for which a capture is paused as a whole: one that was
// asked for, or the want of room for any output.
func (s *settings) whole() *Pause {
	if p := s.pause(Scope{}); p != nil || !s.deaf() {
		return p
	}
	for i := range s.Pauses {
		if s.Pauses[i].Actor == spaceActor {
			return &s.Pauses[i]
		}
	}
	return nil
}

// full says what the want of room on the disk does to the capture.
func (s *settings) full() (all []string) {
	for _, p := range s.Pauses {
		if p.Actor == spaceActor && !slices.Contains(all, p.Reason) {
			all = append(all, p.Reason)
		}
	}
	return all
}
