package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mixdown/access"
)

//go:embed docs.html
var docsPage string

// docs renders the description of the API as one page, made when the daemon
// starts: no script, and nothing from elsewhere.
func (s *server) docs() (http.HandlerFunc, error) {
	t, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	if err := t.Execute(&page, s.manual()); err != nil {
		return nil, fmt.Errorf("render /docs: %w", err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(page.Bytes()) // the reader may be gone
	}, nil
}

type manual struct {
	Title, Version, Text string
	Sections             []manualSection
}

type manualSection struct {
	Name  string
	Calls []manualCall
}

type manualCall struct {
	ID, Method, Path, Summary string
	Roles                     string
	Params                    []manualField
	Body                      []manualField
	Answers                   []manualAnswer
	Errors                    string // their statuses
}

type manualAnswer struct {
	Status, Text, Media string
	Fields              []manualField
}

// manualField is a parameter, or a member of a JSON object with its members.
type manualField struct {
	Name, In, Type, Text string
	Required             bool
	Fields               []manualField
}

var methodOrder = []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

// manual puts the description into the order in which it is read.
func (s *server) manual() manual {
	doc := s.api.OpenAPI()
	m := manual{Title: doc.Info.Title, Version: doc.Info.Version, Text: doc.Info.Description}
	sections := map[string]*manualSection{}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		name := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")[0]
		if sections[name] == nil {
			sections[name] = &manualSection{Name: name}
		}
		byMethod := map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
		}
		for _, method := range methodOrder {
			if op := byMethod[method]; op != nil {
				sections[name].Calls = append(sections[name].Calls, describeCall(doc, method, path, op))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		m.Sections = append(m.Sections, *sections[name])
	}
	return m
}

func describeCall(doc *huma.OpenAPI, method, path string, op *huma.Operation) manualCall {
	c := manualCall{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Roles: rolesWith(operationRights[op.OperationID])}
	for _, p := range op.Parameters {
		c.Params = append(c.Params, manualField{Name: p.Name, In: p.In, Type: typeName(doc, p.Schema), Text: textOf(p.Description, p.Schema), Required: p.Required})
	}
	if op.RequestBody != nil {
		if media := op.RequestBody.Content["application/json"]; media != nil {
			c.Body = members(doc, media.Schema, 0)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if r.Content["application/problem+json"] != nil {
			c.Errors = strings.TrimSpace(c.Errors + " " + status)
			continue
		}
		a := manualAnswer{Status: status, Text: r.Description}
		for name, media := range r.Content {
			a.Media = name
			a.Fields = members(doc, media.Schema, 0)
		}
		c.Answers = append(c.Answers, a)
	}
	return c
}

func rolesWith(right access.Right) string {
	var names []string
	for _, r := range access.Roles() {
		if (access.Principal{ID: "x", Roles: []access.Role{r}}).Has(right) {
			names = append(names, string(r))
		}
	}
	if len(names) == 0 {
		return string(access.Admin)
	}
	return strings.Join(names, ", ")
}

const deepestMember = 6

func resolve(doc *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// members are the members of an object, or of an array's objects.
func members(doc *huma.OpenAPI, s *huma.Schema, depth int) (fields []manualField) {
	s = resolve(doc, s)
	if s != nil && s.Type == huma.TypeArray {
		s = resolve(doc, s.Items)
	}
	if s == nil || depth > deepestMember {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		fields = append(fields, manualField{
			Name: name, Type: typeName(doc, p), Text: textOf(p.Description, p), Required: slices.Contains(s.Required, name),
			Fields: members(doc, p, depth+1),
		})
	}
	return fields
}

func typeName(doc *huma.OpenAPI, s *huma.Schema) string {
	s = resolve(doc, s)
	switch {
	case s == nil:
		return ""
	case s.Type == huma.TypeArray:
		return "list of " + typeName(doc, s.Items)
	case s.Type == huma.TypeObject && s.AdditionalProperties != nil && len(s.Properties) == 0:
		return "map"
	case s.Format != "" && s.Type == huma.TypeString:
		return s.Format
	}
	return s.Type
}

// textOf is the description with what is known of the values.
func textOf(text string, s *huma.Schema) string {
	if s == nil {
		return text
	}
	var notes []string
	if len(s.Enum) > 0 {
		all := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			all[i] = fmt.Sprint(v)
		}
		notes = append(notes, "one of "+strings.Join(all, ", "))
	}
	if s.Default != nil && fmt.Sprint(s.Default) != "" {
		notes = append(notes, fmt.Sprintf("default %v", s.Default))
	}
	if s.Minimum != nil {
		notes = append(notes, fmt.Sprintf("at least %v", *s.Minimum))
	}
	if s.Maximum != nil {
		notes = append(notes, fmt.Sprintf("at most %v", *s.Maximum))
	}
	if len(notes) == 0 {
		return text
	}
	if text != "" {
		text += " "
	}
	return text + "(" + strings.Join(notes, "; ") + ")"
}
