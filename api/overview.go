package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"

	"mixdown/overview"
	"mixdown/storage"
)

const (
	// mostMeasured is how much of a recording that was sealed without an
	// overview is decoded to make one: some ten seconds of work.
	mostMeasured = 4 * 3600 * 48000
	// mostOverview bounds what is read as an overview.json: a day of a hundred
	// streams has 120 MB.
	mostOverview = 256 << 20
	// keptOverviews is how many recordings somebody may look at in turns
	// without any being read again.
	keptOverviews = 8
)

type overviewInput struct {
	ID     string  `path:"id" maxLength:"64"`
	From   float64 `query:"from" minimum:"0" doc:"Seconds from the recording's start."`
	To     float64 `query:"to" minimum:"0" doc:"Seconds from the recording's start; 0 is its end."`
	Points int     `query:"points" minimum:"1" maximum:"10000" default:"1000" doc:"How many peaks a wave has at most; spans that are closer together than they are become one."`
}

type overviewOutput struct{ Body *overview.Overview }

func (s *server) overviewRoutes() {
	register(s, http.MethodGet, "/v1/recordings/{id}/overview", "get-overview", "What a recording looks like: peaks, who was there and spoke, losses, pauses and gaps", s.getOverview)
}

func (s *server) getOverview(ctx context.Context, in *overviewInput) (*overviewOutput, error) {
	raw, m, err := s.manifest(ctx, in.ID)
	switch {
	case err != nil:
		return nil, err
	case m.Sealed == nil:
		return nil, newProblem(http.StatusConflict, "recording_not_sealed", "recording %s is not sealed yet; what it looks like is known when it has ended", in.ID)
	case m.Encryption != nil:
		return nil, newProblem(http.StatusConflict, "recording_encrypted", "recording %s is encrypted: its levels are for those who hold a key, and this daemon does not", in.ID)
	}
	o, err := s.overviews.get(ctx, sha256.Sum256(raw), func() (*overview.Overview, error) { return s.look(ctx, in.ID, m) })
	if err != nil {
		return nil, err
	}
	if in.To > 0 && in.To < in.From {
		return nil, newProblem(http.StatusUnprocessableEntity, "invalid_request", "to (%g) lies before from (%g)", in.To, in.From)
	}
	return &overviewOutput{o.View(whole(in.From), whole(in.To), in.Points)}, nil
}

// whole is seconds as milliseconds; a time beyond any recording is that.
func whole(seconds float64) int64 { return int64(min(math.Round(seconds*1000), 1e15)) }

// look reads the overview that was sealed with a recording. One that was sealed
// without, or has another now than its manifest vouches for, is measured.
func (s *server) look(ctx context.Context, id string, m *storage.Manifest) (*overview.Overview, error) {
	if i := slices.IndexFunc(m.Files, func(d storage.Document) bool { return d.Path == storage.OverviewName }); i >= 0 {
		raw, err := s.read(ctx, id, storage.OverviewName, mostOverview)
		if err != nil {
			s.Log.Warn("an overview is not there; the recording is measured", "recording", id, "err", err)
		} else if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != m.Files[i].SHA256 {
			s.Log.Warn("an overview is not what was sealed; the recording is measured", "recording", id)
		} else if o, err := overview.Decode(raw); err == nil {
			return o, nil
		}
	}
	o, err := overview.Measure(ctx, m, func(ctx context.Context, path string) (io.ReadCloser, error) {
		f, _, err := s.openFile(ctx, id, path)
		return f, err
	}, mostMeasured)
	if err != nil {
		return nil, problemOf(fmt.Errorf("recording %s: %w", id, err))
	}
	return o, nil
}

// read reads a file of a recording that is no larger than most.
func (s *server) read(ctx context.Context, id, name string, most int64) ([]byte, error) {
	f, o, err := s.openFile(ctx, id, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Size > most {
		return nil, fmt.Errorf("%s has %d bytes: too many to be what its name says", name, o.Size)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// overviews keeps what was looked at last. One is read or measured at a time:
// measuring takes a core.
type overviews struct {
	busy chan struct{} // holds one while somebody reads or measures

	mu   sync.Mutex
	kept []keptOverview // the last one that was asked for comes first
}

type keptOverview struct {
	of [32]byte // SHA-256 of the manifest
	*overview.Overview
}

func newOverviews() *overviews { return &overviews{busy: make(chan struct{}, 1)} }

// get finds the overview of a manifest or has it made; who waits may give up.
func (o *overviews) get(ctx context.Context, of [32]byte, look func() (*overview.Overview, error)) (*overview.Overview, error) {
	if v := o.find(of); v != nil {
		return v, nil
	}
	select {
	case o.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-o.busy }()
	if v := o.find(of); v != nil { // while this waited
		return v, nil
	}
	v, err := look()
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = slices.Insert(o.kept, 0, keptOverview{of, v})
	o.kept = o.kept[:min(len(o.kept), keptOverviews)]
	return v, nil
}

func (o *overviews) find(of [32]byte) *overview.Overview {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.kept, func(k keptOverview) bool { return k.of == of })
	if i < 0 {
		return nil
	}
	k := o.kept[i]
	o.kept = slices.Insert(slices.Delete(o.kept, i, i+1), 0, k)
	return k.Overview
}
