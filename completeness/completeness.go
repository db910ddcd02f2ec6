// Package completeness answers the question of an audit: of everything that
// was said in the rooms, what was recorded, and why was the rest not?
//
// It stands beside the straight line. A [History] hears who publishes what in
// which room, whether anybody records it or not, and keeps that on disk;
// [Make] holds it against the recordings. Package api serves the report. It
// promises that every second of every stream that the room service knew is
// either named as recorded or as missing, with a reason. What no room service
// told of is not in it.
package completeness

import (
	"cmp"
	"slices"
	"time"

	"mixdown/storage"
)

// Stay is a stream in the air, from its publication to its end.
type Stay struct {
	System   string
	RoomID   string
	UserID   string
	StreamID string
	From     time.Time
	To       time.Time // zero while it goes on
}

// Recording is what is known of one recording.
type Recording struct {
	ID      string
	System  string
	RoomID  string
	Streams []RecordedStream
}

// RecordedStream is a stream as a recording has it.
type RecordedStream struct {
	UserID   string
	StreamID string
	Stays    []storage.Presence // in the room while the capture ran; Leave is nil while it goes on
	Until    time.Time          // how far the recording reaches
	Ledger   storage.Ledger     // over all stays
}

// Report says what is complete between two instants.
type Report struct {
	From     storage.Time `json:"from"`
	To       storage.Time `json:"to"`
	Sessions []Session    `json:"sessions" doc:"By room and time: as long as a room had streams."`
	Totals   Totals       `json:"totals"`
}

// Totals add up a report. Seconds are of streams: two who talk for a minute
// are 120.
type Totals struct {
	Sessions    int     `json:"sessions"`
	Complete    int     `json:"complete" doc:"Sessions of which nothing is missing."`
	Partly      int     `json:"partly"`
	Unrecorded  int     `json:"unrecorded"`
	Seconds     float64 `json:"seconds"`
	Recorded    float64 `json:"recordedSeconds"`
	Missing     float64 `json:"missingSeconds" doc:"Seconds that no recording covers."`
	LostSeconds float64 `json:"lostSeconds" doc:"Seconds that recordings cover but could not receive: lost on the way or while the recorder was down."`
}

// Session is a room from its first stream to its last.
type Session struct {
	System   string       `json:"system"`
	RoomID   string       `json:"roomID"`
	From     storage.Time `json:"from"`
	To       storage.Time `json:"to"`
	Open     bool         `json:"open" doc:"It still goes on."`
	Verdict  string       `json:"verdict" enum:"complete,partly,unrecorded"`
	Seconds  float64      `json:"seconds"`
	Recorded float64      `json:"recordedSeconds"`
	Streams  []Stream     `json:"streams"`
}

// Stream is one stay of a stream in a session.
type Stream struct {
	UserID     string           `json:"userID"`
	StreamID   string           `json:"streamID"`
	From       storage.Time     `json:"from"`
	To         storage.Time     `json:"to"`
	Seconds    float64          `json:"seconds"`
	Recorded   float64          `json:"recordedSeconds"`
	Recordings []string         `json:"recordings"`
	Missing    []Missing        `json:"missing"`
	Ledger     map[string]int64 `json:"ledger,omitempty" doc:"Of what was recorded, milliseconds that are not simply received, by class; over all stays of the stream in these recordings."`
}

// Missing is a span that no recording covers.
type Missing struct {
	From    storage.Time `json:"from"`
	To      storage.Time `json:"to"`
	Seconds float64      `json:"seconds"`
	Why     string       `json:"why"`
}

// tolerance is what is not counted as missing at the ends of a stay: the room
// service and the recorder do not look at one clock at one instant.
const tolerance = 250 * time.Millisecond

// Make holds stays against recordings. why explains a span of a room that
// nobody recorded.
func Make(from, to time.Time, stays []Stay, recordings []Recording, now time.Time, why func(system, roomID string, at time.Time) string) Report {
	r := Report{From: storage.At(from), To: storage.At(to), Sessions: []Session{}}
	stays = slices.Clone(stays)
	slices.SortFunc(stays, func(a, b Stay) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.RoomID, b.RoomID), a.From.Compare(b.From), cmp.Compare(a.StreamID, b.StreamID))
	})
	end := now
	if to.Before(end) {
		end = to
	}
	var s *Session
	for _, stay := range stays {
		open := stay.To.IsZero() || stay.To.After(end)
		if open {
			stay.To = end
		}
		if stay.From.Before(from) {
			stay.From = from
		}
		if !stay.From.Before(stay.To) {
			continue
		}
		if s == nil || s.System != stay.System || s.RoomID != stay.RoomID || stay.From.After(s.To.Time) {
			r.Sessions = append(r.Sessions, Session{System: stay.System, RoomID: stay.RoomID, From: storage.At(stay.From), To: storage.At(stay.To)})
			s = &r.Sessions[len(r.Sessions)-1]
		}
		s.To.Time = later(s.To.Time, storage.At(stay.To).Time)
		s.Open = s.Open || open && end.Equal(now)
		s.Streams = append(s.Streams, judge(stay, recordings, now, why))
	}
	for i := range r.Sessions {
		r.Sessions[i].sum(&r.Totals)
	}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// span is a half-open stretch of time.
