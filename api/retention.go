package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"mixdown/access"
	"mixdown/audit"
	"mixdown/retention"
	"mixdown/storage"
)

type holdID struct {
	ID string `path:"id" maxLength:"64"`
}

type holdInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Your own id of the hold."`
	Body struct {
		Selector retention.Selector `json:"selector" doc:"The recordings that are held: those that all of its members choose, those to come included."`
		Reason   string             `json:"reason" minLength:"1" maxLength:"1000" example:"Case A-17, letter of 3 March"`
	}
}

type holdOutput struct {
	Status int
	Body   retention.Hold
}

type holdList struct {
	Body struct {
		Holds []retention.Hold `json:"holds"`
	}
}

type recordingPatch struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Retention struct {
			Until *time.Time `json:"until,omitempty" doc:"Keep it until then."`
			Days  int        `json:"days,omitempty" doc:"Keep it for so many days from its end." minimum:"0" maximum:"36500"`
		} `json:"retention" doc:"Only longer than it is: until, or days."`
		Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Goes into the audit log."`
	}
}

type standingOutput struct{ Body retention.Standing }

type disposeInput struct {
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" maxLength:"1000" doc:"Goes into the certificate and the audit log."`
}

type disposeOutput struct {
	Status int
	Body   retention.Certificate
}

type rawOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) retentionRoutes() {
	register(s, http.MethodGet, "/v1/holds", "list-holds", "List holds", s.listHolds)
	register(s, http.MethodGet, "/v1/holds/{id}", "get-hold", "Show a hold", s.getHold)
	register(s, http.MethodPut, "/v1/holds/{id}", "put-hold", "Hold recordings: nothing that is chosen is deleted, whatever else says so", s.putHold)
	register(s, http.MethodDelete, "/v1/holds/{id}", "delete-hold", "Release a hold", s.deleteHold)
	register(s, http.MethodGet, "/v1/recordings/{id}/retention", "get-retention", "How long a recording is kept, and what keeps it", s.getRetention)
	register(s, http.MethodPatch, "/v1/recordings/{id}", "patch-recording", "Keep a recording longer", s.patchRecording)
	register(s, http.MethodDelete, "/v1/recordings/{id}", "delete-recording", "Dispose of a recording; answers the certificate, with 202 if a storage does not answer and the rest follows", s.deleteRecording)
	register(s, http.MethodGet, "/v1/recordings/{id}/disposal", "get-disposal", "The certificate of a recording that was disposed of, as it was signed", s.getDisposal)
	register(s, http.MethodGet, "/v1/recordings/{id}/disposal/signature", "get-disposal-signature", "The signature of the certificate", s.getDisposalSignature)
}

func (s *server) listHolds(context.Context, *struct{}) (*holdList, error) {
	out := &holdList{}
	out.Body.Holds = s.Retention.List()
	return out, nil
}

func (s *server) getHold(_ context.Context, in *holdID) (*holdOutput, error) {
	h, err := s.Retention.Get(in.ID)
	if err != nil {
		return nil, problemOf(err)
	}
	return &holdOutput{http.StatusOK, h}, nil
}

func (s *server) putHold(ctx context.Context, in *holdInput) (*holdOutput, error) {
	audit.Note(ctx, "selector", in.Body.Selector)
	audit.Note(ctx, "reason", in.Body.Reason)
	h, created, err := s.Retention.PlaceHold(retention.Hold{
		ID: in.ID, Selector: in.Body.Selector, Reason: in.Body.Reason, By: access.From(ctx).Actor(),
	})
	switch {
	case err != nil:
		return nil, problemOf(err)
	case created:
		return &holdOutput{http.StatusCreated, h}, nil
	}
	return &holdOutput{http.StatusOK, h}, nil
}

func (s *server) deleteHold(ctx context.Context, in *holdID) (*struct{}, error) {
	return nil, problemOf(s.Retention.ReleaseHold(in.ID, access.From(ctx).Actor()))
}

func (s *server) getRetention(_ context.Context, in *captureID) (*standingOutput, error) {
	return standing(s.Retention.Standing(in.ID))
}

func standing(st retention.Standing, err error) (*standingOutput, error) {
	if err != nil {
		return nil, problemOf(err)
	}
	return &standingOutput{st}, nil
}

func (s *server) patchRecording(ctx context.Context, in *recordingPatch) (*standingOutput, error) {
	want := in.Body.Retention
	if (want.Until == nil) == (want.Days == 0) {
		return nil, newProblem(http.StatusUnprocessableEntity, "invalid_request", "retention: give either until or days")
	}
	var until time.Time
	if want.Until != nil {
		until = *want.Until
		audit.Note(ctx, "until", storage.At(until))
	} else {
		audit.Note(ctx, "days", want.Days)
	}
	audit.Note(ctx, "reason", in.Body.Reason)
	return standing(s.Retention.Extend(ctx, in.ID, until, want.Days))
}

