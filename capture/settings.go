package capture

import (
	"maps"
	"slices"
	"time"

	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/storage"
)

// settings is what can be changed of a capture while it runs. A value never
// changes: a change makes a new one. A control record carries the whole of it,
// so the newest record alone says how things stand.
type settings struct {
	Revision  int               `json:"revision"` // counts the changes
	Mix       MixSpec           `json:"mix"`
	Record    []RecordSpec      `json:"record,omitempty"`
	Republish []RepublishSpec   `json:"republish,omitempty"`
	Limits    LimitSpec         `json:"limits"`
	Labels    map[string]string `json:"labels,omitempty"`
	Tone      ToneSpec          `json:"tone"`
	Pauses    []Pause           `json:"pauses,omitempty"`
	Retired   []RecordSpec      `json:"retired,omitempty"` // outputs that were removed
}

func settingsOf(s Spec) *settings {
	return &settings{Mix: s.Mix, Record: s.Record, Republish: s.Republish, Limits: s.Limits, Labels: s.Labels, Tone: s.Tone}
}

// over is a spec with these settings in it.
func (s *settings) over(spec Spec) Spec {
	spec.Mix, spec.Record, spec.Republish = s.Mix, s.Record, s.Republish
	spec.Limits, spec.Labels, spec.Tone = s.Limits, s.Labels, s.Tone
	return spec
}

// with is a copy with another spec in it. Outputs that it has not are retired.
func (s *settings) with(spec Spec) *settings {
	n := settingsOf(spec)
	n.Revision, n.Retired = s.Revision, slices.Clip(s.Retired)
	for _, r := range s.Record {
		if !slices.ContainsFunc(n.Record, func(o RecordSpec) bool { return o.ID == r.ID }) {
			n.Retired = append(n.Retired, r)
		}
	}
	for _, p := range s.Pauses {
		if p.Output == "" || n.hasOutput(p.Output) {
			n.Pauses = append(n.Pauses, p)
		}
	}
	return n
}

// withPauses is a copy with other pauses.
func (s *settings) withPauses(p []Pause) *settings {
	n := *s
	n.Pauses = p
	return &n
}

// hasOutput says whether a pause can name id as its output.
func (s *settings) hasOutput(id string) bool {
	return id == ListenersOutput ||
		slices.ContainsFunc(s.Record, func(r RecordSpec) bool { return r.ID == id }) ||
		slices.ContainsFunc(s.Republish, func(r RepublishSpec) bool { return r.StreamID == id })
}

// paused says that a stream is heard nowhere: the capture, its user or the
// stream itself is paused.
func (s *settings) paused(st joiner.Stream) bool {
	return slices.ContainsFunc(s.Pauses, func(p Pause) bool { return p.Output == "" && p.Scope.names(st) })
}

// pause is the pause of a scope, or nil.
func (s *settings) pause(sc Scope) *Pause {
	if i := slices.IndexFunc(s.Pauses, func(p Pause) bool { return p.Scope == sc }); i >= 0 {
		return &s.Pauses[i]
	}
	return nil
}

// excluded says that a stream takes no part.
func (s *settings) excluded(st joiner.Stream) bool {
	return !s.Mix.wants(st.ID, st.User.ID, IsMix(st.ExtraInfo))
}

// deaf says that no output of the recording hears anything: each is paused.
func (s *settings) deaf() bool {
	return len(s.Record) > 0 && !slices.ContainsFunc(s.Record, func(r RecordSpec) bool { return s.pause(Scope{Output: r.ID}) == nil })
}

// recorded says that a stream's packets may go into the journal.
func (s *settings) recorded(st joiner.Stream) bool {
	return !s.paused(st) && !s.excluded(st) && !s.deaf()
}

// heard says that a stream's packets may go into the live mix.
func (s *settings) heard(st joiner.Stream) bool { return !s.paused(st) && !s.excluded(st) }

// toned says that the tone of a pause sounds in the mixes.
func (s *settings) toned() bool {
	return slices.ContainsFunc(s.Pauses, func(p Pause) bool { return p.Output == "" && p.Mode == PauseTone })
}

