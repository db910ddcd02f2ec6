package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/events"
	"mixdown/netguard"
	"mixdown/storage"
	"mixdown/storage/file"
	"mixdown/storage/s3"
)

// openStorages opens every bucket, to write and to read.
func (d *daemon) openStorages() (map[string]storage.Bucket, map[string]storage.Browser, error) {
	local, err := file.Open(filepath.Join(d.config.Data, "recordings"))
	if err != nil {
		return nil, nil, fmt.Errorf("storage local: %w", err)
	}
	d.onClose(local.Close)
	buckets := map[string]storage.Bucket{capture.LocalStorage: local}
	browsers := map[string]storage.Browser{capture.LocalStorage: local}
	for name, s := range d.config.Storages {
		b, err := openBucket(d.config.Network, s)
		if err != nil {
			return nil, nil, fmt.Errorf("storage %s: %w", name, err)
		}
		buckets[name], browsers[name] = b, b
	}
	return buckets, browsers, nil
}

// openBucket opens a storage of the configuration. Its connections go where its name
// leads at that time, but not to what answers only this machine.
func openBucket(n configs.Network, s configs.Storage) (*s3.Bucket, error) {
	guard, err := netguard.ForConfigured(n.Allow)
	if err != nil {
		return nil, fmt.Errorf("network.allow: %w", err)
	}
	if err := guard.CheckURL(s.Endpoint); err != nil {
		return nil, err
	}
	return s3.New(s3.Config{
		Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, PathStyle: s.PathStyle, Dial: guard.Dialer().DialContext,
	})
}

// openUploader makes what carries files from the spool to the buckets, and
// what watches the room that they take meanwhile.
func (d *daemon) openUploader(buckets map[string]storage.Bucket) {
	backups := map[string]storage.Backup{}
	for name, s := range d.config.Storages {
		if s.Backup == "" {
			continue
		}
		if s.BackupAfter == 0 {
			s.BackupAfter = configs.DefaultBackupAfter
		}
		backups[name] = storage.Backup{Bucket: s.Backup, After: s.BackupAfter}
	}
	d.uploader = storage.NewUploader(d.spool, buckets, storage.Options{Backups: backups, Lock: d.lockOf, Uploaded: d.uploaded, Notice: d.notice, Log: d.log})
	d.space = storage.NewSpace(d.config.Data, storage.SpaceOptions{Notice: d.notice, Log: d.log})
	if strange := d.spool.Quarantined(); len(strange) > 0 {
		d.notice(storage.Notice{Type: "spool.quarantined", Data: map[string]any{"files": strange}})
	}
}

// elsewhere says where else the files of each storage go.
func (d *daemon) elsewhere() map[string]capture.Elsewhere {
	all := map[string]capture.Elsewhere{}
	for name := range d.config.Storages {
		copies := d.config.Copies(name)
		all[name] = capture.Elsewhere{Copies: copies, Backups: d.config.Backups(name)[len(copies):]}
	}
	return all
}

// try tries a bucket out for a capture.
func try(buckets map[string]storage.Bucket) func(context.Context, string, capture.Spec) (storage.Probed, error) {
	return func(ctx context.Context, name string, _ capture.Spec) (storage.Probed, error) {
		return storage.Probe(ctx, buckets[name], storage.ProbeOptions{})
	}
}

// notice makes an event of what operators should hear of.
func (d *daemon) notice(n storage.Notice) {
	e := events.Event{Type: n.Type, Data: n.Data}
	if parts := strings.Split(n.Key, "/"); len(parts) > 2 { // <room>/<capture>/…
		e.Capture = parts[1]
		if c, err := d.captures.Get(e.Capture); err == nil {
			e.Room = c.Status().Room.RoomID
		}
	}
	d.events.Publish(e)
}
