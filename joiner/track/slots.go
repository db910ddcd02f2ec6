package track

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
)

// Slots are those of a connection that plays many streams, by a name that the
// room system has for each, and what the server's offers said of where they
// come. The zero value is ready. It is safe for concurrent use.
type Slots struct {
	mu    sync.Mutex
	slots map[string]*Slot
	ssrcs map[uint32]string // names, of each offered track
	mids  map[string]string // likewise
}

// Set says where a stream's packets go.
func (s *Slots) Set(name string, r joiner.Receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[name] == nil {
		if s.slots == nil {
			s.slots = make(map[string]*Slot)
		}
		s.slots[name] = new(Slot)
	}
	s.slots[name].Set(r)
}

// End says that a stream is no more, as [Slot.End] does. Should it come back,
// perhaps by the same track, Set gives it a receiver again.
func (s *Slots) End(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.slots[name]; slot != nil {
		slot.End()
	}
}

// Learn notes which stream each media section of an offer carries, and each
// SSRC. name names the stream of a section, "" for none.
func (s *Slots) Learn(offer webrtc.SessionDescription, name func(mid string, m *sdp.MediaDescription) string) error {
	parsed, err := offer.Unmarshal()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mids == nil {
		s.mids, s.ssrcs = make(map[string]string), make(map[uint32]string)
	}
	for _, section := range parsed.MediaDescriptions {
		mid, _ := section.Attribute("mid")
		of := name(mid, section)
		if of == "" {
			continue
		}
		s.mids[mid] = of
		for _, a := range section.Attributes {
			if a.Key != "ssrc" {
				continue
			}
			number, _, _ := strings.Cut(a.Value, " ")
			ssrc, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("SSRC %q: %w", number, err)
			}
			s.ssrcs[uint32(ssrc)] = of
		}
	}
	return nil
}

// Name is that of the stream in a media section, "" if there is none.
func (s *Slots) Name(mid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mids[mid]
}

// Find finds a track's slot. known says that an offer told of the track; it has
// no slot nevertheless if its stream has ended meanwhile.
func (s *Slots) Find(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) (slot *Slot, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.ssrcs[uint32(t.SSRC())]
	if !ok {
		name, ok = s.mids[r.RTPTransceiver().Mid()]
	}
	return s.slots[name], ok
}

// Clear takes the receivers away: they get nothing more.
func (s *Slots) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.slots {
		slot.Set(nil)
	}
}
