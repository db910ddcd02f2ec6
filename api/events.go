package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"mixdown/access"
	"mixdown/events"
)

const (
	// heartbeat is how long a stream of events is silent at most.
	heartbeat = 15 * time.Second

	eventStream = "text/event-stream"
)

type eventsInput struct {
	After       string   `query:"after" doc:"Events after this number; 0 begins with the oldest that is kept. A stream without it begins now, one of a capture at its beginning." pattern:"^[0-9]{1,19}$"`
	Limit       int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Of a page."`
	Type        []string `query:"type,explode" doc:"Only these types; * stands for anything, as in capture.*."`
	Capture     []string `query:"capture,explode" doc:"Only of these captures; patterns too."`
	Room        []string `query:"room,explode" doc:"Only of these rooms; patterns too."`
	Brief       bool     `query:"brief" doc:"Without data.capture, the whole capture."`
	Accept      string   `header:"Accept"`
	LastEventID string   `header:"Last-Event-ID" doc:"Number of the last event that a stream brought before it broke."`
}

type captureEventsInput struct {
	ID          string   `path:"id" maxLength:"64"`
	After       string   `query:"after" doc:"Events after this number." pattern:"^[0-9]{1,19}$"`
	Limit       int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Of a page."`
	Type        []string `query:"type,explode" doc:"Only these types; * stands for anything."`
	Brief       bool     `query:"brief" doc:"Without data.capture, the whole capture."`
	Accept      string   `header:"Accept"`
	LastEventID string   `header:"Last-Event-ID"`
}

// event is an event as OpenAPI describes it.
type event struct {
	events.Head
	Data json.RawMessage `json:"data" doc:"As docs/events.md says for each type; data.capture is the whole capture."`
}

type eventPage struct {
	Events []event `json:"events"`
	Next   uint64  `json:"next" doc:"The after of the next page; also when there is nothing more yet."`
	More   bool    `json:"more" doc:"There is something after next already."`
	Oldest uint64  `json:"oldest" doc:"Number of the oldest event that is kept."`
	Last   uint64  `json:"last" doc:"Number of the newest event."`
}

func (s *server) eventRoutes() {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[eventPage](), true, "EventPage")
	answers := map[string]*huma.Response{"200": {Description: "A page of events, or a stream of them if Accept asks for " + eventStream, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema},
		eventStream:        {Schema: &huma.Schema{Type: huma.TypeString, Description: "id is the event's number, event its type, data its JSON."}},
	}}}
	refusals := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}
	huma.Register(s.api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Summary: "Replay events, or follow them as Server-Sent Events",
		Responses: answers, Errors: refusals,
	}, s.listEvents)
	huma.Register(s.api, huma.Operation{
		OperationID: "capture-events", Method: http.MethodGet, Path: "/v1/captures/{id}/events", Summary: "Follow the events of a capture as Server-Sent Events; a page if Accept asks for JSON only",
		Responses: answers, Errors: refusals,
	}, s.captureEvents)
}

func (s *server) listEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	f := events.Filter{Types: in.Type, Captures: in.Capture, Rooms: in.Room, Only: visible(ctx)}
	if !strings.Contains(in.Accept, eventStream) {
		return s.eventPage(in.After, in.Limit, f, in.Brief)
	}
	begin := s.Events.Last()
	return s.follow(begin, in.After, in.LastEventID, f, in.Brief)
}

func (s *server) captureEvents(_ context.Context, in *captureEventsInput) (*huma.StreamResponse, error) {
	if _, err := s.Captures.Get(in.ID); err != nil {
		return nil, problemOf(err)
	}
	f := events.Filter{Types: in.Type, Captures: []string{in.ID}}
	if strings.Contains(in.Accept, "application/json") && !strings.Contains(in.Accept, eventStream) {
		return s.eventPage(in.After, in.Limit, f, in.Brief)
	}
	return s.follow(0, in.After, in.LastEventID, f, in.Brief)
}

// visible keeps a key for some rooms from the events of others.
func visible(ctx context.Context) func(events.Head) bool {
	p := access.From(ctx)
	if p.Everywhere() {
		return nil
	}
	return func(h events.Head) bool { return h.Room != "" && p.In(h.Room) }
}

