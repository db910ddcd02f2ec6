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
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"mixdown/capture"
	"mixdown/rooms"
	"mixdown/storage"
)

// Config is what the API shows and steers.
type Config struct {
	Captures   *capture.Manager
	Rooms      *rooms.Service
	Recordings map[string]storage.Browser                                    // by the name of their storage
	Probe      func(path string, r io.ReadSeeker) (samples int64, err error) // opens audio files for verify
	PublicKeys []string                                                      // that recordings may be signed with
	Uploads    func() map[string]storage.BucketStats
	Metrics    *prometheus.Registry
	Ready      func() error // why the daemon is not ready
	Key        string       // the admin key
	Version    string
	Log        *slog.Logger
}

type server struct {
	Config
	keySum [sha256.Size]byte
	api    huma.API
}

// New returns the handler of /v1, /openapi.json, /healthz, /readyz and
// /metrics.
func New(c Config) http.Handler {
	s := &server{Config: c, keySum: sha256.Sum256([]byte(c.Key))}
	huma.NewError = frameworkProblem // the framework's one hook for this
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("Mixdown", c.Version)
	hc.Info.Description = "Captures rooms: mixes what is said, publishes the mix and records it in segments."
	hc.DocsPath = "" // the stock page loads from elsewhere
	hc.SchemasPath = "/schemas"
	hc.CreateHooks = nil // no $schema links in answers
	hc.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	hc.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[storage.Time](), reflect.TypeFor[time.Time]())
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}}
	hc.Security = []map[string][]string{{"key": {}}}
	s.api = humago.New(mux, hc)
	s.api.UseMiddleware(s.authorize)
	s.captureRoutes()
	s.recordingRoutes()
	s.roomRoutes()
	s.healthRoutes(mux)
	return s.observe(mux)
}

// authorize lets a request through that carries the API key.
func (s *server) authorize(ctx huma.Context, next func(huma.Context)) {
	given, ok := strings.CutPrefix(ctx.Header("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(given))
	if !ok || subtle.ConstantTimeCompare(sum[:], s.keySum[:]) != 1 {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="mixdown"`)
		p := newProblem(http.StatusUnauthorized, "unauthorized",
			"this call needs an API key: Authorization: Bearer <key>; the daemon keeps its key in <data>/api-key")
		s.write(ctx, p)
		return
	}
	next(ctx)
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
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "took", time.Since(start))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// register adds a JSON operation.
func register[I, O any](s *server, method, path, id, summary string, f func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusUnprocessableEntity},
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
