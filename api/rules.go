package api

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mixdown/access"
	"mixdown/capture"
	"mixdown/rules"
)

// ruleCapture is a capture without its room, which the rule brings.
type ruleCapture struct{ capture.Spec }

// Schema implements huma.SchemaProvider.
func (ruleCapture) Schema(r huma.Registry) *huma.Schema {
	s := *r.SchemaFromRef(r.Schema(reflect.TypeFor[capture.Spec](), true, "Spec").Ref)
	s.Properties = maps.Clone(s.Properties)
	delete(s.Properties, "room")
	s.Required = slices.DeleteFunc(slices.Clone(s.Required), func(name string) bool { return name == "room" })
	s.PrecomputeMessages()
	return &s
}

// MarshalJSON implements json.Marshaler.
func (c ruleCapture) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		capture.Spec
		Room *struct{} `json:"room,omitempty"`
	}{Spec: c.Spec.Redacted()})
}

// ruleBody is a rule as it is told: its capture has no room there, either.
type ruleBody struct {
	rules.Rule
	Capture ruleCapture `json:"capture"`
}

func told(r rules.Rule) ruleBody { return ruleBody{r, ruleCapture{r.Capture}} }

type ruleInput struct {
	ID          string `path:"id" maxLength:"32"`
	IfMatch     string `header:"If-Match" doc:"The ETag that the rule was shown with: it is set only if nobody has changed it since."`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"The rule is set only if there is none of that id."`
	Body        struct {
		rules.Terms
		Capture ruleCapture `json:"capture" doc:"What to capture: the body of a capture without its room. {roomID} in the streamID of a republished mix stands for the room's id."`
	}
}

type ruleOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"Of this version of the rule, for If-Match."`
	Body   ruleBody
}

type ruleList struct {
	Body struct {
		Rules []ruleBody `json:"rules" doc:"In the order in which they are asked."`
	}
}

type ruleID struct {
	ID string `path:"id" maxLength:"32"`
}

type explainInput struct {
	Room   string    `query:"room" required:"true" minLength:"1" maxLength:"128"`
	System string    `query:"system" default:"mixdown"`
	Server string    `query:"server" doc:"Name of one of several servers of that system; without it the first that has the room."`
	At     time.Time `query:"at" doc:"An instant in the past; without it, now."`
}

type explainOutput struct{ Body rules.Decision }

func (s *server) ruleRoutes() {
	register(s, http.MethodGet, "/v1/rules", "list-rules", "List the rules in the order in which they are asked", s.listRules)
	register(s, http.MethodGet, "/v1/rules/explain", "explain-rules", "Why a room is, or was, recorded or not", s.explain)
	register(s, http.MethodGet, "/v1/rules/{id}", "get-rule", "Show a rule", s.getRule)
	register(s, http.MethodPut, "/v1/rules/{id}", "put-rule", "Record matching rooms by themselves", s.putRule, http.StatusPreconditionFailed)
	register(s, http.MethodDelete, "/v1/rules/{id}", "delete-rule", "Remove a rule; captures that it started go on", s.deleteRule)
}

func (s *server) listRules(context.Context, *struct{}) (*ruleList, error) {
	out := &ruleList{}
	out.Body.Rules = []ruleBody{}
	for _, r := range s.Rules.Rules() {
		out.Body.Rules = append(out.Body.Rules, told(r))
	}
	return out, nil
}

func (s *server) getRule(_ context.Context, in *ruleID) (*ruleOutput, error) {
	r, err := s.Rules.Rule(in.ID)
	return answerRule(http.StatusOK, r, err)
}

func (s *server) putRule(ctx context.Context, in *ruleInput) (*ruleOutput, error) {
	meant := rules.Condition{Tags: tags(in.IfMatch), New: in.IfNoneMatch == "*"}
	r, created, err := s.Rules.Put(rules.Rule{ID: in.ID, Terms: in.Body.Terms, Capture: in.Body.Capture.Spec}, meant, access.From(ctx).Actor())
	if created {
		return answerRule(http.StatusCreated, r, err)
	}
	return answerRule(http.StatusOK, r, err)
}

func (s *server) deleteRule(_ context.Context, in *ruleID) (*struct{}, error) {
	return nil, ruleProblem(s.Rules.Delete(in.ID))
}

func (s *server) explain(_ context.Context, in *explainInput) (*explainOutput, error) {
	room := rules.Place{System: in.System, Server: in.Server, RoomID: in.Room}
	if in.At.IsZero() {
		return &explainOutput{s.Rules.Explain(room)}, nil
	}
	d, err := s.Rules.ExplainAt(room, in.At)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, newProblem(http.StatusNotFound, "no_decision", "%s", err)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	return &explainOutput{d}, nil
}

func answerRule(status int, r rules.Rule, err error) (*ruleOutput, error) {
	if err != nil {
		return nil, ruleProblem(err)
	}
	return &ruleOutput{status, `"` + r.Tag() + `"`, told(r)}, nil
}

// tags are what an If-Match lists (RFC 9110, section 13.1.1). Proxies that
// compress weaken tags; ours are of versions, not of bytes, and stay good.
func tags(header string) (all []string) {
	if header == "" {
		return nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		all = append(all, strings.TrimSuffix(strings.Trim(tag, `"`), "-gzip"))
	}
	return all
}

func ruleProblem(err error) error {
	switch {
	case errors.Is(err, rules.ErrNotFound):
		return newProblem(http.StatusNotFound, "rule_not_found", "%s", err)
	case errors.Is(err, rules.ErrChanged):
		return newProblem(http.StatusPreconditionFailed, "rule_changed", "%s", err)
	case errors.Is(err, rules.ErrInvalid):
		return newProblem(http.StatusUnprocessableEntity, "invalid_rule", "%s", err)
	}
	return problemOf(err)
}
