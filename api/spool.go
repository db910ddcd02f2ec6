package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mixdown/access"
	"mixdown/storage"
)

// spoolStatus is what waits, what does not get on, and how long there is room.
type spoolStatus struct {
	Body struct {
		storage.Aside
		Space    storage.SpaceStats       `json:"space" doc:"Of the data folder's file system."`
		Storages map[string]storageStatus `json:"storages" doc:"By name; one that is not configured any more appears while files wait for it."`
	}
}

// storageStatus is how the uploads to one storage get on.
type storageStatus struct {
	Pending       int        `json:"pendingFiles"`
	Bytes         int64      `json:"pendingBytes"`
	OldestSeconds float64    `json:"oldestSeconds" doc:"How long the oldest of them has waited."`
	Uploaded      int64      `json:"uploadedFiles" doc:"Since the start of the daemon."`
	Failures      int64      `json:"failures" doc:"Likewise."`
	Conflicts     int64      `json:"conflicts" doc:"Likewise."`
	BackedUp      int64      `json:"backedUpFiles" doc:"That also went to the storage's backup, likewise."`
	Down          *time.Time `json:"downSince" doc:"Since when it takes nothing; null while it does."`
	LastError     string     `json:"lastError,omitempty" doc:"Of the latest try, if that failed."`
}

func (s *server) spoolRoutes() {
	register(s, http.MethodGet, "/v1/spool", "get-spool", "What waits for its storage, what was moved aside, and how long there is room", s.getSpool)
}

// getSpool leaves out for a key for some rooms what names files: those may be
// of others.
func (s *server) getSpool(ctx context.Context, _ *struct{}) (*spoolStatus, error) {
	out, whole := &spoolStatus{}, access.From(ctx).Everywhere()
	var err error
	if out.Body.Aside, err = s.Aside(); err != nil {
		return nil, problemOf(err)
	}
	if !whole {
		out.Body.Aside = storage.Aside{Quarantine: []string{}, Conflicts: []storage.ConflictFile{}}
	}
	out.Body.Space = s.Space()
	out.Body.Storages = map[string]storageStatus{}
	for name, st := range s.Uploads() {
		o := storageStatus{
			Pending: st.Pending, Bytes: st.Bytes, OldestSeconds: math.Round(st.Oldest.Seconds()),
			Uploaded: st.Uploaded, Failures: st.Failures, Conflicts: st.Conflicts, BackedUp: st.BackedUp, LastError: st.LastError,
		}
		if !whole {
			o.LastError = ""
		}
		if !st.Down.IsZero() {
			down := st.Down.UTC().Round(time.Millisecond)
			o.Down = &down
		}
		out.Body.Storages[name] = o
	}
	return out, nil
}

// collectRetention reads how what is over gets on.
func (s *server) collectRetention(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	st := s.Retention.Stats()
	gauge(desc("holds", "Holds that keep recordings."), float64(st.Holds))
	gauge(desc("disposals_pending", "Disposals of recordings that have begun and not ended."), float64(st.Disposing))
	gauge(desc("recordings_disposed", "Recordings that are no more and have a certificate."), float64(st.Disposed))
	gauge(desc("retention_troubled_recordings", "Recordings that could not be disposed of or locked, and are tried again."), float64(st.Troubled))
	blind := 0.0
	if s.Retention.Trouble() != nil {
		blind = 1
	}
	gauge(desc("retention_blind", "1 while holds cannot be read, so that nothing is disposed of; needs an operator."), blind)
}

// collectSpool reads the spool's figures for Prometheus.
func (s *server) collectSpool(gauge, counter func(d *prometheus.Desc, v float64, labels ...string)) {
	for bucket, st := range s.Uploads() {
		gauge(desc("upload_pending_files", "Objects in the spool that wait for a storage.", "storage"), float64(st.Pending), bucket)
		gauge(desc("upload_pending_bytes", "Their size.", "storage"), float64(st.Bytes), bucket)
		gauge(desc("upload_oldest_seconds", "How long the oldest of them has waited.", "storage"), st.Oldest.Seconds(), bucket)
		counter(desc("uploads_total", "Objects that arrived in a storage.", "storage"), float64(st.Uploaded), bucket)
		counter(desc("upload_conflicts_total", "Objects that another content kept out; each needs an operator.", "storage"), float64(st.Conflicts), bucket)
		counter(desc("upload_failures_total", "Tries that failed.", "storage"), float64(st.Failures), bucket)
		counter(desc("upload_backed_up_total", "Objects that also went to the storage's backup.", "storage"), float64(st.BackedUp), bucket)
		down := 0.0
		if !st.Down.IsZero() {
			down = 1
		}
		gauge(desc("storage_down", "1 while a storage takes nothing.", "storage"), down, bucket)
	}
	space := s.Space()
	hours := math.Inf(1)
	if space.HoursLeft != nil {
		hours = *space.HoursLeft
	}
	gauge(desc("spool_hours_left", "Hours until the spool is full at the present speed; +Inf if it does not fill."), hours)
	gauge(desc("spool_free_bytes", "Free on the data folder's file system."), float64(space.Free))
	gauge(desc("spool_free_ratio", "The part of it that is free, of bytes or of inodes, whichever is less."), space.Percent/100)
	if aside, err := s.Aside(); err == nil {
		gauge(desc("spool_quarantined_files", "Files that the spool did not know and moved aside; each needs an operator."), float64(len(aside.Quarantine)))
		gauge(desc("spool_conflicting_files", "Files that another object keeps out of a storage; each needs an operator."), float64(len(aside.Conflicts)))
	}
}
