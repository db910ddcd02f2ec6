package main

import (
	"context"
	"fmt"
	"path/filepath"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// encryption is to whom recordings are encrypted. A key that is none stops the
// start: what was to be encrypted must not be recorded in the clear.
func encryption(c configs.Config) (capture.Encryption, error) {
	to, err := crypt.ParseRecipients(c.Encryption.Recipients)
	if err != nil {
		return capture.Encryption{}, fmt.Errorf("encryption.recipients: %w", err)
	}
	file := c.Encryption.HostKey
	if file == "" {
		file = filepath.Join(c.Data, "keys", "host.key")
	}
	return capture.Encryption{Recipients: to.Strings(), Required: c.Encryption.Required, Host: crypt.NewHost(file)}, nil
}

// erase destroys keys of a recording of this daemon, in every storage.
func (d *daemon) erase(ctx context.Context, id string, e storage.Erasure) (*storage.SealedRecording, error) {
	c, err := d.captures.Get(id)
	if err != nil {
		return nil, err
	}
	if n, _ := d.spool.Pending("", c.Base()); !c.Status().State.Ended() || n > 0 {
		return nil, fmt.Errorf("recording %s: it runs, or %d of its files still wait in the spool: %w", id, n, storage.ErrNotSealed)
	}
	e.Base, e.Key, e.Places = c.Base(), d.signing, map[string]storage.Place{}
	for name, b := range d.buckets {
		place, ok := b.(storage.Place)
		if !ok {
			return nil, fmt.Errorf("storage %s cannot delete", name)
		}
		e.Places[name] = place
	}
	var r *storage.SealedRecording
	err = d.keeper.WhileFree(recordingOf(c), func() (err error) { // a hold overrides erasure, too
		r, err = e.Run(ctx)
		return err
	})
	return r, err
}
