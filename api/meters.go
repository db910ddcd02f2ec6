package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/access"
	"mixdown/capture"
)

const (
	// meterEvery is how often levels are told: as often as captures know better.
	meterEvery = 500 * time.Millisecond
	// figuresEvery is how many of those until ledgers and quality are.
	figuresEvery = 4
)

type metersInput struct {
	Capture []string `query:"capture,explode" required:"true" minItems:"1" maxItems:"100" doc:"Of these captures."`
}

// levelsMessage is what a meter shows. It has what changed since the one before.
type levelsMessage struct {
	Capture string          `json:"capture"`
	State   capture.State   `json:"state"`
	Seconds float64         `json:"seconds" doc:"Length of the recording so far."`
	Levels  map[string]*int `json:"levels" doc:"By stream: dBFS, null for one that has left; those that changed."`
}

// figuresMessage is what became of the streams. It has those that changed.
type figuresMessage struct {
	Capture   string                  `json:"capture"`
	Listening capture.ListeningStatus `json:"listening"`
	Live      capture.LiveStatus      `json:"live"`
	Streams   map[string]figures      `json:"streams"`
}

type figures struct {
	Ledger  map[string]int64   `json:"ledger"`
	Quality map[string]float64 `json:"quality"`
}

func (s *server) meterRoutes() {
	schema := func(v *huma.Schema) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{eventStream: {Schema: v}}
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "follow-meters", Method: http.MethodGet, Path: "/v1/meters", Summary: "Follow levels, ledgers and quality of running captures as Server-Sent Events",
		Description: "event: levels comes twice a second, {capture, state, seconds, levels:{stream: dBFS or null}}; event: figures every two seconds, " +
			"{capture, listening, live, streams:{stream: {ledger, quality}}}. The first of each has all streams that are in the room, later ones what changed. " +
			"After event: ended, {capture}, nothing more comes of a capture. A stream that breaks is asked for anew; there is nothing to catch up on.",
		Responses: map[string]*huma.Response{"200": {Description: "A stream that does not end", Content: schema(&huma.Schema{Type: huma.TypeString})}},
		Errors:    []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.followMeters)
}

func (s *server) followMeters(ctx context.Context, in *metersInput) (*huma.StreamResponse, error) {
	all := make([]*meterReader, len(in.Capture))
	for i, id := range in.Capture {
		c, err := s.Captures.Get(id)
		if err != nil {
			return nil, problemOf(err)
		}
		if !access.From(ctx).In(c.Status().Room.RoomID) {
			return nil, newProblem(http.StatusNotFound, "capture_not_found", "%q: no such capture", id)
		}
		all[i] = &meterReader{status: c.Status}
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold events back
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		out := &flushWriter{w, http.NewResponseController(w)}
		if _, err := io.WriteString(out, "retry: 2000\n\n"); err != nil {
			return
		}
		for n := 0; ; n++ {
			var b []byte
			for _, m := range all {
				b = m.append(b, n%figuresEvery == 0)
			}
			if n%(int(heartbeat/meterEvery)) == 0 && len(b) == 0 {
				b = []byte(":\n\n")
			}
			if _, err := out.Write(b); err != nil {
				return
			}
			select {
			case <-ctx.Context().Done():
				return
			case <-tick.C:
			}
		}
	}}, nil
}

// meterReader looks at one capture again and again and tells what changed.
type meterReader struct {
	status func() capture.Status
	levels map[string]int
	known  map[string]figures
	ended  bool
}

func (m *meterReader) append(b []byte, withFigures bool) []byte {
	if m.ended {
		return b
	}
	st := m.status()
	first := m.levels == nil
	if first {
		m.levels, m.known = map[string]int{}, map[string]figures{}
	}
	b = appendEvent(b, "levels", levelsMessage{Capture: st.ID, State: st.State, Seconds: st.Seconds, Levels: m.changedLevels(st)})
	if withFigures || first {
		b = appendEvent(b, "figures", figuresMessage{Capture: st.ID, Listening: st.Listening, Live: st.Live, Streams: m.changedFigures(st)})
	}
	if m.ended = st.State.Ended(); m.ended {
		b = appendEvent(b, "ended", struct {
			Capture string `json:"capture"`
		}{st.ID})
	}
	return b
}

func (m *meterReader) changedLevels(st capture.Status) map[string]*int {
	changed := map[string]*int{}
	for _, s := range st.Streams {
		level, told := m.levels[s.StreamID]
		switch now := int(math.Round(s.LevelDB)); {
		case s.Present && (!told || now != level):
			m.levels[s.StreamID] = now
			changed[s.StreamID] = &now
		case !s.Present && told:
			delete(m.levels, s.StreamID)
			changed[s.StreamID] = nil
		}
	}
	return changed
}

func (m *meterReader) changedFigures(st capture.Status) map[string]figures {
	changed := map[string]figures{}
	for _, s := range st.Streams {
		now := figures{s.Ledger, s.Quality}
		before, told := m.known[s.StreamID]
		if !s.Present && !told {
			continue
		}
		if !told || !maps.Equal(before.Ledger, now.Ledger) || !maps.Equal(before.Quality, now.Quality) {
			m.known[s.StreamID] = now
			changed[s.StreamID] = now
		}
	}
	return changed
}

func appendEvent(b []byte, name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return b // NaN: cannot happen, and the next one is due soon
	}
	return fmt.Appendf(b, "event: %s\ndata: %s\n\n", name, data)
}
