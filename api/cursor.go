package api

import (
	"strings"
	"time"

	"mixdown/capture"
)

// place is where a list of captures, the newest first, was broken off: behind
// one that may be gone by the time it goes on.
type place struct {
	start time.Time
	id    string
}

const placeTime = "20060102T150405.000Z"

func placeOf(st capture.Status) place { return place{st.Start.Time, st.ID} }

// String is the place as a cursor.
func (p place) String() string { return p.start.UTC().Format(placeTime) + "~" + p.id }

// parsePlace reads a cursor; "" is the beginning.
func parsePlace(cursor string) (p *place, ok bool) {
	if cursor == "" {
		return nil, true
	}
	at, id, found := strings.Cut(cursor, "~")
	start, err := time.Parse(placeTime, at)
	return &place{start, id}, found && err == nil
}

// before says that q was listed when the list was broken off at p.
func (p *place) before(q place) bool {
	if p == nil {
		return false
	}
	if c := q.start.Compare(p.start); c != 0 {
		return c > 0
	}
	return q.id >= p.id
}
