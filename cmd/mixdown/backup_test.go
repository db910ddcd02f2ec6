package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/configs"
	"mixdown/storage"
)

// TestBackupStorage: what a storage could not be given for backupAfter is read
// from its backup meanwhile, and is in both in the end.
func TestBackupStorage(t *testing.T) {
	t.Parallel()
	edit, server := withBucket(t)
	g := newGate(t, server.Endpoint)
	h := startHere(t, edit, func(c *configs.Config) {
		a := c.Storages["archive"]
		a.Endpoint, a.Backup, a.BackupAfter = "http://"+g.Addr().String(), "local", time.Second
		c.Storages["archive"] = a
	})
	body := spec("r")
	body["record"] = []any{map[string]any{"what": "mix", "storage": "archive"}}
	h.ask("PUT", "/v1/captures/c", body).ok(201)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	eventually(t, "the recording is in the backup", 60*time.Second, func() bool {
		return h.ask("GET", "/v1/recordings/c", nil).status == 200
	})
	verify := func() (intact bool, notes string) {
		v := decode[struct {
			Intact bool
			Notes  []string
		}](h.ask("POST", "/v1/recordings/c/verify", nil).ok(200))
		return v.Intact, strings.Join(v.Notes, "\n")
	}
	if intact, notes := verify(); intact || !strings.Contains(notes, "still wait in the spool") || !strings.Contains(notes, "backup local") {
		t.Errorf("while the storage is away: intact %v, %s", intact, notes)
	}
	g.open.Store(true)
	eventually(t, "the recording is in its storage", 60*time.Second, func() bool {
		n, _ := h.spool.Pending("archive", "")
		return n == 0
	})
	if intact, notes := verify(); !intact {
		t.Errorf("in the end: not intact, %s", notes)
	}
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/c", nil).ok(200))
	for _, o := range m.Outputs {
		if len(o.Backup) != 1 || o.Backup[0] != "local" {
			t.Errorf("the manifest names %v as backup of %s", o.Backup, o.ID)
		}
	}
	for name, dir := range map[string]string{"archive": filepath.Join(server.Dir, "calls"), "local": filepath.Join(h.config.Data, "recordings")} {
		if found, err := filepath.Glob(filepath.Join(dir, "r", "c", "manifest.json")); err != nil || len(found) != 1 {
			t.Errorf("%s has %v, %v", name, found, err)
		}
	}
}
