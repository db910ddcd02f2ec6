package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"filippo.io/age"

	"mixdown/storage"
)

// Ring holds the keys of one recording, unlocked, and reads it. It is a
// [storage.Browser]: encrypted files open as what they were before, under
// their names with or without the ending.
type Ring struct {
	storage.Browser
	keys map[string]age.Identity // by the path of the key file
}

// Unlock opens every key file that is left of the recording prefix; of one that
// is not sealed, those too that its manifest does not name yet. It is an error
// if one does not open with the customer's identities; a recording in the clear
// has none, and its ring opens everything.
func Unlock(ctx context.Context, b storage.Browser, prefix string, with Identities) (*Ring, error) {
	r := &Ring{b, map[string]age.Identity{}}
	recording, err := storage.ReadRecording(ctx, b, prefix)
	if err != nil {
		return nil, err
	}
	for _, k := range recording.Keys() {
		err := r.add(ctx, prefix, k.Path, with)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // verify says what to think of one that is gone
			return nil, fmt.Errorf("%s of recording %s: %w", k.Path, prefix, err)
		}
	}
	if m := recording.Manifest; m.Encryption == nil || m.Sealed != nil {
		return r, nil
	}
	for o, err := range b.List(ctx, path.Join(prefix, storage.KeysDir)+"/") {
		if err != nil {
			return nil, fmt.Errorf("keys of recording %s: %w", prefix, err)
		}
		name := strings.TrimPrefix(o.Key, strings.Trim(prefix, "/")+"/")
		if r.keys[name] != nil {
			continue
		}
		// Nobody vouches for it: what does not open opens nothing.
		if err := r.add(ctx, prefix, name, with); err != nil && !errors.Is(err, errLocked) && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s of recording %s: %w", name, prefix, err)
		}
	}
	return r, nil
}

func (r *Ring) add(ctx context.Context, prefix, name string, with Identities) error {
	identity, err := r.unlock(ctx, path.Join(prefix, name), with)
	if err == nil {
		r.keys[name] = identity
	}
	return err
}

// Recipient is the public key to what a key file holds, empty if it was not
// opened.
func (r *Ring) Recipient(name string) string {
	if x, ok := r.keys[name].(*age.X25519Identity); ok {
		return x.Recipient().String()
	}
	return ""
}

func (r *Ring) unlock(ctx context.Context, key string, with Identities) (age.Identity, error) {
	f, _, err := r.Browser.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	wrapped, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(bytes.NewReader(wrapped), with...)
	if err != nil {
		return nil, errLocked
	}
	all, err := age.ParseIdentities(plain)
	if err != nil || len(all) != 1 {
		return nil, fmt.Errorf("%w, or it holds no identity", errLocked)
	}
	return all[0], nil
}

// errLocked says that a key file does not open.
var errLocked = errors.New("this identity does not open it: it was made for other recipients")

// maxKeyFile is more than a key file has, for however many recipients.
const maxKeyFile = 1 << 20

// Drop forgets the keys of these files: what they opened counts as erased.
func (r *Ring) Drop(keys []storage.KeyFile) {
	for _, k := range keys {
		delete(r.keys, k.Path)
	}
}

// Len is the number of keys.
func (r *Ring) Len() int { return len(r.keys) }

// Open implements storage.Browser. An encrypted file without a key wraps
// storage.ErrUnopened.
func (r *Ring) Open(ctx context.Context, key string) (io.ReadSeekCloser, storage.Object, error) {
	f, o, err := r.Browser.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(key, storage.EncryptedExt) {
		key += storage.EncryptedExt
		f, o, err = r.Browser.Open(ctx, key)
	}
	if err != nil || !strings.HasSuffix(key, storage.EncryptedExt) {
		return f, o, err
	}
	plain, err := r.decrypt(f, o.Size)
	if err != nil {
		return nil, o, errors.Join(fmt.Errorf("open %s: %w", key, err), f.Close())
	}
	o.Size, o.SHA256 = plain.Size(), [32]byte{}
	return readSeekCloser{plain, f}, o, nil
}

// List implements storage.Browser; names and sizes are those of the files as
// they are stored.
func (r *Ring) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return r.Browser.List(ctx, prefix)
}

type readSeekCloser struct {
	*io.SectionReader
	io.Closer
}

func (r *Ring) decrypt(f io.ReadSeeker, size int64) (*io.SectionReader, error) {
	all := make([]age.Identity, 0, len(r.keys))
	for _, k := range r.keys {
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, storage.ErrUnopened
	}
	plain, n, err := age.DecryptReaderAt(readerAt{f}, size, all...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, storage.ErrUnopened
	}
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(plain, 0, n), nil
}

// readerAt makes one of a file that can only seek; for one goroutine.
type readerAt struct{ f io.ReadSeeker }

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if _, err := r.f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.f, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Probe is a probe of audio files that opens encrypted ones before: see
// storage.VerifyOptions. A nil ring opens none.
func (r *Ring) Probe(inner func(string, io.ReadSeeker) (int64, error)) func(string, io.ReadSeeker) (int64, error) {
	return func(name string, f io.ReadSeeker) (int64, error) {
		if !strings.HasSuffix(name, storage.EncryptedExt) {
			return inner(name, f)
		}
		if r == nil {
			return 0, storage.ErrUnopened
		}
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, err
		}
		plain, err := r.decrypt(f, size)
		if err != nil {
			return 0, err
		}
		return inner(Plain(name), plain)
	}
}
