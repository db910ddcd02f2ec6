package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/capture"
	"mixdown/storage"
)

// slowListener is how long a listener may leave its connection full.
const slowListener = 10 * time.Second

func deadline() time.Time { return time.Now().Add(slowListener) }

type recordingFilter struct {
	Room   string    `query:"room"`
	User   string    `query:"user" doc:"Recordings with a stream of this user."`
	From   time.Time `query:"from" doc:"That end after this instant."`
	To     time.Time `query:"to" doc:"That start before this instant."`
	Label  string    `query:"label" doc:"name=value, or a name."`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string    `query:"cursor"`
}

// recording is an entry of the list of recordings.
type recording struct {
	ID       string            `json:"id"`
	Room     storage.Room      `json:"room"`
	State    string            `json:"state"`
	Start    storage.Time      `json:"start"`
	End      *storage.Time     `json:"end"`
	Seconds  float64           `json:"seconds"`
	Segments int               `json:"segments"`
	Storage  []string          `json:"storage"`
	Labels   map[string]string `json:"labels"`
}

type recordingList struct {
	Body struct {
		Recordings []recording `json:"recordings"`
		NextCursor string      `json:"nextCursor,omitempty"`
	}
}

type manifestOutput struct{ Body *storage.Manifest }

type verifyOutput struct {
	Body struct {
		Intact   bool              `json:"intact"`
		Problems []storage.Problem `json:"problems"`
		Notes    []string          `json:"notes,omitempty" doc:"What could not be checked, and why."`
	}
}

type fileInput struct {
	ID   string `path:"id" maxLength:"64"`
	Path string `path:"path" doc:"A path of the manifest."`
}

func (s *server) recordingRoutes() {
	register(s, http.MethodGet, "/v1/recordings", "list-recordings", "List recordings, newest first", s.listRecordings)
	register(s, http.MethodGet, "/v1/recordings/{id}", "get-recording", "The manifest of a recording", s.getRecording)
	register(s, http.MethodPost, "/v1/recordings/{id}/verify", "verify-recording", "Check a recording", s.verifyRecording)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-file", Method: http.MethodGet, Path: "/v1/recordings/{id}/files/{path...}",
		Summary:   "Download a file of a recording; ranges are supported",
		Responses: map[string]*huma.Response{"200": {Description: "The file"}, "206": {Description: "A part of the file"}},
	}, s.getFile)
}

func (s *server) listRecordings(_ context.Context, in *recordingFilter) (*recordingList, error) {
	all := s.Captures.List()
	slices.Reverse(all)
	out := &recordingList{}
	out.Body.Recordings = []recording{}
	skipping := in.Cursor != ""
	for _, c := range all {
		if len(c.Storages()) == 0 {
			continue
		}
		st := c.Status()
		if skipping {
			skipping = st.ID != in.Cursor
			continue
		}
		if !in.matches(st) {
			continue
		}
		if len(out.Body.Recordings) == in.Limit {
			out.Body.NextCursor = out.Body.Recordings[in.Limit-1].ID
			break
		}
		out.Body.Recordings = append(out.Body.Recordings, summary(c, st))
	}
	return out, nil
}

func (f *recordingFilter) matches(st capture.Status) bool {
	if f.Room != "" && st.Room.RoomID != f.Room {
		return false
	}
	if f.User != "" && !slices.ContainsFunc(st.Streams, func(s capture.StreamStatus) bool { return s.User.ID == f.User }) {
		return false
	}
	if !f.From.IsZero() && st.End != nil && st.End.Before(f.From) {
		return false
	}
	if !f.To.IsZero() && st.Start.After(f.To) {
		return false
	}
	return f.Label == "" || capture.HasLabel(st.Labels, f.Label)
}

func summary(c *capture.Capture, st capture.Status) recording {
	r := recording{
		ID: st.ID, Room: storage.Room{System: st.Room.System, RoomID: st.Room.RoomID}, State: string(st.State),
		Start: st.Start, End: st.End, Seconds: st.Seconds, Storage: c.Storages(), Labels: st.Labels,
	}
	for _, o := range st.Outputs {
		r.Segments += o.Segments
	}
	return r
}

// browse finds a storage that holds a recording and can be read back.
func (s *server) browse(id string) (b storage.Browser, base, bucket string, err error) {
	c, err := s.Captures.Get(id)
	if err != nil {
		return nil, "", "", newProblem(http.StatusNotFound, "recording_not_found", "there is no recording %q", id)
	}
	for _, name := range c.Storages() {
		if b := s.Recordings[name]; b != nil {
			return b, c.Base(), name, nil
		}
	}
	return nil, "", "", newProblem(http.StatusNotFound, "recording_not_found", "capture %s records no files", id)
}

func (s *server) getRecording(ctx context.Context, in *captureID) (*manifestOutput, error) {
	b, base, _, err := s.browse(in.ID)
	if err != nil {
		return nil, err
	}
	r, _, err := b.Open(ctx, path.Join(base, storage.ManifestName))
	if err != nil {
		return nil, problemOf(fmt.Errorf("recording %s: %w", in.ID, err))
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, problemOf(err)
	}
	m, err := storage.DecodeManifest(raw)
	if err != nil {
		return nil, problemOf(err)
	}
	return &manifestOutput{m}, nil
}

func (s *server) verifyRecording(ctx context.Context, in *captureID) (*verifyOutput, error) {
	b, base, bucket, err := s.browse(in.ID)
	if err != nil {
		return nil, err
	}
	report, err := storage.Verify(ctx, b, base, storage.VerifyOptions{PublicKeys: s.PublicKeys, Bucket: bucket, Probe: s.Probe})
	if err != nil {
		return nil, problemOf(fmt.Errorf("verify recording %s: %w", in.ID, err))
	}
	out := &verifyOutput{}
	out.Body.Intact, out.Body.Problems, out.Body.Notes = report.Intact, report.Problems, report.Notes
	if out.Body.Problems == nil {
		out.Body.Problems = []storage.Problem{}
	}
	return out, nil
}

func (s *server) getFile(_ context.Context, in *fileInput) (*huma.StreamResponse, error) {
	b, base, _, err := s.browse(in.ID)
	if err != nil {
		return nil, err
	}
	if !fs.ValidPath(in.Path) {
		return nil, newProblem(http.StatusBadRequest, "bad_path", "%q is not a path of the manifest", in.Path)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		f, o, err := b.Open(r.Context(), path.Join(base, in.Path))
		if err != nil {
			status, code := http.StatusInternalServerError, "internal"
			if errors.Is(err, fs.ErrNotExist) {
				status, code = http.StatusNotFound, "file_not_found"
			}
			s.write(ctx, newProblem(status, code, "file %s of recording %s: %v", in.Path, in.ID, err))
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", contentType(in.Path))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, path.Base(in.Path), o.ModTime, f)
	}}, nil
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".ogg":
		return "audio/ogg"
	case ".wav":
		return "audio/wav"
	case ".flac":
		return "audio/flac"
	case ".json":
		return "application/json"
	case ".jsonl":
		return "application/jsonl"
	case ".sig":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
