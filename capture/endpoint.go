package capture

import (
	"fmt"
	"maps"
	"slices"

	"mixdown/joiner"
)

// whep is the system whose rooms are lists of addresses.
const whep = "whep"

// StreamSpec is one stream of a room that is a list of addresses.
type StreamSpec struct {
	StreamID string `json:"streamID" doc:"Names the stream, and its user, in this capture." example:"camera-1"`
	URL      string `json:"url" doc:"Its WHEP endpoint. It is shown: put secrets into token." example:"https://media.example.org/camera-1/whep"`
	Token    string `json:"token,omitempty" doc:"Bearer token. Never shown again."`
}

// check checks what is particular to a system.
func (r RoomSpec) check(env *Config, add func(field, format string, args ...any)) {
	if r.System != whep {
		if len(r.Streams) > 0 {
			add("room.streams", "is for system whep only; in other rooms the streams come by themselves")
		}
		if _, err := env.URL(r); err != nil {
			add("room.url", "%v", err)
		}
		return
	}
	if r.URL != "" || r.Token != "" {
		add("room.url", "and room.token mean nothing to system whep; each of room.streams has its own")
	}
	if len(r.Streams) == 0 || len(r.Streams) > 1000 {
		add("room.streams", "needs 1 to 1000 streams, each with streamID and url")
	}
	seen := map[string]bool{}
	for i, s := range r.Streams {
		at := fmt.Sprintf("room.streams[%d].", i)
		if !streamIDRule.MatchString(s.StreamID) {
			add(at+"streamID", "needs 1 to 256 of 0-9 A-Z a-z _ -")
		}
		if seen[s.StreamID] {
			add(at+"streamID", "%q is there twice", s.StreamID)
		}
		seen[s.StreamID] = true
		if err := env.checkURL(s.URL); err != nil {
			add(at+"url", "%v", err)
		}
	}
}

// checkTarget checks where a republished mix goes.
func (s Spec) checkTarget(at string, r RepublishSpec, env *Config, add func(field, format string, args ...any)) {
	switch {
	case r.WHIP == "" && r.Token != "":
		add(at+"token", "is for whip; in the room the recorder's own token counts")
	case r.WHIP == "" && s.Room.System == whep:
		add(at+"whip", "is needed: in a room of system whep nothing can be published")
	case r.WHIP != "" && env.Push == nil:
		add(at+"whip", "is not possible here")
	case r.WHIP != "":
		if err := env.checkURL(r.WHIP); err != nil {
			add(at+"whip", "%v", err)
		}
	}
}

func (config *Config) checkURL(url string) error {
	if config.CheckURL == nil {
		return nil
	}
	return config.CheckURL(url)
}

// same says whether two specs name the same room.
func (r RoomSpec) same(o RoomSpec) bool {
	return r.System == o.System && r.URL == o.URL && r.RoomID == o.RoomID && r.Token == o.Token && slices.Equal(r.Streams, o.Streams)
}

func (r RoomSpec) endpoints() (all []joiner.Endpoint) {
	for _, s := range r.Streams {
		all = append(all, joiner.Endpoint(s))
	}
	return all
}

// nameTargets gives every entry that goes elsewhere a name: whip, whip-2, …
func nameTargets(entries []RepublishSpec) {
	taken := func(name string) bool {
		return slices.ContainsFunc(entries, func(r RepublishSpec) bool { return r.StreamID == name })
	}
	for i := range entries {
		if entries[i].StreamID != "" || entries[i].WHIP == "" {
			continue
		}
		name := "whip"
		for n := 2; taken(name); n++ {
			name = fmt.Sprintf("whip-%d", n)
		}
		entries[i].StreamID = name
	}
}

// AbsentStream is a stream that was asked for and is not there.
type AbsentStream struct {
	StreamID string `json:"streamID"`
	Reason   string `json:"reason" doc:"What its server said last."`
}

// missing lists the streams that are not there.
func (r *room) missing() (all []AbsentStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(r.absent)) {
		all = append(all, AbsentStream{id, r.absent[id]})
	}
	return all
}

// RepublishStatus is how a stream that carries the mix fares.
type RepublishStatus struct {
	StreamID  string `json:"streamID"`
	WHIP      string `json:"whip,omitempty" doc:"Where it goes, if not into the room."`
	Published bool   `json:"published" doc:"Media flows. While it does not, it is tried again for as long as the capture runs."`
	Error     string `json:"error,omitempty" doc:"Why not."`
	Sent      uint64 `json:"sentPackets"`
	Dropped   uint64 `json:"droppedPackets" doc:"For want of a connection."`
}

func (r *relay) status() RepublishStatus {
	now := r.pub.Stats()
	s := RepublishStatus{StreamID: r.spec.StreamID, WHIP: r.spec.WHIP, Published: now.Published, Sent: now.Sent, Dropped: now.Dropped}
	if now.Err != nil {
		s.Error = now.Err.Error()
	}
	return s
}

// tellRepublished tells when a republished mix is lost, with why, and when it is
// there again.
func (c *Capture) tellRepublished() {
	lost := map[string]bool{}
	for _, r := range c.live.status().Republished {
		was := c.mixesLost[r.StreamID]
		switch {
		case !r.Published && was:
			lost[r.StreamID] = true
		case !r.Published && r.Error != "":
			lost[r.StreamID] = true
			c.tell("republish.lost", map[string]any{"streamID": r.StreamID, "error": r.Error})
		case r.Published && was:
			c.tell("republish.restored", map[string]any{"streamID": r.StreamID})
		}
	}
	c.mixesLost = lost
}

const redactedToken = "***"

// Redacted is the spec without its secrets.
func (s Spec) Redacted() Spec {
	s.Room.Streams, s.Republish = slices.Clone(s.Room.Streams), slices.Clone(s.Republish)
	for _, token := range s.tokens() {
		if *token != "" {
			*token = redactedToken
		}
	}
	return s
}

// redacted is a copy for the recording, which others may read.
func (s settings) redacted() *settings {
	s.Republish = Spec{Republish: s.Republish}.Redacted().Republish
	return &s
}

// tokens are the spec's secrets.
func (s *Spec) tokens() []*string {
	all := []*string{&s.Room.Token}
	for i := range s.Room.Streams {
		all = append(all, &s.Room.Streams[i].Token)
	}
	for i := range s.Republish {
		all = append(all, &s.Republish[i].Token)
	}
	return all
}

// Unredact gives tokens that are as they were shown their values again. A
// token is only its own address's.
func (s *Spec) Unredact(before Spec) {
	restore := func(now *string, was string) {
		if *now == redactedToken {
			*now = was
		}
	}
	if s.Room.URL == before.Room.URL && s.Room.System == before.Room.System {
		restore(&s.Room.Token, before.Room.Token)
	}
	for i := range s.Room.Streams {
		now := &s.Room.Streams[i]
		for _, was := range before.Room.Streams {
			if was.URL == now.URL && was.StreamID == now.StreamID {
				restore(&now.Token, was.Token)
			}
		}
	}
	for i := range s.Republish {
		now := &s.Republish[i]
		for _, was := range before.Republish {
			if was.WHIP == now.WHIP && now.WHIP != "" {
				restore(&now.Token, was.Token)
			}
		}
	}
}
