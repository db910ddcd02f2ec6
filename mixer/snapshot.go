package mixer

import (
	"encoding/json"
	"fmt"
)

// snapshot is what a mixer has learned about its inputs.
type snapshot struct {
	Frame    int64
	Inputs   map[string]heard
	Spurts   []Spurt
	Dominant string
	Rival    string
	Lead     int
}

// heard is what it has learned about one of them.
type heard struct {
	Talk  talk
	Level *leveller `json:",omitempty"`
	Fader *course   `json:",omitempty"`
}

// Snapshot is what the mixer has learned about its inputs, for a checkpoint:
// who talks since when, what was not yet asked for by Spurts, and how far each
// speaker is levelled. A mixer that restores it goes on with the same frame
// number, the same talk spurts, the same levelling and the gains where they
// were. Faders and outputs are not in it: they are their owner's to set
// again, before the inputs are added; nor is the limiter, which soon
// forgets anyway.
func (m *Mixer) Snapshot() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := snapshot{Frame: m.frame, Inputs: map[string]heard{}, Spurts: m.spurts, Lead: m.lead}
	for id, h := range m.restored {
		s.Inputs[id] = h
	}
	for _, in := range m.inputs {
		c := in.way
		s.Inputs[in.id] = heard{Talk: in.talk, Level: in.level, Fader: &c}
	}
	s.Dominant, s.Rival = m.nameOf(m.dominant, m.awaited.dominant), m.nameOf(m.rival, m.awaited.rival)
	if m.rival == nil && s.Rival != "" {
		s.Lead = m.awaited.lead
	}
	b, err := json.Marshal(&s)
	if err != nil {
		panic("mixer: snapshot: " + err.Error()) // numbers and names
	}
	return b
}

// nameOf is the name of an input, or of one that was restored and is not back.
func (m *Mixer) nameOf(in *input, awaited string) string {
	if in != nil {
		return in.id
	}
	if _, ok := m.restored[awaited]; ok {
		return awaited
	}
	return ""
}

// Restore brings a new mixer to where another was when it made a Snapshot.
// The inputs are added afterwards, under the same names.
func (m *Mixer) Restore(data []byte) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore mixer: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frame, m.restored, m.spurts = s.Frame, s.Inputs, s.Spurts
	m.awaited = awaited{s.Dominant, s.Rival, s.Lead}
	return nil
}

// awaited is who was dominant, and who was about to be, before a Restore.
type awaited struct {
	dominant, rival string
	lead            int
}

// recall gives an input that was just added what was learned about it before.
// known says that its gain is among that.
func (m *Mixer) recall(in *input) (known bool) {
	h, ok := m.restored[in.id]
	delete(m.restored, in.id)
	if h.Fader != nil {
		in.way, known = *h.Fader, true
	}
	if ok {
		in.talk = h.Talk
		if m.awaited.dominant == in.id {
			m.dominant = in
		}
		if m.awaited.rival == in.id {
			m.rival, m.lead = in, m.awaited.lead
		}
	}
	if m.config.Level != 0 {
		in.level = newLeveller(h.Level)
	}
	return known
}
