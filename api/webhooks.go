package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mixdown/events"
	"mixdown/events/webhook"
)

type webhookName struct {
	Name string `path:"name" maxLength:"32"`
}

type webhookInput struct {
	Name string `path:"name" maxLength:"32"`
	Body struct {
		webhook.Endpoint
		Secret string `json:"secret,omitempty" doc:"whsec_ and 24 to 64 random bytes in base64; left out, one is made for a new webhook and an old one keeps its own."`
	}
}

// shownWebhook is a webhook, with its secret in the one answer that shows it.
type shownWebhook struct {
	webhook.Status
	Secret string `json:"secret,omitempty" doc:"Only in the answer to the call that made it; it is not shown again."`
}

type webhookOutput struct {
	Status int
	Body   shownWebhook
}

type webhookList struct {
	Body struct {
		Webhooks []webhook.Status `json:"webhooks"`
	}
}

type rotateInput struct {
	Name string `path:"name" maxLength:"32"`
	Body *rotation
}

type rotation struct {
	OverlapSeconds int `json:"overlapSeconds" minimum:"0" maximum:"2592000" doc:"How long those before sign as well, at most; a day without a body."`
}

// defaultOverlap is how long secrets sign after a rotation.
const defaultOverlap = 24 * time.Hour

type testOutput struct {
	Body struct {
		Delivered bool `json:"delivered"`
		webhook.Attempt
		Milliseconds int64 `json:"ms" doc:"How long the endpoint took."`
	}
}

type deadInput struct {
	Name   string `path:"name" maxLength:"32"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor uint64 `query:"cursor" doc:"nextCursor of the page before."`
}

type deadList struct {
	Body struct {
		Dead       []webhook.Letter `json:"dead"`
		NextCursor uint64           `json:"nextCursor,omitempty" doc:"Missing on the last page."`
	}
}

type deadLetter struct {
	Name string `path:"name" maxLength:"32"`
	Seq  uint64 `path:"seq" minimum:"1" doc:"Number of the event."`
}

type resentOutput struct {
	Status int
	Body   struct {
		Resent int `json:"resent" doc:"Letters that are tried again, for 72 h. The others' events are not kept any more."`
	}
}

func (s *server) webhookRoutes() {
	register(s, http.MethodGet, "/v1/webhooks", "list-webhooks", "List the webhooks by name", s.listWebhooks)
	register(s, http.MethodGet, "/v1/webhooks/{name}", "get-webhook", "Show a webhook and how it stands", s.getWebhook)
	register(s, http.MethodPut, "/v1/webhooks/{name}", "put-webhook", "Set a webhook; a new one gets what happens from now on", s.putWebhook)
	register(s, http.MethodDelete, "/v1/webhooks/{name}", "delete-webhook", "Delete a webhook with all that waits for it", s.deleteWebhook)
	register(s, http.MethodPost, "/v1/webhooks/{name}/rotate", "rotate-webhook", "Make a new secret; those before sign as well for a while", s.rotateWebhook)
	register(s, http.MethodPost, "/v1/webhooks/{name}/test", "test-webhook", "Post an event of type webhook.test, once", s.testWebhook)
	register(s, http.MethodGet, "/v1/webhooks/{name}/dead", "list-dead-letters", "List the events that were not taken within 72 h", s.listDead)
	register(s, http.MethodPost, "/v1/webhooks/{name}/dead/resend", "resend-dead-letters", "Try all dead letters again", s.resendAll)
	register(s, http.MethodPost, "/v1/webhooks/{name}/dead/{seq}/resend", "resend-dead-letter", "Try a dead letter again", s.resendOne)
}

func webhookProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, webhook.ErrNotFound):
		return newProblem(http.StatusNotFound, "webhook_not_found", "%s", err)
	case errors.Is(err, webhook.ErrNoLetter):
		return newProblem(http.StatusNotFound, "dead_letter_not_found", "%s", err)
	case errors.As(err, new(*events.GoneError)):
		return newProblem(http.StatusGone, "events_gone", "%s", err)
	case errors.Is(err, webhook.ErrConfigured):
		return newProblem(http.StatusConflict, "webhook_configured", "%s", err)
	case errors.Is(err, webhook.ErrBadName), errors.Is(err, webhook.ErrBadSecret), errors.Is(err, webhook.ErrBadURL):
		return newProblem(http.StatusUnprocessableEntity, "invalid_webhook", "%s", err)
	}
	return problemOf(err)
}

func (s *server) listWebhooks(context.Context, *struct{}) (*webhookList, error) {
	out := &webhookList{}
	out.Body.Webhooks = append([]webhook.Status{}, s.Webhooks.List()...)
	return out, nil
}

func (s *server) getWebhook(_ context.Context, in *webhookName) (*webhookOutput, error) {
	return s.showWebhook(http.StatusOK, in.Name, "")
}

func (s *server) showWebhook(status int, name, secret string) (*webhookOutput, error) {
	st, err := s.Webhooks.Get(name)
	if err != nil {
		return nil, webhookProblem(err)
	}
	return &webhookOutput{status, shownWebhook{st, secret}}, nil
}

func (s *server) putWebhook(_ context.Context, in *webhookInput) (*webhookOutput, error) {
	secret, created, err := s.Webhooks.Put(in.Name, in.Body.Endpoint, in.Body.Secret)
	if err != nil {
		return nil, webhookProblem(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return s.showWebhook(status, in.Name, secret)
}

func (s *server) deleteWebhook(_ context.Context, in *webhookName) (*struct{}, error) {
	return nil, webhookProblem(s.Webhooks.Delete(in.Name))
}

func (s *server) rotateWebhook(_ context.Context, in *rotateInput) (*webhookOutput, error) {
	overlap := defaultOverlap
	if in.Body != nil {
		overlap = time.Duration(in.Body.OverlapSeconds) * time.Second
	}
	secret, err := s.Webhooks.Rotate(in.Name, overlap)
	if err != nil {
		return nil, webhookProblem(err)
	}
	return s.showWebhook(http.StatusOK, in.Name, secret)
}

func (s *server) testWebhook(ctx context.Context, in *webhookName) (*testOutput, error) {
	a, err := s.Webhooks.Test(ctx, in.Name)
	if err != nil {
		return nil, webhookProblem(err)
	}
	out := &testOutput{}
	out.Body.Delivered, out.Body.Attempt, out.Body.Milliseconds = a.Error == "", a, a.Took.Milliseconds()
	return out, nil
}

func (s *server) listDead(_ context.Context, in *deadInput) (*deadList, error) {
	list, more, err := s.Webhooks.Dead(in.Name, in.Cursor, in.Limit)
	if err != nil {
		return nil, webhookProblem(err)
	}
	out := &deadList{}
	if out.Body.Dead = list; more {
		out.Body.NextCursor = list[len(list)-1].Seq
	}
	return out, nil
}

func (s *server) resendAll(_ context.Context, in *webhookName) (*resentOutput, error) {
	return s.resend(in.Name, 0)
}

func (s *server) resendOne(_ context.Context, in *deadLetter) (*resentOutput, error) {
	return s.resend(in.Name, in.Seq)
}

func (s *server) resend(name string, seq uint64) (*resentOutput, error) {
	n, err := s.Webhooks.Resend(name, seq)
	if err != nil {
		return nil, webhookProblem(err)
	}
	out := &resentOutput{Status: http.StatusAccepted}
	out.Body.Resent = n
	return out, nil
}
