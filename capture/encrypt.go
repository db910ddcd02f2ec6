package capture

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"mixdown/encoder"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// Encryption says to whom the recordings of a daemon are encrypted. A capture
// is encrypted to these recipients and its own; one that has neither is not.
type Encryption struct {
	Recipients []string    // public keys; age1…
	Required   bool        // a capture that would not be encrypted is refused
	Host       *crypt.Host // wraps the keys of running captures
}

// EncryptSpec asks for encryption.
type EncryptSpec struct {
	Recipients []string `json:"recipients,omitempty" doc:"Public keys (age1…) of those who can read the recording, besides the configured ones."`
}

// recipients are those of one capture; the error is a *SpecError.
func (e Encryption) recipients(spec Spec) (crypt.Recipients, error) {
	const field = "encrypt.recipients"
	own := []string{}
	if spec.Encrypt != nil {
		own = spec.Encrypt.Recipients
	}
	refuse := func(field, format string, args ...any) (crypt.Recipients, error) {
		return crypt.Recipients{}, &SpecError{[]Problem{{field, fmt.Sprintf(format, args...)}}}
	}
	all := slices.Clone(e.Recipients)
	for i, text := range own {
		if _, err := crypt.ParseRecipients([]string{text}); err != nil {
			return refuse(fmt.Sprintf("%s[%d]", field, i), "%s", err)
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	switch {
	case len(all) == 0 && e.Required:
		return refuse(field, "recordings must be encrypted here, and there is no public key to encrypt to: give one (age1…)")
	case len(all) == 0 && spec.Encrypt != nil:
		return refuse(field, "there is no public key to encrypt to: give one (age1…), or leave encrypt out")
	}
	to, err := crypt.ParseRecipients(all)
	if err != nil {
		return refuse(field, "%s", err)
	}
	return to, nil
}

// captureKeyName is the file with the key of a running encrypted capture.
const captureKeyName = "key.age"

// secret is the key under which an encrypted capture keeps its journal and its
// event log until the recording is sealed; nil for one in the clear.
func (c *Capture) secret() (*crypt.Key, error) {
	if len(c.recipients) == 0 {
		return nil, nil
	}
	open := c.env.Encryption.Host.Load
	if _, err := os.Stat(filepath.Join(c.dir, journalName)); errors.Is(err, fs.ErrNotExist) {
		open = c.env.Encryption.Host.Keep
	}
	key, err := open(filepath.Join(c.dir, captureKeyName))
	return &key, err
}

// forget destroys what of an ended capture could still be heard: the journal,
// and of an encrypted one its key and what that opens. The recording is sealed.
func (c *Capture) forget() error {
	var errs []error
	if len(c.recipients) > 0 {
		for _, name := range []string{captureKeyName, storage.EventsName} {
			if err := os.Remove(filepath.Join(c.dir, name)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(c.dir, journalName)))...)
}

// encryption is that of one recording's files.
type encryption struct {
	to   crypt.Recipients
	dir  string            // for scratch files
	keys []storage.KeyFile // made so far
}

// encrypt says to whom the files are encrypted from now on; to nobody means
// that they are not.
func (a *archive) encrypt(recipients []string, dir string) (err error) {
	a.encryption.dir = dir
	a.encryption.to, err = crypt.ParseRecipients(recipients)
	return err
}

// on says that the recording is encrypted.
func (e *encryption) on() bool { return !e.to.Empty() }

// stored says in the manifest how the recording is encrypted.
func (e *encryption) stored() *storage.Encryption {
	if !e.on() {
		return nil
	}
	return &storage.Encryption{Scheme: crypt.Scheme, Recipients: e.to.Strings(), Keys: nonNil(e.keys)}
}

// key is the public key to encrypt to. The first call makes the pair and
// stores the private half, for the recipients only: seal, log, publish, as with
// segments.
func (a *archive) key(k storage.KeyFile) (public string, err error) {
	for _, made := range a.encryption.keys {
		if made.Path == k.Path {
			return made.Recipient, nil
		}
	}
	var wrapped []byte
	if k.Recipient, wrapped, err = a.encryption.to.NewKey(); err != nil {
		return "", err
	}
	f, err := a.create(k.Path)
	if err != nil {
		return "", err
	}
	if _, err = f.Write(wrapped); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", k.Path, err), f.Close())
	}
	sealed, err := f.Seal()
	if err != nil {
		return "", errors.Join(err, f.Close())
	}
	k.Bytes, k.SHA256 = sealed.Size, hex.EncodeToString(sealed.SHA256[:])
	if err := a.write(archiveLine{Key: &k, Buckets: a.storages}); err != nil {
		return "", errors.Join(err, f.Close())
	}
	a.encryption.keys = append(a.encryption.keys, k)
	return k.Recipient, a.publish(f, a.storages)
}

// create starts a file of the recording in the spool. What an earlier timeline
// had of it is gone.
func (a *archive) create(p string) (*storage.File, error) {
	key := path.Join(a.base, p)
	if part, err := a.spool.OpenPart(key); err == nil {
		if err := part.Abort(); err != nil {
			return nil, err
		}
	}
	return a.spool.Create(key)
}

// draft is a segment's file while the encoder writes it.
type draft interface {
	encoder.File
	Close() error
}

// draft makes the file for a segment: in the clear the file itself, encrypted a
// scratch file that is made into it when it is whole.
func (a *archive) draft(p string) (draft, error) {
	if a.encryption.on() {
		return crypt.NewScratch(a.encryption.dir)
	}
	return a.create(p)
}

// final is the file of a segment that is written.
func (a *archive) final(s *segmentFile, o storage.Output) (*storage.File, error) {
	scratch, ok := s.draft.(*crypt.Scratch)
	if !ok {
		return s.draft.(*storage.File), nil
	}
	public, err := a.key(storage.KeyFileOf(o))
	if err != nil {
		return nil, err
	}
	f, err := a.create(s.path)
	if err != nil {
		return nil, err
	}
	if err := crypt.Encrypt(f, scratch.Reader(), public); err != nil {
		return nil, errors.Join(fmt.Errorf("segment %s: %w", s.path, err), f.Close())
	}
	s.draft = f
	return f, scratch.Close()
}

// document is the name of the event log as it is stored and what writes it.
func (a *archive) document(name string, plain io.Reader) (string, func(io.Writer) error, error) {
	if !a.encryption.on() {
		return name, func(w io.Writer) error {
			_, err := io.Copy(w, plain)
			return err
		}, nil
	}
	public, err := a.key(storage.EventsKeyFile())
	return name + storage.EncryptedExt, func(w io.Writer) error { return crypt.Encrypt(w, plain, public) }, err
}

// randomFile is what an event log needs of a file.
type randomFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// eventFile is where an event log grows.
func eventFile(name string, key *crypt.Key) (randomFile, error) {
	if key != nil {
		return crypt.OpenScratch(name, *key)
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}
