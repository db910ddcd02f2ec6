package capture

import (
	"encoding/json"
	"slices"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// turn is a change of the settings on the deep path: it takes effect at the
// first whole frame after the one in which it came, some seconds before that
// frame is rendered. So a pause can let the sound fade before it begins.
type turn struct {
	Frame   int64   `json:"frame"`
	Control control `json:"control"`
}

// control takes a change from its record.
func (t *timeline) control(at time.Duration, data []byte) {
	var c control
	if json.Unmarshal(data, &c) != nil || c.Settings.Revision <= t.told.Revision {
		return
	}
	frame := max(frameAt(at)+1, t.frame)
	t.controlled = time.Duration(frame) * pcm.FrameTime
	t.told = c.Settings
	t.turns = append(t.turns, turn{frame, c})
	t.account(t.controlled)
	t.events.control(t.controlled, c)
}

// account tells every stream why what is missing from capture time at on is
// missing.
func (t *timeline) account(at time.Duration) {
	for _, s := range t.streams {
		if !s.done {
			s.deep.Cause(at, t.class(s))
		}
	}
}

// class is why a stream may be missing, after all records so far.
func (t *timeline) class(s *stream) playout.Class {
	now, st := &t.told, s.rec.Stream
	switch {
	case now.paused(st) || now.deaf():
		return playout.Paused
	case now.excluded(st):
		return playout.Excluded
	case !t.linked:
		return playout.Down
	case now.Mix.muted(st):
		return playout.Muted
	}
	return playout.Received
}

// at is what is in force at a frame that is not far behind the present one.
func (t *timeline) at(frame int64) *settings {
	now := &t.base
	for i := range t.turns {
		if t.turns[i].Frame > frame {
			break
		}
		now = &t.turns[i].Control.Settings
	}
	return now
}

// turn lets changes take effect that are due at the frame that is next.
func (t *timeline) turn() {
	for len(t.turns) > 0 && t.turns[0].Frame < t.frame-2 {
		t.base = t.turns[0].Control.Settings
		t.turns = slices.Delete(t.turns, 0, 1)
	}
	if !slices.ContainsFunc(t.turns, func(c turn) bool { return c.Frame == t.frame }) {
		t.welcome()
		return
	}
	before, now := t.at(t.frame-1), t.at(t.frame)
	t.endOutputs(before, now)
	t.beginOutputs(before, now)
	if t.mix != nil {
		for _, s := range t.streams {
			if !s.done {
				now.fade(t.mix, s.id, s.rec.Stream, s.joinFrame() <= t.frame)
			}
		}
		now.beep(t.mix, before, t.frame)
	}
	for _, s := range t.stems {
		t.fail(s.turn(t.frame))
	}
	t.skipAway(now)
}

// welcome lets the streams count that come with the present frame.
func (t *timeline) welcome() {
	for _, s := range t.streams {
		if t.mix != nil && !s.done && s.joinFrame() == t.frame {
			t.at(t.frame).fade(t.mix, s.id, s.rec.Stream, true)
		}
	}
}

// endOutputs closes the outputs that were removed.
func (t *timeline) endOutputs(before, now *settings) {
	for _, old := range before.plans("mix", "dual", "streams") {
		if slices.ContainsFunc(now.Record, func(r RecordSpec) bool { return r.ID == old.ID }) {
			continue
		}
		t.mixes = slices.DeleteFunc(t.mixes, func(m *mixOutput) bool {
			if m.plan.ID != old.ID {
				return false
			}
			m.remove()
			t.fail(m.close())
			return true
		})
		for _, s := range t.stems {
			t.fail(s.drop(old.ID, t.frame*pcm.FrameSize))
		}
		for _, p := range t.archive.outputs {
			if recordID(p.output) == old.ID {
				t.fail(t.archive.retire(p))
			}
		}
	}
	if len(t.mixes) == 0 {
		t.mix = nil
	}
}

// beginOutputs opens the outputs that were added.
func (t *timeline) beginOutputs(before, now *settings) {
	had := t.mix != nil
	for _, o := range now.plans("mix", "dual", "streams") {
		if slices.ContainsFunc(before.Record, func(r RecordSpec) bool { return r.ID == o.ID }) {
			continue
		}
		if o.What != "streams" {
			t.fail(t.openMix(o))
			continue
		}
		for _, s := range t.stems {
			t.fail(s.open(o))
		}
	}
	if t.mix != nil && !had {
		for _, s := range t.streams {
			if !s.done {
				t.play(s)
			}
		}
	}
}

// skipAway lets a pause that skips pass for the files of streams that are not
// there: they have no stems.
func (t *timeline) skipAway(now *settings) {
	for _, p := range t.archive.outputs {
		if p.output.What != "streams" || t.stems[streamKey(p.output.UserID, p.output.StreamID)] != nil {
			continue
		}
		id, st := recordID(p.output), joiner.Stream{ID: p.output.StreamID, User: joiner.User{ID: p.output.UserID}}
		at := t.frame * pcm.FrameSize
		if now.own(id, st) == PauseSkip {
			t.fail(t.archive.pause(p, at, now.reason(id)))
		} else {
			t.fail(t.archive.resume(p, at))
		}
	}
}
