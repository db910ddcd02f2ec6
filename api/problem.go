package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/capacity"
	"mixdown/capture"
	"mixdown/retention"
)

// problem is the body of every error (RFC 9457) with a stable code.
type problem struct {
	Type   string         `json:"type" default:"about:blank"`
	Title  string         `json:"title" example:"Conflict"`
	Status int            `json:"status" example:"409"`
	Code   string         `json:"code" doc:"Stable name of the error, for programs." example:"capture_conflict"`
	Detail string         `json:"detail" doc:"What is wrong, where, and what to do."`
	Errors []problemField `json:"errors,omitempty" doc:"The fields that are wrong."`
}

type problemField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// write answers with a problem outside of an operation.
func (s *server) write(ctx huma.Context, p *problem) {
	_, w := humago.Unwrap(ctx)
	p.serve(w)
}

// serve answers with a problem.
func (p *problem) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// asProblem is the problem that an error is, or an internal one.
func asProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return newProblem(http.StatusInternalServerError, "internal", "%s", err)
}

// problemOf finds the answer to an error of the packages behind the API.
func problemOf(err error) error {
	var spec *capture.SpecError
	var conflict *capture.ConflictError
	var refused *retention.Refusal
	var full *capacity.FullError
	var destination *capture.DestinationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &spec):
		p := newProblem(http.StatusUnprocessableEntity, "invalid_capture", "%s", err)
		for _, f := range spec.Problems {
			p.Errors = append(p.Errors, problemField{f.Field, f.Text})
		}
		return p
	case errors.As(err, &conflict):
		p := newProblem(http.StatusConflict, "capture_conflict", "%s", err)
		for _, f := range conflict.Differences {
			p.Errors = append(p.Errors, problemField{f, "differs from the running capture"})
		}
		return p
	case errors.As(err, &full):
		p := newProblem(http.StatusServiceUnavailable, "no_capacity", "%s", err)
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(full.RetryAfter.Seconds())))}})
	case errors.As(err, &destination):
		return destinationProblem(destination)
	case errors.As(err, &refused):
		return refusalProblem(refused)
	case errors.Is(err, capture.ErrBadID):
		return newProblem(http.StatusUnprocessableEntity, "invalid_id", "%s", err)
	case errors.Is(err, capture.ErrNotFound):
		return newProblem(http.StatusNotFound, "capture_not_found", "%s", err)
	case errors.Is(err, capture.ErrNoStream):
		return newProblem(http.StatusNotFound, "stream_not_found", "%s", err)
	case errors.Is(err, capture.ErrShutdown):
		return newProblem(http.StatusServiceUnavailable, "shutting_down", "the daemon shuts down; try again when it is back")
	case errors.Is(err, capture.ErrInterrupted):
		return newProblem(http.StatusServiceUnavailable, "shutting_down", "%s", err)
	case errors.Is(err, capture.ErrUnsealed):
		return newProblem(http.StatusServiceUnavailable, "storage_unavailable", "%s", err)
	case errors.Is(err, fs.ErrNotExist):
		return newProblem(http.StatusNotFound, "not_found", "%s", err)
	}
	return newProblem(http.StatusInternalServerError, "internal", "%s", err)
}

// errorCodes are the codes of the errors that the framework finds itself.
var errorCodes = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusNotAcceptable:         "not_acceptable",
	http.StatusRequestTimeout:        "timeout",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "invalid_request",
}

// frameworkProblem gives the framework's own errors our form.
func frameworkProblem(status int, msg string, errs ...error) huma.StatusError {
	code := errorCodes[status]
	if code == "" {
		code = "internal"
	}
	p := newProblem(status, code, "%s", msg)
	for _, err := range errs {
		var d huma.ErrorDetailer
		switch {
		case err == nil:
		case errors.As(err, &d):
			detail := d.ErrorDetail()
			p.Errors = append(p.Errors, problemField{detail.Location, detail.Message})
		default:
			p.Errors = append(p.Errors, problemField{"", err.Error()})
		}
	}
	return p
}
