package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder"
	"mixdown/retention"
	"mixdown/storage"
	"mixdown/storage/crypt"
	"mixdown/storage/file"
)

// eraseCommand is mixdown erase.
type eraseCommand struct {
	Recording string `arg:"" help:"Folder of the recording, or s3://BUCKET/PREFIX." placeholder:"PATH"`
	User      string `help:"Whose voice." required:"" placeholder:"ID"`
	Stream    string `help:"Only this stream of the user." placeholder:"ID"`
	Reason    string `help:"Why; stands in the certificate." required:""`
	Identity  string `help:"File with the private key (age identity) of a recipient, to make the mix anew from the other streams. Without it the recording is left without a mix." placeholder:"FILE"`
	Config    string `help:"Configuration file: its data folder has the signing key, its storages are searched." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
	Data      string `help:"Data folder of the daemon." placeholder:"DIR"`
}

// Run erases a user's voice from a recording.
func (e *eraseCommand) Run(ctx context.Context, p process) error {
	c, err := configs.Load(e.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if e.Data != "" {
		c.Data = e.Data
	}
	keys := filepath.Join(c.Data, "keys")
	if _, err := os.Stat(filepath.Join(keys, "signing.key")); err != nil {
		return &exitError{exitUsage, fmt.Errorf("erase: the certificate must be signed: give the daemon's --data: %w", err)}
	}
	key, err := storage.LoadOrCreateKey(keys)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	places, base, held, err := e.places(ctx, c, p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	erasure := storage.Erasure{Places: places, Base: base, Key: key, UserID: e.User, StreamID: e.Stream, By: operator(), Reason: e.Reason}
	if e.Identity != "" {
		erasure.Remix = func(r *storage.SealedRecording, gone []storage.KeyFile, a *storage.Amendment, put func(string, []byte) error) error {
			return remake{ctx, places, base, r.Manifest, a, put}.run(e.Identity, gone)
		}
	}
	// Asked before the long work and again before what cannot be undone.
	free := func(fn func() error) error {
		return retention.WhileFree(filepath.Join(c.Data, "retention", "holds"), held, func() error {
			if _, own := places[capture.LocalStorage]; !own {
				return fn()
			}
			waiting, err := storage.Spooled(filepath.Join(c.Data, "spool"), base)
			if err == nil && len(waiting) > 0 {
				err = fmt.Errorf("files of the recording still wait to be stored; a key among them would come back: erase when they are there: %q", waiting)
			}
			if err != nil {
				return err
			}
			return fn()
		})
	}
	erasure.Guard = free
	var r *storage.SealedRecording
	details := map[string]string{"user": e.User, "reason": e.Reason, "by": erasure.By}
	if e.Stream != "" {
		details["stream"] = e.Stream
	}
	err = writtenDown(ctx, p, c, key, deed{Operation: "mixdown erase", Object: e.Recording, Details: details}, func() error {
		err := free(func() error { return nil })
		if err == nil {
			r, err = erasure.Run(ctx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	e.tell(p, r)
	return nil
}

func (e *eraseCommand) tell(p process, r *storage.SealedRecording) {
	a := r.Amendments[len(r.Amendments)-1]
	for _, k := range a.Erased {
		fmt.Fprintf(p.stdout, "destroyed: %s\n", k.Path)
	}
	for _, o := range a.Outputs {
		fmt.Fprintf(p.stdout, "mixed again: %s\n", o.ID)
	}
	if !slices.ContainsFunc(r.Keys(), func(k storage.KeyFile) bool { return k.Of == storage.KeyOfMix }) {
		fmt.Fprintf(p.stdout, "the recording has no mix now; repeat with --identity to make one from what is left\n")
	}
	fmt.Fprintf(p.stdout, "erase: done: %s\n", storage.AmendmentName(a.Number))
}

func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// places opens every storage that may hold a part of the recording. For one
// that is not where the daemon keeps its recordings, that is only the place
// that was named.
func (e *eraseCommand) places(ctx context.Context, c configs.Config, p process) (_ map[string]storage.Place, base string, held retention.Recording, err error) {
	v := &verifyCommand{Recording: e.Recording}
	b, prefix, name, err := v.open(c, p)
	if err != nil {
		return nil, "", held, err
	}
	here, err := storage.ReadRecording(ctx, b, prefix)
	if err != nil {
		return nil, "", held, err
	}
	held = heldAs(here.Manifest)
	base = path.Join(storage.KeyName(here.Manifest.Room.RoomID), here.Manifest.ID)
	root := filepath.Join(c.Data, "recordings")
	if !e.inside(root, base) && (name == "" || name == capture.LocalStorage) {
		fmt.Fprintf(p.stdout, "note: this is not a storage of the daemon: other copies of the recording are not touched\n")
		return map[string]storage.Place{"here": b.(storage.Place)}, prefix, held, nil
	}
	local, err := file.Attach(root)
	if err != nil {
		return nil, "", held, err
	}
	all := map[string]storage.Place{capture.LocalStorage: local}
	for name, s := range c.Storages {
		if all[name], err = openBucket(c.Network, s); err != nil {
			return nil, "", held, fmt.Errorf("storage %s: %w", name, err)
		}
	}
	return all, base, held, nil
}

// heldAs is the recording as holds look at it.
func heldAs(m *storage.Manifest) retention.Recording {
	r := retention.Recording{ID: m.ID, Room: m.Room, Labels: m.Labels, Start: m.Start.Time}
	if m.End != nil {
		r.End = m.End.Time
	}
	for _, u := range m.Users {
		r.Users = append(r.Users, u.UserID)
	}
	for _, s := range m.Streams {
		r.Users = append(r.Users, s.UserID)
	}
	return r
}

// inside says that the folder that was named is the daemon's own.
func (e *eraseCommand) inside(root, base string) bool {
	a, err := os.Stat(e.Recording)
	if err != nil {
		return false
	}
	b, err := os.Stat(filepath.Join(root, filepath.FromSlash(base)))
	return err == nil && os.SameFile(a, b)
}

// remake mixes a recording anew and stores that as a further version.
type remake struct {
	ctx      context.Context
	places   map[string]storage.Place
	base     string
	manifest *storage.Manifest
	a        *storage.Amendment
	put      func(name string, data []byte) error // stores a file of the recording wherever that is
}

func (m remake) run(identity string, gone []storage.KeyFile) error {
	ring, err := unlock(m.ctx, everywhere{m.source(), m.places}, m.base, identity)
	if err != nil {
		return err
	}
	ring.Drop(gone) // made by construction from what stays
	to, err := crypt.ParseRecipients(m.manifest.Encryption.Recipients)
	if err != nil {
		return err
	}
	public, wrapped, err := to.NewKey()
	if err != nil {
		return err
	}
	version := fmt.Sprintf("-v%d", m.a.Number+1)
	key := storage.KeyFile{Of: storage.KeyOfMix, Recipient: public, Document: document("keys/mix"+version+storage.EncryptedExt, wrapped)}
	for _, o := range m.manifest.Outputs {
		if o.What != "mix" || o.Key != "keys/mix"+storage.EncryptedExt {
			continue
		}
		first := slices.IndexFunc(m.manifest.Segments, func(s storage.Segment) bool { return s.Output == o.ID })
		if first < 0 {
			continue
		}
		s := &versionStore{remake: m, public: public, dir: path.Dir(m.manifest.Segments[first].Path) + version}
		s.output = storage.Output{
			ID: o.ID + version, What: o.What, Format: o.Format, Storage: o.Storage, Channels: o.Channels, SegmentSeconds: o.SegmentSeconds, Key: key.Path,
		}
		c := encoder.Config{Format: o.Format, Every: int64(o.SegmentSeconds) * 48000, Bitrate: 64000}
		err := capture.Remix(m.ctx, ring, m.base, capture.MixSpec{Channels: o.Channels}, c, s)
		if errors.Is(err, capture.ErrNoStreams) {
			return nil // nobody is left to be mixed
		}
		if err != nil {
			return err
		}
		m.a.Outputs = append(m.a.Outputs, s.output)
	}
	if len(m.a.Outputs) == 0 {
		return nil
	}
	m.a.Keys = append(m.a.Keys, key)
	return m.put(key.Path, wrapped)
}

// source is a place that has the recording.
func (m remake) source() storage.Browser {
	for _, p := range m.places {
		if f, _, err := p.Open(m.ctx, m.base+"/"+storage.ManifestName); err == nil {
			f.Close()
			return p
		}
	}
	return nil // it was read a moment ago
}

// everywhere opens a file where it is found first: not every output is in every
// storage.
type everywhere struct {
	storage.Browser
	places map[string]storage.Place
}

// Open implements storage.Browser.
func (e everywhere) Open(ctx context.Context, key string) (io.ReadSeekCloser, storage.Object, error) {
	f, o, err := e.Browser.Open(ctx, key)
	for _, p := range e.places {
		if err == nil {
			break
		}
		if also, there, other := p.Open(ctx, key); other == nil {
			f, o, err = also, there, nil
		}
	}
	return f, o, err
}

func document(name string, data []byte) storage.Document {
	sum := sha256.Sum256(data)
	return storage.Document{Path: name, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// versionStore is the encoder.Store of a mix that is made anew.
type versionStore struct {
	remake
	output storage.Output
	public string
	dir    string
	draft  *crypt.Scratch
}

// Create implements encoder.Store.
func (s *versionStore) Create(encoder.Segment) (encoder.File, error) {
	var err error
	s.draft, err = crypt.NewScratch(os.TempDir())
	return s.draft, err
}

// Commit implements encoder.Store.
func (s *versionStore) Commit(_ encoder.File, seg encoder.Segment) error {
	defer s.draft.Close()
	var sealed bytes.Buffer
	if err := crypt.Encrypt(&sealed, s.draft.Reader(), s.public); err != nil {
		return err
	}
	start := storage.AtSample(s.manifest.Start, seg.Start)
	ext, _ := encoder.Ext(s.output.Format)
	name := fmt.Sprintf("%s/%06d-%s%s%s", s.dir, seg.Index, start.UTC().Format("20060102T150405.000Z"), ext, storage.EncryptedExt)
	if err := s.put(name, sealed.Bytes()); err != nil {
		return err
	}
	return s.a.Append(storage.Segment{
		Path: name, Output: s.output.ID, Index: seg.Index, Start: start, StartSample: seg.Start, Samples: seg.Samples,
	}, storage.Sealed{Size: int64(sealed.Len()), SHA256: sha256.Sum256(sealed.Bytes())})
}
