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

	"mixdown/access"
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

	Disposed bool `query:"disposed" doc:"Those that were disposed of, the latest first, instead of those that are there."`
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

	RetainUntil *storage.Time `json:"retainUntil,omitempty" doc:"When its retention is over; missing: it is kept for ever, or still runs."`
	Holds       []string      `json:"holds,omitempty" doc:"The holds that keep it."`
	Disposed    *disposed     `json:"disposed,omitempty"`
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

func (s *server) listRecordings(ctx context.Context, in *recordingFilter) (*recordingList, error) {
	if in.Disposed {
		return s.listDisposed(ctx, in)
	}
	behind, ok := parsePlace(in.Cursor)
	if !ok {
		return nil, newProblem(http.StatusBadRequest, "bad_cursor", "cursor %q is not from a list of recordings", in.Cursor)
	}
	all := s.Captures.List()
	slices.Reverse(all)
	out, last := &recordingList{}, place{}
	out.Body.Recordings = []recording{}
	for _, c := range all {
		if len(c.Storages()) == 0 {
			continue
		}
		st := c.Status()
		if behind.before(placeOf(st)) {
			continue
		}
		if !access.From(ctx).In(st.Room.RoomID) || !in.matches(st) {
			continue
		}
		if len(out.Body.Recordings) == in.Limit {
			out.Body.NextCursor = last.String()
			break
		}
		out.Body.Recordings, last = append(out.Body.Recordings, s.summary(c, st)), placeOf(st)
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

func (s *server) summary(c *capture.Capture, st capture.Status) recording {
	r := recording{
		ID: st.ID, Room: storage.Room{System: st.Room.System, RoomID: st.Room.RoomID}, State: string(st.State),
		Start: st.Start, End: st.End, Seconds: st.Seconds, Storage: c.Storages(), Labels: st.Labels,
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	for _, o := range st.Outputs {
		r.Segments += o.Segments
	}
	if keep, err := s.Retention.Standing(st.ID); err == nil {
		r.RetainUntil, r.Holds = keep.RetainUntil, keep.Holds
	}
	return r
}

func (s *server) getRecording(ctx context.Context, in *captureID) (*manifestOutput, error) {
	_, m, err := s.manifest(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &manifestOutput{m}, nil
}

// manifest reads the manifest of a recording.
func (s *server) manifest(ctx context.Context, id string) (raw []byte, m *storage.Manifest, err error) {
	f, _, err := s.open(ctx, id, storage.ManifestName)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if raw, err = io.ReadAll(f); err == nil {
		m, err = storage.DecodeManifest(raw)
	}
	if err != nil {
		return nil, nil, problemOf(fmt.Errorf("recording %s: %w", id, err))
	}
	return raw, m, nil
}

// verifyRecording checks a recording in every storage that holds a part of
// it. What has not arrived in one yet is not broken: a note says so.
func (s *server) verifyRecording(ctx context.Context, in *captureID) (*verifyOutput, error) {
	all, base, err := s.browse(in.ID)
	if err != nil {
		return nil, err
	}
	out := &verifyOutput{}
	out.Body.Intact, out.Body.Problems = true, []storage.Problem{}
	for _, h := range all {
		if n, _ := s.Pending(h.name, base); n > 0 {
			out.Body.Intact = false
			out.Body.Notes = append(out.Body.Notes, fmt.Sprintf("storage %s: not checked: %d files still wait in the spool", h.name, n))
			continue
		}
		report, err := storage.Verify(ctx, h.Browser, base, storage.VerifyOptions{PublicKeys: s.PublicKeys(), TimeStamp: s.TimeStamp, Bucket: h.name, Probe: s.Probe})
		if h.backup && errors.Is(err, fs.ErrNotExist) {
			continue // the rule: its storage was never away for long
		}
		if err != nil {
			return nil, h.problem(fmt.Errorf("verify recording %s: %w", in.ID, err))
		}
		if h.backup { // it holds what its storage could not be given, and need not be whole
			out.Body.Notes = append(out.Body.Notes, fmt.Sprintf("backup %s: holds %d segments that are whole", h.name, report.Segments))
			for _, p := range report.Problems {
				out.Body.Notes = append(out.Body.Notes, fmt.Sprintf("backup %s: %s", h.name, p))
			}
			continue
		}
		out.Body.Intact = out.Body.Intact && report.Intact
		for _, p := range report.Problems {
			if h.name != capture.LocalStorage {
				p.Text = "storage " + h.name + ": " + p.Text
			}
			out.Body.Problems = append(out.Body.Problems, p)
		}
		for _, n := range report.Notes {
			out.Body.Notes = append(out.Body.Notes, "storage "+h.name+": "+n)
		}
	}
	return out, nil
}

func (s *server) getFile(_ context.Context, in *fileInput) (*huma.StreamResponse, error) {
	if _, _, err := s.browse(in.ID); err != nil {
		return nil, err
	}
	if !fs.ValidPath(in.Path) {
		return nil, newProblem(http.StatusBadRequest, "bad_path", "%q is not a path of the manifest", in.Path)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		f, o, err := s.open(r.Context(), in.ID, in.Path)
		if err != nil {
			s.write(ctx, asProblem(err))
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", storage.ContentType(in.Path))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, path.Base(in.Path), o.ModTime, f)
	}}, nil
}
