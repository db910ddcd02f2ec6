package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/access"
	"mixdown/capture"
)

type captureInput struct {
	ID   string `path:"id" maxLength:"64" doc:"The caller's id of the capture."`
	Body capture.Spec
}

type newCaptureInput struct {
	DryRun bool `query:"dryRun" doc:"Only check the body and try every storage it leads to."`
	Body   capture.Spec
}

// newCaptureOutput is a capture.Status, or a dryRun.
type newCaptureOutput struct {
	Status int
	Body   any
}

// dryRun is what a dry run that went well answers.
type dryRun struct {
	DryRun   bool                  `json:"dryRun" doc:"true: nothing was started."`
	Spec     capture.Spec          `json:"spec" doc:"The body with its defaults."`
	Storages []capture.Destination `json:"storages" doc:"The storages it leads to, as they were found."`
}

type captureID struct {
	ID string `path:"id" maxLength:"64"`
}

type captureOutput struct {
	Status int
	Body   capture.Status
}

type captureFilter struct {
	State   string `query:"state" enum:"waiting,recording,paused,reconnecting,finalizing,complete,interrupted,failed" doc:"Only captures in this state."`
	Running bool   `query:"running" doc:"Only captures that have not ended."`
	Room    string `query:"room" doc:"Only captures of this room."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor  string `query:"cursor" doc:"nextCursor of the page before."`
}

type captureList struct {
	Body struct {
		Captures   []capture.Status `json:"captures"`
		NextCursor string           `json:"nextCursor,omitempty" doc:"Missing on the last page."`
	}
}

type liveInput struct {
	ID     string   `path:"id" maxLength:"64"`
	Stream string   `query:"stream" doc:"Only this stream."`
	Except []string `query:"except,explode" doc:"Everything but these streams: a mix-minus."`
}

func (s *server) captureRoutes() {
	register(s, http.MethodPut, "/v1/captures/{id}", "put-capture", "Start a capture under your own id; repeating is harmless",
		func(ctx context.Context, in *captureInput) (*captureOutput, error) {
			return s.start(ctx, in.ID, in.Body)
		})
	huma.Register(s.api, s.postCapture(), s.newCapture)
	register(s, http.MethodGet, "/v1/captures", "list-captures", "List captures, newest first", s.listCaptures)
	register(s, http.MethodGet, "/v1/captures/{id}", "get-capture", "Show a capture", s.getCapture)
	register(s, http.MethodPost, "/v1/captures/{id}/stop", "stop-capture", "Stop a capture; answers when the recording is sealed locally", s.stopCapture)
	huma.Register(s.api, huma.Operation{
		OperationID: "listen", Method: http.MethodGet, Path: "/v1/captures/{id}/live",
		Summary:   "Listen: the mix as never-ending Ogg Opus",
		Responses: map[string]*huma.Response{"200": {Description: "Ogg Opus", Content: map[string]*huma.MediaType{"audio/ogg": {}}}},
	}, s.listen)
	s.liveWSRoute()
	s.controlRoutes()
}

func (s *server) start(ctx context.Context, id string, spec capture.Spec) (*captureOutput, error) {
	if err := inRoom(ctx, spec.Room.RoomID); err != nil {
		return nil, err
	}
	c, created, err := s.Captures.Start(id, spec)
	if err != nil {
		return nil, problemOf(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return &captureOutput{status, c.Status()}, nil
}

func (s *server) getCapture(_ context.Context, in *captureID) (*captureOutput, error) {
	c, err := s.Captures.Get(in.ID)
	if err != nil {
		return nil, problemOf(err)
	}
	return &captureOutput{http.StatusOK, c.Status()}, nil
}

func (s *server) stopCapture(ctx context.Context, in *captureID) (*captureOutput, error) {
	c, err := s.Captures.Get(in.ID)
	if err != nil {
		return nil, problemOf(err)
	}
	if err := c.Stop(ctx); err != nil {
		return nil, problemOf(err)
	}
	return &captureOutput{http.StatusOK, c.Status()}, nil
}

func (s *server) listCaptures(ctx context.Context, in *captureFilter) (*captureList, error) {
	behind, ok := parsePlace(in.Cursor)
	if !ok {
		return nil, newProblem(http.StatusBadRequest, "bad_cursor", "cursor %q is not from a list of captures", in.Cursor)
	}
	all := s.Captures.List()
	slices.Reverse(all)
	out := &captureList{}
	out.Body.Captures = []capture.Status{}
	for _, c := range all {
		st := c.Status()
		if behind.before(placeOf(st)) {
			continue
		}
		if !access.From(ctx).In(st.Room.RoomID) || (in.State != "" && string(st.State) != in.State) || (in.Room != "" && st.Room.RoomID != in.Room) || in.Running && st.State.Ended() {
			continue
		}
		if len(out.Body.Captures) == in.Limit {
			out.Body.NextCursor = placeOf(out.Body.Captures[in.Limit-1]).String()
			break
		}
		out.Body.Captures = append(out.Body.Captures, st)
	}
	return out, nil
}

// listen streams until the listener goes away or the capture ends.
func (s *server) listen(_ context.Context, in *liveInput) (*huma.StreamResponse, error) {
	c, err := s.Captures.Get(in.ID)
	if err != nil {
		return nil, problemOf(err)
	}
	sel := capture.Selection{Stream: in.Stream, Except: in.Except}
	if err := c.CanListen(sel); err != nil {
		return nil, listenProblem(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "audio/ogg")
		w.Header().Set("Cache-Control", "no-store")
		out := &flushWriter{w, http.NewResponseController(w)}
		if err := c.Listen(ctx.Context(), sel, out); err != nil && ctx.Context().Err() == nil {
			s.Log.Debug("live stream ended", "capture", in.ID, "err", err)
		}
	}}, nil
}

func listenProblem(err error) error {
	if errors.Is(err, capture.ErrEnded) {
		return newProblem(http.StatusConflict, "capture_ended", "%s; its files are under /v1/recordings", err)
	}
	return problemOf(err)
}

// flushWriter sends every write at once, and gives up on listeners that do
// not read for a while.
type flushWriter struct {
	w http.ResponseWriter
	c *http.ResponseController
}

// Write implements io.Writer.
func (f *flushWriter) Write(b []byte) (int, error) {
	_ = f.c.SetWriteDeadline(deadline()) // not supported: no deadline
	n, err := f.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, f.c.Flush()
}