type span struct{ from, to time.Time }

// judge finds what of a stay is recorded.
func judge(stay Stay, recordings []Recording, now time.Time, why func(system, roomID string, at time.Time) string) Stream {
	out := Stream{
		UserID: stay.UserID, StreamID: stay.StreamID, From: storage.At(stay.From), To: storage.At(stay.To),
		Seconds: stay.To.Sub(stay.From).Seconds(), Recordings: []string{}, Missing: []Missing{},
	}
	var covered []span
	for _, rec := range recordings {
		if rec.System != stay.System || rec.RoomID != stay.RoomID {
			continue
		}
		for _, rs := range rec.Streams {
			if rs.UserID != stay.UserID || rs.StreamID != stay.StreamID {
				continue
			}
			if spans := rs.within(stay, now); len(spans) > 0 {
				covered = append(covered, spans...)
				out.Recordings = append(out.Recordings, rec.ID)
				out.account(rs.Ledger)
			}
		}
	}
	slices.SortFunc(covered, func(a, b span) int { return a.from.Compare(b.from) })
	at := stay.From
	miss := func(to time.Time) {
		if to.Sub(at) > tolerance {
			out.Missing = append(out.Missing, Missing{
				From: storage.At(at), To: storage.At(to), Seconds: to.Sub(at).Seconds(),
				Why: why(stay.System, stay.RoomID, at.Add(to.Sub(at)/2)),
			})
		}
	}
	for _, c := range covered {
		if c.from.After(at) {
			miss(c.from)
		}
		at = later(at, c.to)
	}
	if stay.To.After(at) {
		miss(stay.To)
	}
	out.Recorded = out.Seconds
	for _, m := range out.Missing {
		out.Recorded -= m.Seconds
	}
	return out
}

// within are the parts of a stay that the recording has. A stream that still
// goes on is as far recorded as the recording reaches, which is some seconds
// behind: what is on its way is not missing.
func (rs RecordedStream) within(stay Stay, now time.Time) (spans []span) {
	for _, p := range rs.Stays {
		s := span{p.Join.Time, now}
		if p.Leave != nil {
			s.to = p.Leave.Time
		} else if now.Sub(rs.Until) > 15*time.Second {
			s.to = rs.Until
		}
		if s.from.Before(stay.From) {
			s.from = stay.From
		}
		if s.to.After(stay.To) {
			s.to = stay.To
		}
		if s.from.Before(s.to) {
			spans = append(spans, s)
		}
	}
	return spans
}

// account adds what a ledger has besides received.
func (s *Stream) account(l storage.Ledger) {
	for class, ms := range l {
		if ms == 0 || class == "received" || class == "span" {
			continue
		}
		if s.Ledger == nil {
			s.Ledger = map[string]int64{}
		}
		s.Ledger[class] += ms
	}
}

func (s *Session) sum(t *Totals) {
	missing := false
	lost := map[string]int64{} // a stream that came back shows its recording's ledger at each stay
	for _, st := range s.Streams {
		s.Seconds += st.Seconds
		s.Recorded += st.Recorded
		missing = missing || len(st.Missing) > 0
		lost[st.UserID+"/"+st.StreamID] = max(lost[st.UserID+"/"+st.StreamID], st.Ledger["lost"]+st.Ledger["recorderDown"])
	}
	t.Sessions++
	switch {
	case !missing:
		s.Verdict = "complete"
		t.Complete++
	case s.Recorded > 0:
		s.Verdict = "partly"
		t.Partly++
	default:
		s.Verdict = "unrecorded"
		t.Unrecorded++
	}
	t.Seconds += s.Seconds
	t.Recorded += s.Recorded
	t.Missing += s.Seconds - s.Recorded
	for _, ms := range lost {
		t.LostSeconds += float64(ms) / 1000
	}
}
