package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"mixdown/access"
	"mixdown/capture"
)

type patchInput struct {
	ID      string `path:"id" maxLength:"64"`
	RawBody []byte `contentType:"application/merge-patch+json"`
}

type pauseInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *capture.PauseRequest
}

type resumeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *resumeRequest
}

type resumeRequest struct {
	capture.Scope
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Kept in events.jsonl and told with the event."`
}

// controlRoutes are the calls that act on a running capture.
func (s *server) controlRoutes() {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[capture.Spec](), true, "")
	body := &huma.MediaType{Schema: schema}
	huma.Register(s.api, huma.Operation{
		OperationID: "patch-capture", Method: http.MethodPatch, Path: "/v1/captures/{id}",
		Summary: "Change a running capture: gains, mute, solo, include, exclude, outputs, labels, limits",
		Description: "The body is a JSON Merge Patch (RFC 7396) of the capture's body: members of objects are set one by one, null takes a member " +
			"back to its default, lists are replaced as a whole. Entries of record keep their output if their id, or everything that says " +
			"what is written, stays the same; others are ended, and new ones begun, in the middle of the recording. Room, user, mix.channels " +
			"and mix.level cannot be changed. Gains move within mix.rampMs.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/merge-patch+json": body, "application/json": body}},
		Errors:      controlErrors,
		// The schema is of a whole body; a patch may leave out and take back.
		SkipValidateBody: true,
	}, s.patchCapture)
	huma.Register(s.api, huma.Operation{
		OperationID: "pause-capture", Method: http.MethodPost, Path: "/v1/captures/{id}/pause",
		Summary: "Pause a capture, or one user, stream or output of it; repeating is harmless", Errors: controlErrors,
	}, s.pauseCapture)
	huma.Register(s.api, huma.Operation{
		OperationID: "resume-capture", Method: http.MethodPost, Path: "/v1/captures/{id}/resume",
		Summary: "End the pause of a capture, or of one user, stream or output; repeating is harmless", Errors: controlErrors,
	}, s.resumeCapture)
}

var controlErrors = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity,
}

// control lets do act on a capture and answers how it stands then.
func (s *server) control(id string, do func(*capture.Capture) error) (*captureOutput, error) {
	c, err := s.Captures.Get(id)
	if err == nil {
		err = do(c)
	}
	if errors.Is(err, capture.ErrNotRunning) {
		return nil, newProblem(http.StatusConflict, "capture_ended", "capture %s is %s: what it recorded cannot be changed any more", id, c.Status().State)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	return &captureOutput{http.StatusOK, c.Status()}, nil
}

func (s *server) patchCapture(ctx context.Context, in *patchInput) (*captureOutput, error) {
	if !json.Valid(in.RawBody) {
		return nil, newProblem(http.StatusBadRequest, "bad_request", "the body is not JSON")
	}
	return s.control(in.ID, func(c *capture.Capture) error { return c.Patch(in.RawBody, access.From(ctx).Actor()) })
}

func (s *server) pauseCapture(ctx context.Context, in *pauseInput) (*captureOutput, error) {
	r := capture.PauseRequest{}
	if in.Body != nil {
		r = *in.Body
	}
	return s.control(in.ID, func(c *capture.Capture) error { return c.Pause(r, access.From(ctx).Actor()) })
}

func (s *server) resumeCapture(ctx context.Context, in *resumeInput) (*captureOutput, error) {
	r := resumeRequest{}
	if in.Body != nil {
		r = *in.Body
	}
	return s.control(in.ID, func(c *capture.Capture) error { return c.Resume(r.Scope, access.From(ctx).Actor(), r.Reason) })
}
