// Package api is the daemon's HTTP face: captures, recordings, rooms, tokens,
// health and metrics. It alone knows status codes; everything behind it
// speaks Go.
//
// The JSON operations are described by the Go types here and in capture and
// storage: OpenAPI 3.1 at /openapi.json is generated from them. Everything
// under /v1 needs an API key as a bearer token.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"mixdown/access"
	"mixdown/audit"
	"mixdown/capacity"
	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/events"
	"mixdown/events/webhook"
	"mixdown/retention"
	"mixdown/rooms"
	"mixdown/rules"
	"mixdown/storage"
)

// Config is what the API shows and steers.
type Config struct {
	Captures   *capture.Manager
	Retention  *retention.Keeper
	Audit      *audit.Log
	Events     *events.Log
	Webhooks   *webhook.Sender
	Rooms      *rooms.Service
	Rules      *rules.Engine
	Capacity   *capacity.Meter
	History    *completeness.History
	Recordings map[string]storage.Browser                                    // by the name of their storage
	Probe      func(path string, r io.ReadSeeker) (samples int64, err error) // opens audio files for verify
	PublicKeys func() []string                                               // that recordings may be signed with, the present one first
	TimeStamp  func(stamp []byte, sum [32]byte) (time.Time, string, error)   // checks time stamps
	Erase      func(ctx context.Context, id string, e storage.Erasure) (*storage.SealedRecording, error)
	Uploads    func() map[string]storage.BucketStats
	Pending    func(storage, prefix string) (files int, bytes int64) // what waits in the spool
	Aside      func() (storage.Aside, error)                         // what the spool moved out of its way
	Space      func() storage.SpaceStats                             // of the spool's file system
	Metrics    *prometheus.Registry
	Ready      func() error // why no captures should be started here
	Keys       *access.Keys
	Sessions   int  // that may be open at once
	Secure     bool // pages are served over TLS
	Version    string
	Log        *slog.Logger
}

type server struct {
	Config
	api      huma.API
	sessions *access.Sessions
	throttle access.Throttle
	refused  refusals

	overviews *overviews
}

// hookProblems guards the framework's one hook for errors, which is global.
var hookProblems sync.Once

// New returns the handler of /v1, /openapi.json, /healthz, /readyz and
// /metrics.
func New(c Config) http.Handler {
	s := &server{Config: c, sessions: access.NewSessions(c.Keys, c.Sessions), overviews: newOverviews()}
	hookProblems.Do(func() { huma.NewError = frameworkProblem })
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("Mixdown", c.Version)
	hc.Info.Description = "Captures rooms: mixes what is said, publishes the mix and records it in segments."
	hc.RejectUnknownQueryParameters = true // a filter with a slip in it must not list everything
	hc.DocsPath = ""                       // the stock page loads from elsewhere
	hc.SchemasPath = "/schemas"
	hc.CreateHooks = nil // no $schema links in answers
	hc.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	hc.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[storage.Time](), reflect.TypeFor[time.Time]())
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}}
	hc.Security = []map[string][]string{{"key": {}}}
	s.api = humago.New(mux, hc)
	s.api.UseMiddleware(s.authorize, s.audited)
	s.captureRoutes()
	s.eventRoutes()
	s.meterRoutes()
	s.webhookRoutes()
	s.recordingRoutes()
	s.overviewRoutes()
	s.eraseRoutes()
	s.retentionRoutes()
	s.auditRoutes()
	s.spoolRoutes()
	s.roomRoutes()
	s.ruleRoutes()
	s.completenessRoutes()
	s.accessRoutes()
	s.signingKeyRoutes()
	s.healthRoutes(mux)
	docs, err := s.docs()
	if err != nil {
		panic("api: " + err.Error()) // the template is ours
	}
	mux.HandleFunc("GET /docs", docs)
	for _, path := range []string{"/v1", "/v1/"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.unrouted(mux, w, r) })
	}
	return s.watch(s.observe(mux))
}

// refuse asks for a key.
func refuse(w http.ResponseWriter, detail string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="mixdown"`)
	newProblem(http.StatusUnauthorized, "unauthorized", "%s", detail).serve(w)
}

// unrouted answers what no operation takes. Without a key it says no more
// than that one is needed.
func (s *server) unrouted(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	if _, ok := s.identify(w, r); !ok {
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); strings.HasPrefix(pattern, method+" ") || (method == http.MethodHead && strings.HasPrefix(pattern, "GET ")) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		newProblem(http.StatusNotFound, "not_found", "there is no %s; /openapi.json lists all calls", r.URL.Path).serve(w)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "%s takes %s, not %s", r.URL.Path, strings.Join(allowed, ", "), r.Method).serve(w)
}

// observe logs what went wrong and keeps one request's panic to itself.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			s.Log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "took", time.Since(start))
			newProblem(http.StatusInternalServerError, "internal", "internal error; the daemon's log says more").serve(w)
		}()
		next.ServeHTTP(w, r)
		if rec, ok := w.(*recorder); ok && rec.status == http.StatusInternalServerError {
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "answer", string(rec.problem), "took", time.Since(start))
		}
	})
}

// register adds a JSON operation.
func register[I, O any](s *server, method, path, id, summary string, f func(context.Context, *I) (*O, error), also ...int) {
	huma.Register(s.api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Errors: append([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity}, also...),
	}, f)
}

// schemaName names a type in the OpenAPI file by package and name, so that
// capture's and storage's types of one name stay apart.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || pkg == "." || pkg == "api" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
}
