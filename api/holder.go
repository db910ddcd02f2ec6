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

	"mixdown/capture"
	"mixdown/storage"
)

// holder is a storage that holds a recording, or a part of it.
type holder struct {
	storage.Browser
	name   string
	backup bool // only for what a storage could not be given
}

// browse finds the storages of a recording, in the order in which its capture
// names them, and its folder in each.
func (s *server) browse(id string) (all []holder, base string, err error) {
	c, err := s.Captures.Get(id)
	if err != nil {
		if _, gone := s.Retention.Standing(id); gone != nil {
			return nil, "", problemOf(gone)
		}
		return nil, "", newProblem(http.StatusNotFound, "recording_not_found", "there is no recording %q", id)
	}
	storages := c.Storages()
	for _, name := range c.Places() {
		h := holder{s.Recordings[name], name, !slices.Contains(storages, name)}
		switch {
		case h.Browser == nil:
		case name == capture.LocalStorage && !h.backup: // the nearest comes first
			all = append([]holder{h}, all...)
		default:
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		return nil, "", newProblem(http.StatusNotFound, "recording_not_found", "capture %s has no files in a storage that is configured", id)
	}
	return all, c.Base(), nil
}

// open opens a file of a recording; the error is a problem.
func (s *server) open(ctx context.Context, id, name string) (io.ReadSeekCloser, storage.Object, error) {
	f, o, err := s.openFile(ctx, id, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = newProblem(http.StatusNotFound, "file_not_found", "recording %s has no file %s", id, name)
	}
	return f, o, err
}

// openFile opens a file of a recording where it is found first: not every output
// is in every storage. The error wraps fs.ErrNotExist if it is nowhere, else it is
// a problem.
func (s *server) openFile(ctx context.Context, id, name string) (io.ReadSeekCloser, storage.Object, error) {
	all, base, err := s.browse(id)
	if err != nil {
		return nil, storage.Object{}, err
	}
	var trouble error
	for _, h := range all {
		f, o, err := h.Open(ctx, path.Join(base, name))
		if err == nil {
			return f, o, nil
		}
		if errors.Is(err, fs.ErrInvalid) {
			return nil, storage.Object{}, newProblem(http.StatusBadRequest, "bad_path", "%q is not a path of the manifest", name)
		}
		if !errors.Is(err, fs.ErrNotExist) && trouble == nil {
			trouble = h.problem(err)
		}
	}
	if trouble != nil {
		return nil, storage.Object{}, trouble
	}
	return nil, storage.Object{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// problem tells the trouble of a bucket elsewhere from the daemon's own.
func (h holder) problem(err error) error {
	if h.name == capture.LocalStorage || errors.Is(err, fs.ErrNotExist) {
		return problemOf(err)
	}
	return newProblem(http.StatusServiceUnavailable, "storage_unavailable", "%s", fmt.Errorf("storage %s: %w", h.name, err))
}
