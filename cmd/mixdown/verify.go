package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder"
	"mixdown/storage"
	"mixdown/storage/file"
	"mixdown/storage/s3"
)

// verifyCommand is mixdown verify.
type verifyCommand struct {
	Recording string `arg:"" help:"Folder of the recording, or s3://BUCKET/PREFIX." placeholder:"PATH"`
	Identity  string `help:"File with the private key (age identity) of a recipient: the audio of an encrypted recording is checked too." placeholder:"FILE"`
	PublicKey string `help:"File with the public keys that may have signed it; default: the data folder's." placeholder:"FILE"`
	Head      string `help:"Head of the chain that is known from elsewhere, as from the last segment.sealed event: it must be in the recording's." placeholder:"HEX"`
	TSACA     string `name:"tsa-ca" help:"PEM file with the roots that time stamps must come from; default: timestamp.ca." placeholder:"FILE"`
	Config    string `help:"Configuration file, for the bucket's endpoint and keys." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// Run checks one recording.
func (v *verifyCommand) Run(ctx context.Context, p process) error {
	c, err := configs.Load(v.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if head, err := hex.DecodeString(v.Head); err != nil || len(head) != 0 && len(head) != 32 {
		return &exitError{exitUsage, fmt.Errorf("verify: --head %q is no head of a chain: it needs 64 hex digits", v.Head)}
	}
	b, prefix, bucket, err := v.open(c, p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	keys, err := v.keys(c)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if v.TSACA == "" {
		v.TSACA = c.Timestamp.CA
	}
	pool, err := roots(v.TSACA)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ring, locked := unlock(ctx, b, prefix, v.Identity) // a broken recording may not open: what is broken is told first
	report, err := storage.Verify(ctx, b, prefix, storage.VerifyOptions{PublicKeys: keys, Bucket: bucket, Head: v.Head, TimeStamp: checkStamps(pool), Probe: ring.Probe(probe)})
	for _, problem := range report.Problems {
		fmt.Fprintf(p.stdout, "broken: %s\n", problem)
	}
	for _, n := range report.Notes {
		fmt.Fprintf(p.stdout, "note: %s\n", n)
	}
	switch {
	case len(report.Problems) > 0:
		return &exitError{exitFailed, fmt.Errorf("verify: broken: %d problems in recording %s", len(report.Problems), v.Recording)}
	case errors.Join(err, locked) != nil:
		return &exitError{exitUsage, fmt.Errorf("verify: could not check %s: %w", v.Recording, errors.Join(err, locked))}
	case !report.Sealed && v.PublicKey != "":
		return &exitError{exitFailed, fmt.Errorf("verify: broken: recording %s is not sealed: nobody signed it", v.Recording)}
	}
	if !report.Stamped.IsZero() {
		fmt.Fprintf(p.stdout, "time stamp: an authority had seen it by %s\n", storage.At(report.Stamped))
	}
	intact := "intact"
	if !report.Sealed {
		intact = "intact as far as it goes, not sealed"
	}
	fmt.Fprintf(p.stdout, "verify: %s: recording %s, %d segments, %d bytes\n", intact, report.ID, report.Segments, report.Bytes)
	return nil
}

// open finds the bucket, the prefix of the recording in it, and the name that
// the bucket has in manifests, if that is known.
func (v *verifyCommand) open(c configs.Config, p process) (b storage.Browser, prefix, name string, err error) {
	if !strings.HasPrefix(v.Recording, "s3://") {
		dir, err := filepath.Abs(v.Recording)
		if err != nil {
			return nil, "", "", err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, "", "", fmt.Errorf("%s is not a recording's folder", v.Recording)
		}
		if within(dir, filepath.Join(c.Data, "recordings")) {
			name = capture.LocalStorage
		}
		b, err := file.Attach(filepath.Dir(dir))
		return b, filepath.Base(dir), name, err
	}
	u, err := url.Parse(v.Recording)
	if err != nil {
		return nil, "", "", err
	}
	prefix = strings.Trim(u.Path, "/")
	if name, s, found := storageAt(c, u.Host, prefix); found {
		s.Prefix = "" // the caller's prefix is the whole one
		b, err := openBucket(c.Network, s)
		return b, prefix, name, err
	}
	endpoint := p.environment("AWS_ENDPOINT_URL")
	if endpoint == "" {
		return nil, "", "", fmt.Errorf("bucket %s is not in the configuration; give --config, or AWS_ENDPOINT_URL with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", u.Host)
	}
	b, err = s3.New(s3.Config{
		Endpoint: endpoint, Region: p.environment("AWS_REGION"), Bucket: u.Host,
		AccessKey: p.environment("AWS_ACCESS_KEY_ID"), SecretKey: p.environment("AWS_SECRET_ACCESS_KEY"), PathStyle: true,
	})
	return b, prefix, "", err
}

// within says that a folder is in another one, by whatever name.
func within(dir, root string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	if root, err = filepath.Abs(root); err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	return err == nil && strings.HasPrefix(dir, root+string(filepath.Separator))
}

// storageAt is how to get at a prefix of a bucket, and which storage that is: of
// several in one bucket the one whose own prefix says more of it. What lies in
// no storage's part of the bucket has no name.
func storageAt(c configs.Config, bucket, prefix string) (name string, s configs.Storage, found bool) {
	for _, n := range slices.Sorted(maps.Keys(c.Storages)) {
		at := c.Storages[n]
		own := strings.Trim(at.Prefix, "/")
		within := own == "" || own == prefix || strings.HasPrefix(prefix, own+"/")
		switch {
		case at.Bucket != bucket:
		case within && (name == "" || len(own) > len(strings.Trim(s.Prefix, "/"))):
			name, s, found = n, at, true
		case !found:
			s, found = at, true
		}
	}
	return name, s, found
}

// keys reads the public keys: the given file, else all of the data folder if
// there is one.
func (v *verifyCommand) keys(c configs.Config) ([]string, error) {
	name := v.PublicKey
	if name == "" {
		return storage.ReadPublicKeys(filepath.Join(c.Data, "keys"))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	keys, err := storage.ParsePublicKeys(string(b))
	if err != nil {
		return nil, fmt.Errorf("public key %s: %w", name, err)
	}
	return keys, nil
}

// probe counts the samples of an audio file. The daemon has no key to open an
// encrypted one.
func probe(name string, r io.ReadSeeker) (int64, error) {
	if path.Ext(name) == storage.EncryptedExt {
		return 0, storage.ErrUnopened
	}
	return encoder.Samples(strings.TrimPrefix(path.Ext(name), "."), r)
}
