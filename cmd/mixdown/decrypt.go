package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// decryptCommand is mixdown decrypt.
type decryptCommand struct {
	Recording string `arg:"" help:"Folder of the recording, or s3://BUCKET/PREFIX." placeholder:"PATH"`
	Identity  string `help:"File with the private key (age identity) of a recipient." required:"" placeholder:"FILE"`
	Out       string `help:"Folder to write to; made if it is not there." required:"" placeholder:"DIR"`
	Config    string `help:"Configuration file, for the bucket's endpoint and keys." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// unlock opens the keys of a recording with the identity in a file. Without a
// file there is no ring, and nothing encrypted opens.
func unlock(ctx context.Context, b storage.Browser, prefix, file string) (*crypt.Ring, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	identities, err := crypt.ParseIdentities(string(text))
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", file, err)
	}
	return crypt.Unlock(ctx, b, prefix, identities)
}

// Run writes a recording in the clear.
func (d *decryptCommand) Run(ctx context.Context, p process) error {
	c, err := configs.Load(d.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	b, prefix, _, err := (&verifyCommand{Recording: d.Recording}).open(c, p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ring, err := unlock(ctx, b, prefix, d.Identity)
	if err != nil {
		return fmt.Errorf("decrypt: %w", err)
	}
	files, erased := 0, 0
	for o, err := range b.List(ctx, prefix+"/") {
		if err != nil {
			return fmt.Errorf("decrypt: %w", err)
		}
		name := strings.TrimPrefix(o.Key, prefix+"/")
		if strings.HasPrefix(name, storage.KeysDir+"/") {
			continue
		}
		switch err := save(ctx, ring, o.Key, filepath.Join(d.Out, filepath.FromSlash(crypt.Plain(name)))); {
		case errors.Is(err, storage.ErrUnopened):
			erased++
			fmt.Fprintf(p.stdout, "%s: its key is not there any more\n", name)
		case err != nil:
			return fmt.Errorf("decrypt %s: %w", name, err)
		default:
			files++
		}
	}
	fmt.Fprintf(p.stdout, "decrypt: %d files in %s, %d that nobody can open\n", files, d.Out, erased)
	return nil
}

// save writes an object as it reads to a new file.
func save(ctx context.Context, b storage.Browser, key, name string) error {
	src, _, err := b.Open(ctx, key)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, src); err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	return f.Close()
}