// output is how a mix is paused as a whole; empty if it is not. What pauses
// every speaker leaves nothing to be done here, but for the time.
func (s *settings) output(id string) PauseMode {
	whole, own := s.pause(Scope{}), s.pause(Scope{Output: id})
	switch {
	case whole != nil && whole.Mode == PauseSkip:
		return PauseSkip
	case own != nil:
		return own.Mode
	}
	return ""
}

// own is how a stream's own file is paused. What pauses the stream itself, and
// does not skip, leaves nothing to be done here: its packets do not come.
func (s *settings) own(id string, st joiner.Stream) PauseMode {
	for _, p := range s.Pauses {
		if p.Mode == PauseSkip && (p.Output == id || p.Output == "" && p.Scope.names(st)) {
			return PauseSkip
		}
	}
	if s.pause(Scope{Output: id}) != nil {
		return PauseSilence
	}
	return ""
}

// reason is why an output skips.
func (s *settings) reason(id string) string {
	for _, p := range s.Pauses {
		if p.Mode == PauseSkip && (p.Output == "" || p.Output == id) {
			return "paused: " + p.Reason
		}
	}
	return "paused"
}

// fade sets an input of a mixer as the settings want it. A stream that has not
// come yet, though its input is there, changes at once, and neither it nor one
// that is excluded singles anybody out.
func (s *settings) fade(m *mixer.Mixer, input string, st joiner.Stream, there bool) {
	var over time.Duration
	if there {
		over = time.Duration(s.Mix.RampMS) * time.Millisecond
	}
	m.Fade(input, s.Mix.gain(st.ID, st.User.ID), over)
	m.SetMute(input, s.Mix.muted(st))
	m.SetSolo(input, there && names(s.Mix.Solo, st) && !s.excluded(st))
}

// names says whether a list names a stream or its user.
func names(list []string, st joiner.Stream) bool {
	return slices.Contains(list, st.ID) || slices.Contains(list, st.User.ID)
}

func (m MixSpec) muted(st joiner.Stream) bool { return names(m.Mute, st) }

// laid is a recorded mix with another laid over it, for mixing again: gains of
// the other's instead of the recorded ones, and its lists besides them.
func (m MixSpec) laid(over MixSpec) MixSpec {
	m.Gains = maps.Clone(m.Gains)
	if m.Gains == nil {
		m.Gains = map[string]float64{}
	}
	maps.Copy(m.Gains, over.Gains)
	if len(over.Include) > 0 {
		m.Include = over.Include
	}
	m.Exclude = slices.Concat(m.Exclude, over.Exclude)
	m.Mute = slices.Concat(m.Mute, over.Mute)
	m.Solo = slices.Concat(m.Solo, over.Solo)
	return m
}

// PauseMode is what is heard instead of what is paused.
type PauseMode string

// The modes of a pause.
const (
	PauseSilence PauseMode = "silence" // time goes on
	PauseSkip    PauseMode = "skip"    // no time passes in the files; a gap is declared
	PauseTone    PauseMode = "tone"    // a soft tone now and then; in a stream's own file silence
)

// ListenersOutput names the live listeners as the output of a pause.
const ListenersOutput = "listeners"

// Scope is what is paused: all, or what one of its fields names.
type Scope struct {
	UserID   string `json:"userID,omitempty" doc:"Only this user's streams."`
	StreamID string `json:"streamID,omitempty" doc:"Only this stream."`
	Output   string `json:"output,omitempty" doc:"Only this output: the id of a record entry, the streamID of a republish entry, or listeners."`
}

func (s Scope) names(st joiner.Stream) bool {
	return s.UserID == "" && s.StreamID == "" || s.UserID != "" && s.UserID == st.User.ID || s.StreamID != "" && s.StreamID == st.ID
}

func (s Scope) single() bool {
	n := 0
	for _, f := range []string{s.UserID, s.StreamID, s.Output} {
		if f != "" {
			n++
		}
	}
	return n <= 1
}

// Pause is one pause that lasts.
type Pause struct {
	Scope
	Mode       PauseMode     `json:"mode"`
	Reason     string        `json:"reason,omitempty"`
	Actor      string        `json:"actor" doc:"Whose API key paused."`
	Since      storage.Time  `json:"since"`
	Until      *storage.Time `json:"until" doc:"When it ends by itself; null if it does not."`
	MaxSeconds int           `json:"maxSeconds,omitempty"`
}