// deleteRecording carries a disposal on when the caller goes away: it has
// begun, and half a recording is of no use.
func (s *server) deleteRecording(ctx context.Context, in *disposeInput) (*disposeOutput, error) {
	audit.Note(ctx, "reason", in.Reason)
	c, err := s.Retention.Dispose(context.WithoutCancel(ctx), in.ID, access.From(ctx).Actor(), in.Reason)
	var refused *retention.Refusal
	switch {
	case err == nil:
		return &disposeOutput{http.StatusOK, c}, nil
	case errors.As(err, &refused):
		return nil, problemOf(err)
	}
	if st, serr := s.Retention.Standing(in.ID); serr == nil && st.Disposing {
		s.Log.Warn("a disposal goes on later", "recording", in.ID, "err", err)
		return &disposeOutput{http.StatusAccepted, c}, nil
	}
	return nil, newProblem(http.StatusServiceUnavailable, "storage_unavailable", "nothing was deleted: %s", err)
}

func (s *server) getDisposal(ctx context.Context, in *captureID) (*rawOutput, error) {
	encoded, _, err := s.certificate(ctx, in.ID)
	return &rawOutput{"application/json", encoded}, err
}

func (s *server) getDisposalSignature(ctx context.Context, in *captureID) (*rawOutput, error) {
	_, signature, err := s.certificate(ctx, in.ID)
	return &rawOutput{"text/plain; charset=utf-8", signature}, err
}

func (s *server) certificate(ctx context.Context, id string) (encoded, signature []byte, err error) {
	encoded, signature, err = s.Retention.Certificate(id)
	if err != nil {
		return nil, nil, problemOf(err)
	}
	var c retention.Certificate
	if err := json.Unmarshal(encoded, &c); err != nil {
		return nil, nil, problemOf(fmt.Errorf("certificate of %s: %w", id, err))
	}
	if !access.From(ctx).In(c.Room.RoomID) {
		return nil, nil, newProblem(http.StatusNotFound, "recording_not_found", "there is no recording %q", id)
	}
	return encoded, signature, nil
}

// listDisposed lists what is no more, the latest first.
func (s *server) listDisposed(ctx context.Context, in *recordingFilter) (*recordingList, error) {
	all, err := s.Retention.Certificates()
	if err != nil {
		return nil, problemOf(err)
	}
	out := &recordingList{}
	out.Body.Recordings = []recording{}
	skipping := in.Cursor != ""
	for _, c := range all {
		if skipping {
			skipping = c.ID != in.Cursor
			continue
		}
		if !access.From(ctx).In(c.Room.RoomID) || !in.matchesDisposed(c) {
			continue
		}
		if len(out.Body.Recordings) == in.Limit {
			out.Body.NextCursor = out.Body.Recordings[in.Limit-1].ID
			break
		}
		out.Body.Recordings = append(out.Body.Recordings, recording{
			ID: c.ID, Room: c.Room, State: "disposed", Start: c.Start, End: &c.End, Seconds: c.End.Sub(c.Start.Time).Seconds(),
			Storage: c.Storages, Labels: c.Labels, Disposed: &disposed{c.At, c.Cause, c.By, c.Reason},
		})
	}
	if skipping {
		return nil, newProblem(http.StatusBadRequest, "bad_cursor", "cursor %q is not from a list of disposed recordings", in.Cursor)
	}
	return out, nil
}

// disposed says how a recording went.
type disposed struct {
	At     storage.Time    `json:"at"`
	Cause  retention.Cause `json:"cause" enum:"expired,requested"`
	By     string          `json:"by"`
	Reason string          `json:"reason,omitempty"`
}

func (f *recordingFilter) matchesDisposed(c retention.Certificate) bool {
	s := retention.Selector{RoomID: f.Room, UserID: f.User, Label: f.Label, From: storage.Time{Time: f.From}, To: storage.Time{Time: f.To}}
	return s.Selects(retention.Recording{ID: c.ID, Room: c.Room, Users: c.Users, Labels: c.Labels, Start: c.Start.Time, End: c.End.Time})
}

// refusalStatus are the statuses of what retention refuses; of the rest, 409.
var refusalStatus = map[retention.Code]int{
	retention.NotFound: http.StatusNotFound, retention.NoHold: http.StatusNotFound, retention.Disposed: http.StatusGone,
	retention.BadHold: http.StatusUnprocessableEntity, retention.NoClass: http.StatusUnprocessableEntity, retention.NoLock: http.StatusUnprocessableEntity,
	retention.LockUnknown: http.StatusServiceUnavailable, retention.Blind: http.StatusServiceUnavailable,
}

func refusalProblem(r *retention.Refusal) *problem {
	status := refusalStatus[r.Code]
	if status == 0 {
		status = http.StatusConflict
	}
	p := newProblem(status, string(r.Code), "%s", r.Text)
	for _, id := range r.Holds {
		p.Errors = append(p.Errors, problemField{"holds", id})
	}
	return p
}
