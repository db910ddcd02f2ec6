package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/access"
	"mixdown/audit"
)

// auditedReads are the operations that change nothing and are acts all the
// same: somebody hears what was said, or takes it away.
var auditedReads = map[string]bool{"listen": true, "get-file": true, "get-overview": true, "listen-ws": true, "export-audit": true}

// receiptHeader carries the number and hash of the entry that says that the
// act began: whoever keeps it can prove what must be in the log.
const receiptHeader = "Mixdown-Audit"

// audited writes down that an act begins, and how it ended. What cannot be
// written down does not happen.
func (s *server) audited(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	r, w := humago.Unwrap(ctx)
	if (op.Method == http.MethodGet || op.Method == http.MethodHead) && !auditedReads[op.OperationID] {
		next(ctx)
		return
	}
	who := audit.With(ctx.Context(), audit.Who{Actor: access.From(ctx.Context()).Actor(), From: remoteAddr(r).String()})
	act, err := s.Audit.Begin(who, op.OperationID, shortPath(r))
	if err != nil {
		s.Log.Error("an act was refused, because it cannot be written down", "operation", op.OperationID, "err", err)
		newProblem(http.StatusServiceUnavailable, "audit_unavailable", "%s is refused: it cannot be written to the audit log; make room in the data folder and try again", op.OperationID).serve(w)
		return
	}
	w.Header().Set(receiptHeader, act.Receipt())
	rec, _ := w.(*recorder)
	rec.audited()
	defer func() { // also after a panic
		outcome, status := rec.outcome()
		if err := act.End(outcome, status); err != nil {
			s.Log.Error("how an act ended is not in the audit log", "operation", op.OperationID, "outcome", outcome, "err", err)
		}
	}()
	next(huma.WithContext(ctx, audit.Attach(who, act)))
}

// recorder sees what a request is answered.
type recorder struct {
	http.ResponseWriter
	status  int
	problem []byte // the beginning of an answer that is a problem
	act     bool   // the act of this request is in the audit log
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 || r.status < http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.status >= http.StatusBadRequest && len(r.problem) < 4<<10 {
		r.problem = append(r.problem, b[:min(len(b), 4<<10)]...)
	}
	return r.ResponseWriter.Write(b)
}

// ReadFrom lets files go out without passing through here.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return io.Copy(r.ResponseWriter, src)
}

// Flush implements http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

func (r *recorder) audited() {
	if r != nil {
		r.act = true
	}
}

// outcome is how the request ended: ok, or the code of its problem.
func (r *recorder) outcome() (string, int) {
	if r == nil || r.status == 0 {
		return "no_answer", 0
	}
	if r.status < http.StatusBadRequest {
		return audit.OK, r.status
	}
	var p problem
	if json.Unmarshal(r.problem, &p) != nil || p.Code == "" {
		return "failed", r.status
	}
	return p.Code, r.status
}

// refusals writes down that somebody was not let in, once a second at most:
// a flood must not fill the disk. How many there were is told with the next.
type refusals struct {
	mu     sync.Mutex
	last   time.Time
	untold int
}

func (f *refusals) next() (tell bool, untold int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.last) < time.Second {
		f.untold++
		return false, 0
	}
	untold, f.untold, f.last = f.untold, 0, time.Now()
	return true, untold
}

// watch hands requests on and writes down those that were refused for want of
// a key or a right.
func (s *server) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		next.ServeHTTP(rec, r)
		outcome, status := rec.outcome()
		if rec.act || !strings.HasPrefix(r.URL.Path, "/v1/") || status != http.StatusUnauthorized && status != http.StatusForbidden {
			return
		}
		tell, untold := s.refused.next()
		if !tell {
			return
		}
		who := audit.Who{Actor: "nobody", From: remoteAddr(r).String()}
		if p, ok := s.who(r); ok {
			who.Actor = p.Actor()
		}
		act, err := s.Audit.Begin(audit.With(r.Context(), who), "request", fmt.Sprintf("%.20s %s", r.Method, shortPath(r)))
		if err == nil {
			if untold > 0 {
				act.Note("refusedBefore", untold)
			}
			err = act.End(outcome, status)
		}
		if err != nil {
			s.Log.Error("a refusal is not in the audit log", "err", err)
		}
	})
}

// shortPath is what of a request's path is written down: anybody can send one,
// of any length.
func shortPath(r *http.Request) string {
	const longest = 500
	path := r.URL.EscapedPath()
	if len(path) > longest {
		return path[:longest] + "…"
	}
	return path
}

type auditFilter struct {
	After int64 `query:"after" minimum:"0" doc:"Entries behind the one with this number."`
	Limit int   `query:"limit" minimum:"1" maximum:"10000" default:"100"`
}

type auditOutput struct {
	Body struct {
		Entries  []audit.Entry `json:"entries"`
		Head     audit.Head    `json:"head" doc:"Where the log ends."`
		Problems []string      `json:"problems" doc:"What was found wrong with the log when the daemon started."`
	}
}

type auditRange struct {
	After int64 `query:"after" minimum:"0" doc:"Entries behind the one with this number."`
}

func (s *server) auditRoutes() {
	register(s, http.MethodGet, "/v1/audit", "list-audit", "Acts: who did what, when, from where, and how it ended", s.listAudit)
	huma.Register(s.api, huma.Operation{
		OperationID: "note-act", Method: http.MethodPost, Path: "/v1/audit", DefaultStatus: http.StatusNoContent,
		Summary: "Write down an act that somebody carries out beside the daemon, as mixdown erase does: before it, and how it ended",
	}, s.noteAct)
	huma.Register(s.api, huma.Operation{
		OperationID: "export-audit", Method: http.MethodGet, Path: "/v1/audit/export",
		Summary:   "The log of acts as it was written, with its signed head as the last line; mixdown audit verify checks it",
		Responses: map[string]*huma.Response{"200": {Description: "JSON lines", Content: map[string]*huma.MediaType{"application/jsonl": {}}}},
	}, s.exportAudit)
}

type actInput struct {
	Body struct {
		Operation string            `json:"operation" minLength:"1" maxLength:"100" doc:"What is done."`
		Object    string            `json:"object" maxLength:"1000" doc:"To what."`
		Outcome   string            `json:"outcome,omitempty" maxLength:"1000" doc:"How it ended; missing: it begins."`
		Details   map[string]string `json:"details,omitempty" maxProperties:"20"`
	}
}

// noteAct leaves the writing to what is around every act: its end is durable
// before the answer is given.
func (s *server) noteAct(ctx context.Context, in *actInput) (*struct{}, error) {
	audit.Note(ctx, "operation", in.Body.Operation)
	audit.Note(ctx, "object", in.Body.Object)
	for name, value := range in.Body.Details {
		audit.Note(ctx, "details."+name, value)
	}
	if in.Body.Outcome != "" {
		audit.Note(ctx, "outcome", in.Body.Outcome)
	}
	return nil, nil
}

func (s *server) listAudit(_ context.Context, in *auditFilter) (*auditOutput, error) {
	out := &auditOutput{}
	var err error
	out.Body.Head, out.Body.Problems = s.Audit.Head(), s.Audit.Found().Problems
	if out.Body.Entries, err = s.Audit.Entries(in.After, in.Limit); err != nil {
		return nil, problemOf(err)
	}
	return out, nil
}

func (s *server) exportAudit(_ context.Context, in *auditRange) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "application/jsonl")
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%d.jsonl"`, in.After+1))
		if err := s.Audit.Export(w, in.After); err != nil {
			// Without its last line it does not verify.
			s.Log.Warn("an export of the audit log was cut short", "err", err)
		}
	}}, nil
}
