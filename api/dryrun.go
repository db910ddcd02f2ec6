package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"mixdown/capture"
)

// postCapture describes the one operation with two kinds of answers.
func (s *server) postCapture() huma.Operation {
	answer := func(description string, t reflect.Type) *huma.Response {
		schema := s.api.OpenAPI().Components.Schemas.Schema(t, true, "")
		return &huma.Response{Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	return huma.Operation{
		OperationID: "post-capture", Method: http.MethodPost, Path: "/v1/captures", Summary: "Start a capture, or try out whether it could be",
		DefaultStatus: http.StatusCreated,
		Errors:        []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{
			"200": answer("A dry run that went well", reflect.TypeFor[dryRun]()),
			"201": answer("The capture that was started", reflect.TypeFor[capture.Status]()),
		},
	}
}

func (s *server) newCapture(ctx context.Context, in *newCaptureInput) (*newCaptureOutput, error) {
	if !in.DryRun {
		out, err := s.start(ctx, "", in.Body)
		if err != nil {
			return nil, err
		}
		return &newCaptureOutput{out.Status, out.Body}, nil
	}
	if err := inRoom(ctx, in.Body.Room.RoomID); err != nil {
		return nil, err
	}
	spec, found, err := s.Captures.DryRun(ctx, in.Body)
	if err != nil {
		return nil, problemOf(err)
	}
	return &newCaptureOutput{http.StatusOK, dryRun{true, spec, found}}, nil
}

// destinationProblem is the answer to a start, or a dry run, whose files
// could not be delivered: its code is storage_ and the name of what is wrong
// with the first storage. What may be well again in a moment is 503.
func destinationProblem(e *capture.DestinationError) *problem {
	first := e.Failed[0]
	status := http.StatusUnprocessableEntity
	if !first.Permanent {
		status = http.StatusServiceUnavailable
	}
	p := newProblem(status, "storage_"+string(first.Code), "%s", e)
	for _, d := range e.Failed {
		p.Errors = append(p.Errors, problemField{"storages." + d.Storage, string(d.Code) + ": " + d.Detail})
	}
	return p
}
