package api

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"

	"mixdown/access"
	"mixdown/storage"
)

type eraseInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		UserID   string `json:"userID" minLength:"1" doc:"Whose voice."`
		StreamID string `json:"streamID,omitempty" doc:"Only this stream of the user."`
		Reason   string `json:"reason" minLength:"1" doc:"Why; stands in the certificate."`
	}
}

type eraseOutput struct {
	Body struct {
		Certificate storage.Amendment `json:"certificate" doc:"The newest amendment of the recording, as it is stored and signed."`
		Mixed       bool              `json:"mixed" doc:"Whether a mix is left. If not, somebody with the identity of a recipient can make one: mixdown erase --identity."`
	}
}

func (s *server) eraseRoutes() {
	register(s, http.MethodPost, "/v1/recordings/{id}/erase", "erase-recording", "Erase a user's voice from an encrypted recording: destroy its keys, and those of the mixes", s.erase)
}

// erase destroys keys. Nothing is mixed anew: the daemon cannot read what it
// has recorded.
func (s *server) erase(ctx context.Context, in *eraseInput) (*eraseOutput, error) {
	if _, _, err := s.browse(in.ID); err != nil {
		return nil, err
	}
	r, err := s.Erase(ctx, in.ID, storage.Erasure{
		UserID: in.Body.UserID, StreamID: in.Body.StreamID, By: "key " + access.From(ctx).ID, Reason: in.Body.Reason,
	})
	switch {
	case errors.Is(err, storage.ErrInTheClear):
		return nil, newProblem(http.StatusConflict, "recording_not_encrypted", "%s", err)
	case errors.Is(err, storage.ErrNotSealed):
		return nil, newProblem(http.StatusConflict, "recording_not_sealed", "%s", err)
	case errors.Is(err, storage.ErrNotDestroyed): // also if a lock is why: the certificate is written
		return nil, newProblem(http.StatusServiceUnavailable, "erasure_incomplete", "%s", err)
	case errors.Is(err, storage.ErrLocked):
		return nil, newProblem(http.StatusConflict, "recording_locked", "%s", err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, newProblem(http.StatusNotFound, "stream_not_found", "%s", err)
	case errors.Is(err, storage.ErrNotErased):
		return nil, newProblem(http.StatusServiceUnavailable, "storage_unavailable", "%s", err)
	case err != nil:
		return nil, problemOf(err)
	}
	out := &eraseOutput{}
	out.Body.Certificate = r.Amendments[len(r.Amendments)-1]
	out.Body.Mixed = slices.ContainsFunc(r.Keys(), func(k storage.KeyFile) bool { return k.Of == storage.KeyOfMix })
	return out, nil
}
