package capture

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/mixer/playout"
)

// room is the joiner.Room of a capture: it turns what happens into records
// and decides nothing else.
type room struct {
	c *Capture

	mu       sync.Mutex
	next     uint32 // number of the next new stream
	active   map[string]*receiver
	declined map[string]joiner.Stream
	absent   map[string]string // streams that were asked for and are not there: why

	heard atomic.Bool // a packet has come
}

// streamRecord is the data of a kindStream record.
type streamRecord struct {
	Stream    joiner.Stream `json:"stream"`
	Published bool          `json:"published,omitempty"` // by a capture
}

// userRecord is the data of kindUser and kindUserEnd records.
type userRecord struct {
	User joiner.User `json:"user"`
}

// Event implements joiner.Room.
func (r *room) Event(e joiner.Event) {
	at := r.c.clock.now()
	switch e := e.(type) {
	case joiner.StateChanged:
		r.state(e, at)
	case joiner.UserAdded:
		r.c.inbox.event(kindUser, 0, at, userRecord{e.User})
	case joiner.UserRemoved:
		r.c.inbox.event(kindUserEnd, 0, at, userRecord{e.User})
	case joiner.SoundLevels:
		r.levels(e.Levels, at)
	case joiner.StreamAbsent:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.absent[e.StreamID] = e.Reason
	case joiner.StreamRemoved:
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.declined, e.StreamID)
		r.remove(e.StreamID, e.Reason, at)
	}
}

func (r *room) state(e joiner.StateChanged, at time.Duration) {
	up := e.State == joiner.Connected
	switch {
	case up:
		r.c.inbox.event(kindLink, 0, at, json.RawMessage(linkUp))
	case e.State == joiner.Connecting:
		r.c.inbox.event(kindLink, 0, at, json.RawMessage(linkDead))
	}
	r.mu.Lock()
	if !up {
		clear(r.declined) // they are offered again
		clear(r.absent)   // likewise
	}
	r.mu.Unlock()
	if up {
		r.c.joined()
	} else {
		r.c.reconnecting(e)
	}
}

// present is the number of streams that are heard now.
func (r *room) present() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.active)
}

func (r *room) remove(id, reason string, at time.Duration) {
	rec := r.active[id]
	if rec == nil {
		return
	}
	delete(r.active, id)
	r.c.inbox.event(kindStreamEnd, rec.num, at, reason)
	r.c.live.removeStream(rec)
}

// Stream implements joiner.Room: the same receiver for as long as the stream
// lives, whatever the number of logins in between.
func (r *room) Stream(s joiner.Stream) joiner.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.absent, s.ID)
	if rec := r.active[s.ID]; rec != nil {
		if rec.stream.User.ID == s.User.ID {
			return rec
		}
		r.remove(s.ID, "taken over", r.c.clock.now())
	}
	now := r.c.settings.Load()
	if now.excluded(s) {
		r.declined[s.ID] = s
		return nil
	}
	delete(r.declined, s.ID)
	at := r.c.clock.now()
	rec := &receiver{c: r.c, num: r.next, stream: s}
	rec.move(now, 0) // a pause that lasts was there before the first packet
	r.next++
	r.active[s.ID] = rec
	r.c.inbox.event(kindStream, rec.num, at, streamRecord{s, IsMix(s.ExtraInfo)})
	r.c.live.addStream(rec)
	return rec
}

// receiver takes the packets of one stream.
type receiver struct {
	c      *Capture
	num    uint32
	stream joiner.Stream
	ear    ear
	live   atomic.Pointer[playout.Live] // nil while nothing live is asked for

	recorded, heard gate // the inbox's
}

// move sets the gates as the settings want them, from capture time at on.
func (r *receiver) move(s *settings, at time.Duration) {
	r.recorded.move(!s.recorded(r.stream), at)
	r.heard.move(!s.heard(r.stream), at)
}

// Packet implements joiner.Receiver.
func (r *receiver) Packet(p *rtp.Packet, level uint8, at time.Time) {
	defer r.c.guard("packet")
	q := playout.Packet{
		At:        r.c.clock.at(at),
		SSRC:      p.SSRC,
		Timestamp: p.Timestamp,
		Seq:       p.SequenceNumber,
		PT:        p.PayloadType,
		Level:     level,
		Payload:   p.Payload,
	}
	r.ear.hear(q.At, level)
	live := r.c.inbox.packet(r, &q)
	r.c.room.heard.Store(true)
	if l := r.live.Load(); l != nil && live {
		q.At = r.c.clock.now() // it could not be heard before
		l.Push(&q)
	}
}

// Report implements joiner.Receiver.
func (r *receiver) Report(s joiner.SenderReport, at time.Time) {
	defer r.c.guard("report")
	r.c.inbox.report(r.num, playout.Report{At: r.c.clock.at(at), SSRC: s.SSRC, RTP: s.RTP, NTP: s.NTP})
}
