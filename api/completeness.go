package api

import (
	"context"
	"html/template"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/rules"
	"mixdown/storage"
)

type completenessInput struct {
	From time.Time `query:"from" doc:"Default: a day before to."`
	To   time.Time `query:"to" doc:"Default: now."`
}

type completenessOutput struct {
	Body struct {
		completeness.Report
		Since *storage.Time `json:"knownSince" doc:"Nothing is known of what the room service did before; null if nothing is known at all."`
	}
}

func (s *server) completenessRoutes() {
	register(s, http.MethodGet, "/v1/completeness", "completeness", "What was said in the rooms, what of it was recorded, and why the rest was not", s.completeness)
	huma.Register(s.api, huma.Operation{
		OperationID: "completeness-page", Method: http.MethodGet, Path: "/v1/completeness/page",
		Summary:   "The same as a page to print",
		Responses: map[string]*huma.Response{"200": {Description: "A page", Content: map[string]*huma.MediaType{"text/html": {}}}},
	}, s.completenessPage)
}

func (s *server) completeness(_ context.Context, in *completenessInput) (*completenessOutput, error) {
	now := time.Now()
	if in.To.IsZero() {
		in.To = now
	}
	if in.From.IsZero() {
		in.From = in.To.AddDate(0, 0, -1)
	}
	if !in.From.Before(in.To) {
		return nil, newProblem(http.StatusUnprocessableEntity, "invalid_request", "from must lie before to")
	}
	stays, since, err := s.History.Stays(in.From, in.To)
	if err != nil {
		return nil, problemOf(err)
	}
	out := &completenessOutput{}
	out.Body.Report = completeness.Make(in.From, in.To, stays, s.recorded(in.From, in.To), now, s.whyNot)
	if !since.IsZero() {
		known := storage.At(since)
		out.Body.Since = &known
	}
	return out, nil
}

// recorded lists what recordings have of a span of time.
func (s *server) recorded(from, to time.Time) (all []completeness.Recording) {
	for _, c := range s.Captures.List() {
		st := c.Status()
		if len(c.Storages()) == 0 || st.Start.After(to) || st.End != nil && st.End.Before(from) {
			continue
		}
		r := completeness.Recording{ID: st.ID, System: st.Room.System, RoomID: st.Room.RoomID}
		until := st.Start.Add(time.Duration(st.Seconds * float64(time.Second)))
		for _, stream := range st.Streams {
			r.Streams = append(r.Streams, completeness.RecordedStream{
				UserID: stream.User.ID, StreamID: stream.StreamID, Stays: stream.Joins, Until: until, Ledger: stream.Ledger,
			})
		}
		all = append(all, r)
	}
	return all
}

// whyNot says why nobody recorded a room at an instant.
func (s *server) whyNot(system, roomID string, at time.Time) string {
	for _, c := range s.Captures.List() {
		st := c.Status()
		if c.IsOf(system, roomID) && !st.Start.After(at) && (st.End == nil || st.End.After(at)) {
			return "capture " + st.ID + " was " + describeState(st) + " and did not have the stream"
		}
	}
	d, err := s.Rules.ExplainAt(rules.Place{System: system, RoomID: roomID}, at)
	if err != nil {
		return "nobody asked for it, and no rule decided about the room"
	}
	for _, v := range d.Verdicts {
		if v.Result != rules.OtherRoom && v.Result != rules.OtherSystem {
			return "rule " + v.Rule + ": " + v.Because
		}
	}
	return "nobody asked for it, and no rule matches the room"
}

func describeState(st capture.Status) string {
	if st.Reason != "" {
		return string(st.State) + " (" + st.Reason + ")"
	}
	return string(st.State)
}

func (s *server) completenessPage(ctx context.Context, in *completenessInput) (*huma.StreamResponse, error) {
	out, err := s.completeness(ctx, in)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		_ = page.Execute(w, out.Body) // the client may be gone
	}}, nil
}

var page = template.Must(template.New("completeness").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Completeness {{.From}} to {{.To}}</title><style>
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24}
h1{font-size:1.4rem;margin:0 0 .25rem}p{margin:.25rem 0}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top}
th{font-weight:600;border-bottom:2px solid #8c959f}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.session td{font-weight:600;background:#f6f8fa}.complete{color:#116329}.partly{color:#7d4e00}.unrecorded{color:#a40e26}
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}
</style></head><body>
<h1>What was recorded</h1>
<p>From {{.From}} to {{.To}}.{{if .Since}} The room service is known since {{.Since}}.{{else}} Nothing is known of the room service.{{end}}</p>
<p>{{.Totals.Sessions}} sessions: {{.Totals.Complete}} complete, {{.Totals.Partly}} partly, {{.Totals.Unrecorded}} not recorded.
{{printf "%.1f" .Totals.Seconds}} s of streams, {{printf "%.1f" .Totals.Recorded}} s recorded, {{printf "%.1f" .Totals.Missing}} s missing, {{printf "%.1f" .Totals.LostSeconds}} s lost on the way.</p>
<table><thead><tr><th>Room, stream</th><th>From</th><th>To</th><th class="n">Seconds</th><th class="n">Recorded</th><th>Recording, or why not</th></tr></thead><tbody>
{{range .Sessions}}<tr class="session"><td>{{.RoomID}}{{if ne .System "mixdown"}} ({{.System}}){{end}}</td><td>{{.From}}</td><td>{{if .Open}}goes on{{else}}{{.To}}{{end}}</td><td class="n">{{printf "%.1f" .Seconds}}</td><td class="n">{{printf "%.1f" .Recorded}}</td><td class="{{.Verdict}}">{{.Verdict}}</td></tr>
{{range .Streams}}<tr><td>{{.UserID}} / {{.StreamID}}</td><td>{{.From}}</td><td>{{.To}}</td><td class="n">{{printf "%.1f" .Seconds}}</td><td class="n">{{printf "%.1f" .Recorded}}</td><td>{{range .Recordings}}{{.}}<br>{{end}}{{range .Missing}}{{printf "%.1f" .Seconds}} s from {{.From}}: {{.Why}}<br>{{end}}{{range $class, $ms := .Ledger}}{{$class}} {{$ms}} ms<br>{{end}}</td></tr>
{{end}}{{end}}</tbody></table></body></html>
`))
