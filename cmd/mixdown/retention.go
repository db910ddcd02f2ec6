package main

import (
	"context"
	"path/filepath"

	"mixdown/audit"
	"mixdown/capture"
	"mixdown/retention"
	"mixdown/storage"
)

// openAudit opens the log of acts.
func (d *daemon) openAudit(key *storage.Key) (err error) {
	dir := filepath.Join(d.config.Data, "audit")
	unlock, err := audit.Lock(dir)
	if err != nil {
		return err
	}
	d.onClose(unlock)
	d.audit, err = audit.Open(audit.Config{Dir: dir, Key: key, Events: d.events, Log: d.log})
	if err == nil {
		d.onClose(d.audit.Close)
	}
	return err
}

// openRetention opens what keeps recordings and disposes of them.
func (d *daemon) openRetention(buckets map[string]storage.Bucket, key *storage.Key) (err error) {
	storages := map[string]retention.Storage{}
	for name, b := range buckets {
		if s, ok := b.(retention.Storage); ok {
			storages[name] = s
		}
	}
	classes := map[string]retention.Class{}
	for name, c := range d.config.Retention.Classes {
		classes[name] = retention.Class{Days: c.Days, Lock: storage.LockMode(c.Lock), Early: c.Early}
	}
	d.keeper, err = retention.New(retention.Config{
		Dir: filepath.Join(d.config.Data, "retention"), Disposals: filepath.Join(d.config.Data, "disposals"),
		Classes: classes, Default: d.config.Retention.Default, Recordings: recorded{d.captures}, Storages: storages,
		Pending: d.spool.Pending, Key: key, Audit: d.audit, Events: d.events, Log: d.log,
		Put: func(key string, data []byte, storages []string) error {
			_, err := d.spool.Put(key, data, storages)
			return err
		},
	})
	return err
}

// retain decides how long a new recording is kept.
func (d *daemon) retain(id string, spec capture.Spec) (*storage.Retention, error) {
	return d.keeper.Admit(context.Background(), id, spec.Retention.Class, spec.Retention.Days, d.places(spec))
}

// places are the storages that get the files of a spec, and those that may.
func (d *daemon) places(spec capture.Spec) (all []string) {
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	for _, r := range spec.Record {
		name := r.Storage
		if name == "" {
			name = capture.LocalStorage
		}
		add(name)
		for _, backup := range d.config.Backups(name) {
			add(backup)
		}
	}
	return all
}

// lockOf is the lock with which the uploader stores an object.
func (d *daemon) lockOf(bucket, key string) storage.Lock { return d.keeper.LockOf(bucket, key) }

// uploaded tells who looks after locks of what came to a bucket.
func (d *daemon) uploaded(bucket, key string, err error) { d.keeper.Uploaded(bucket, key, err) }

// recorded shows captures to retention.
type recorded struct{ captures *capture.Manager }

// Get implements retention.Recordings.
func (r recorded) Get(id string) (retention.Recording, bool) {
	c, err := r.captures.Get(id)
	if err != nil {
		return retention.Recording{}, false
	}
	return recordingOf(c), true
}

// All implements retention.Recordings.
func (r recorded) All() (all []retention.Recording) {
	for _, c := range r.captures.List() {
		all = append(all, recordingOf(c))
	}
	return all
}

// Forget implements retention.Recordings.
func (r recorded) Forget(id string) error { return r.captures.Forget(id) }

func recordingOf(c *capture.Capture) retention.Recording {
	st := c.Status()
	r := retention.Recording{
		ID: st.ID, Room: storage.Room{System: st.Room.System, RoomID: st.Room.RoomID}, Labels: st.Labels,
		Start: st.Start.Time, Base: c.Base(), Storages: c.Places(), Policy: c.Retention(),
	}
	if st.State.Ended() && st.End != nil {
		r.End = st.End.Time
	}
	seen := map[string]bool{}
	add := func(user string) {
		if user != "" && !seen[user] {
			seen[user] = true
			r.Users = append(r.Users, user)
		}
	}
	for _, u := range st.Users {
		add(u.UserID)
	}
	for _, s := range st.Streams {
		add(s.User.ID)
	}
	return r
}
