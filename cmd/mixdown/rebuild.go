package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"mixdown/configs"
	"mixdown/storage"
)

// rebuildCommand is mixdown rebuild.
type rebuildCommand struct {
	Recording string `arg:"" help:"Folder of the recording, or s3://BUCKET/PREFIX." placeholder:"PATH"`
	Unsigned  bool   `help:"Do not sign with the data folder's key."`
	Identity  string `help:"File with the private key (age identity) of a recipient, for an encrypted recording." placeholder:"FILE"`
	Data      string `help:"Data folder, for the signing key." placeholder:"DIR"`
	Config    string `help:"Configuration file, for the bucket's endpoint and keys." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// Run makes the manifest of a recording from its segments.
func (r *rebuildCommand) Run(ctx context.Context, p process) error {
	c, err := configs.Load(r.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if r.Data != "" {
		c.Data = r.Data
	}
	b, prefix, name, err := (&verifyCommand{Recording: r.Recording}).open(c, p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	into, ok := b.(storage.Bucket)
	if !ok {
		return &exitError{exitUsage, fmt.Errorf("rebuild: %s cannot be written to", r.Recording)}
	}
	ring, err := unlock(ctx, b, prefix, r.Identity)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("rebuild: %w", err)}
	}
	full, err := filepath.Abs(r.Recording)
	if err != nil {
		return err
	}
	if strings.HasPrefix(r.Recording, "s3://") {
		full = prefix
	}
	o := storage.RebuildOptions{ID: path.Base(full), Room: storage.NameOfKey(path.Base(path.Dir(full))), Bucket: name, Probe: ring.Probe(probe)}
	if ring != nil {
		o.Recipient = ring.Recipient
	}
	m, err := storage.Rebuild(ctx, b, prefix, o)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	for _, left := range m.Rebuilt.Left {
		fmt.Fprintf(p.stdout, "left out: %s\n", left)
	}
	var key *storage.Key
	keys := filepath.Join(c.Data, "keys")
	if _, err := os.Stat(keys); err == nil && !r.Unsigned {
		if key, err = storage.LoadOrCreateKey(keys); err != nil {
			return err
		}
	}
	return r.store(ctx, p, b, into, prefix, m, key)
}

// store keeps what stood in the places of manifest and signature under other
// names, then writes the new ones.
func (r *rebuildCommand) store(ctx context.Context, p process, b storage.Browser, into storage.Bucket, prefix string, m *storage.Manifest, key *storage.Key) error {
	put := func(name string, raw []byte, replace bool) error {
		err := into.Put(ctx, path.Join(prefix, name), bytes.NewReader(raw), storage.PutOptions{
			Size: int64(len(raw)), SHA256: sha256.Sum256(raw), ContentType: storage.ContentType(name), Replace: replace,
		})
		if err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		return nil
	}
	for _, name := range []string{storage.ManifestName, storage.SignatureName} {
		old, err := readWhole(ctx, b, path.Join(prefix, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		if key == nil && name == storage.SignatureName {
			return &exitError{exitUsage, errors.New("rebuild: there is an old signature, and no key for a new one; --data names the data folder with the key")}
		}
		sum := sha256.Sum256(old)
		kept := fmt.Sprintf("%s.%x.old", name, sum[:4])
		if err := put(kept, old, false); err != nil {
			return err
		}
		m.AppendFile(kept, storage.Sealed{Size: int64(len(old)), SHA256: sum})
	}
	manifest, signature, err := storage.Seal(m, key)
	if err != nil {
		return err
	}
	if signature != nil {
		if err := put(storage.SignatureName, signature, true); err != nil {
			return err
		}
	}
	if err := put(storage.ManifestName, manifest, true); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "rebuilt: recording %s of room %s from %s: %d segments, %s to %s, head %s\n",
		m.ID, m.Room.RoomID, m.Rebuilt.From, len(m.Segments), m.Start, m.End, m.Sealed.Head)
	return nil
}

func readWhole(ctx context.Context, b storage.Browser, key string) ([]byte, error) {
	f, _, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	return raw, errors.Join(err, f.Close())
}