func (s *server) eventPage(after string, limit int, f events.Filter, brief bool) (*huma.StreamResponse, error) {
	from, err := eventNumber(after, 0)
	if err != nil {
		return nil, err
	}
	list, next, err := s.Events.Read(from, limit, f)
	if err != nil {
		return nil, eventProblem(err)
	}
	figures := s.Events.Figures()
	page := eventPage{Events: []event{}, Next: next, More: next < figures.Last, Oldest: figures.Oldest, Last: figures.Last}
	for _, e := range list {
		// The data is what stands behind the head, to the byte.
		var data struct{ Data json.RawMessage }
		if err := json.Unmarshal(e.JSON, &data); err != nil {
			return nil, problemOf(fmt.Errorf("event %d: %w", e.Seq, err))
		}
		if brief {
			data.Data = withoutCapture(data.Data)
		}
		page.Events = append(page.Events, event{e.Head, data.Data})
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(page) // the client may be gone
	}}, nil
}

// withoutCapture takes the whole capture out of an event's data.
func withoutCapture(data json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members["capture"] == nil {
		return data
	}
	delete(members, "capture")
	short, err := json.Marshal(members)
	if err != nil {
		return data // it was JSON before
	}
	return short
}

// shorten is [withoutCapture] of an event as the log has it.
func shorten(whole json.RawMessage) json.RawMessage {
	var e event
	if json.Unmarshal(whole, &e) != nil {
		return whole
	}
	e.Data = withoutCapture(e.Data)
	short, err := json.Marshal(e)
	if err != nil {
		return whole // it was JSON before
	}
	return short
}

// eventNumber reads a number; an empty one is otherwise.
func eventNumber(s string, otherwise uint64) (uint64, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, newProblem(http.StatusBadRequest, "bad_event_number", "%q is not the number of an event", s)
	}
	return n, nil
}

func eventProblem(err error) error {
	var gone *events.GoneError
	if errors.As(err, &gone) {
		return newProblem(http.StatusGone, "events_gone", "%s", err)
	}
	return problemOf(err)
}

// follow streams events until the client goes away, does not read for a while,
// or the daemon ends. What the client asks for wins over begin, and where it
// broke off wins over that.
func (s *server) follow(begin uint64, after, lastID string, f events.Filter, brief bool) (*huma.StreamResponse, error) {
	from, err := eventNumber(after, begin)
	if err == nil {
		from, err = eventNumber(lastID, from)
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold events back
		out := &flushWriter{w, http.NewResponseController(w)}
		if _, err := io.WriteString(out, "retry: 2000\n\n"); err != nil {
			return
		}
		s.stream(ctx.Context(), out, from, f, brief)
	}}, nil
}

// stream sends each event as one write, and a comment when nothing happens.
func (s *server) stream(ctx context.Context, out io.Writer, after uint64, f events.Filter, brief bool) {
	for {
		wait, cancel := context.WithTimeout(ctx, heartbeat)
		list, upTo, err := s.Events.Next(wait, after, 100, f)
		cancel()
		var gone *events.GoneError
		var b []byte
		switch {
		case errors.As(err, &gone):
			// A status would make browsers give up for good.
			b = fmt.Appendf(b, "event: events.gone\ndata: {\"type\":\"events.gone\",\"after\":%d,\"oldest\":%d,\"last\":%d}\n\n", gone.After, gone.Oldest, gone.Last)
			upTo = gone.Oldest - 1
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			b = append(b, ":\n\n"...)
		case err != nil:
			return
		}
		after = upTo
		for _, e := range list {
			b = fmt.Appendf(b, "id: %d\nevent: %s\ndata: ", e.Seq, e.Type)
			text := json.RawMessage(e.JSON)
			if brief {
				text = shorten(text)
			}
			b = append(append(b, text...), "\n\n"...)
		}
		if _, err := out.Write(b); err != nil {
			return
		}
	}
}

// collectEvents reads how the log of events and the webhooks stand.
func (s *server) collectEvents(gauge, counter func(*prometheus.Desc, float64, ...string)) {
	f := s.Events.Figures()
	counter(desc("events_total", "Events in the log, ever."), float64(f.Last))
	counter(desc("events_dropped_total", "Events that found no room in memory while the disk failed."), float64(f.Dropped))
	gauge(desc("events_pending", "Events that are not on disk yet."), float64(f.Pending))
	gauge(desc("events_bytes", "Size of the log of events."), float64(f.Bytes))
	for _, w := range s.Webhooks.List() {
		up := 1.0
		if w.State == "down" || w.State == "disabled" {
			up = 0
		}
		gauge(desc("webhook_up", "The endpoint takes events.", "webhook"), up, w.Name)
		gauge(desc("webhook_pending_events", "Events that wait to be taken.", "webhook"), float64(w.Pending)+float64(w.Behind), w.Name)
		gauge(desc("webhook_dead_letters", "Events that were not taken within 72 h.", "webhook"), float64(w.Dead), w.Name)
		counter(desc("webhook_sent_total", "Events that were taken.", "webhook"), float64(w.Sent), w.Name)
	}
}
