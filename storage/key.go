package storage

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
)

const (
	privateKeyName = "signing.key"
	publicKeyName  = "signing.pub"
	signerName     = "mixdown"
)

// Key signs manifests: an Ed25519 key in the encoding of signed notes
// (golang.org/x/mod/sumdb/note), kept in a folder. It follows the folder: a
// key that another process puts there is the one that signs from then on.
type Key struct {
	dir string

	mu     sync.Mutex
	signer note.Signer
	public []string
	file   fs.FileInfo // of signing.key when it was read
}

// ID names the key as SealMark.KeyID does: name+hash.
func (k *Key) ID() string { return signerID(k.current()) }

// PublicKeys are the verifier keys of this key and of all earlier ones in its
// folder, this one first.
func (k *Key) PublicKeys() []string {
	k.current()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.public
}

// current is the signer by now. A folder that cannot be read changes nothing.
func (k *Key) current() note.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(filepath.Join(k.dir, privateKeyName))
	if err == nil && (!os.SameFile(info, k.file) || !info.ModTime().Equal(k.file.ModTime())) {
		if again, err := LoadOrCreateKey(k.dir); err == nil {
			k.signer, k.public, k.file = again.signer, again.public, again.file
		}
	}
	return k.signer
}

func signerID(s note.Signer) string { return keyID(s.Name(), s.KeyHash()) }

func keyID(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// PublicKeyID names the key of a verifier key as SealMark.KeyID does.
func PublicKeyID(public string) (string, error) {
	v, err := note.NewVerifier(public)
	if err != nil {
		return "", fmt.Errorf("public key %q: %w", public, err)
	}
	return keyID(v.Name(), v.KeyHash()), nil
}

// LoadOrCreateKey reads signing.key (mode 0600) of the folder dir, or makes
// it, with signing.pub beside it.
func LoadOrCreateKey(dir string) (*Key, error) { return loadKey(dir, false) }

// RotateKey puts a new key in the place of the folder's. The old one's
// verifier stays as signing-HASH.pub, so that what it signed still verifies;
// its private half is gone.
func RotateKey(dir string) (*Key, error) { return loadKey(dir, true) }

func loadKey(dir string, rotate bool) (*Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open key folder: %w", err)
	}
	d, err := openDisk(dir, nil)
	if err != nil {
		return nil, fmt.Errorf("open key folder: %w", err)
	}
	defer d.close()
	private, err := d.root.ReadFile(privateKeyName)
	if rotate || errors.Is(err, fs.ErrNotExist) {
		private, err = createKey(d)
	}
	if err != nil {
		return nil, fmt.Errorf("load signing key of %s: %w", dir, err)
	}
	key := &Key{dir: dir}
	if key.file, err = d.root.Stat(privateKeyName); err != nil {
		return nil, fmt.Errorf("load signing key of %s: %w", dir, err)
	}
	signer, public, err := parsePrivateKey(strings.TrimSpace(string(private)))
	if err != nil {
		return nil, fmt.Errorf("load signing key %s: %w", filepath.Join(dir, privateKeyName), err)
	}
	if err := publish(d, public); err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	key.signer, key.public = signer, []string{public}
	all, err := ReadPublicKeys(dir)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k != public {
			key.public = append(key.public, k)
		}
	}
	return key, nil
}

// ReadPublicKeys reads the verifier keys of a folder: all files that end in
// .pub. A folder without any gives none.
func ReadPublicKeys(dir string) (all []string, err error) {
	names, err := fs.Glob(os.DirFS(dir), "*.pub")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		keys, err := ParsePublicKeys(string(b))
		if err != nil {
			return nil, fmt.Errorf("read public key %s: %w", name, err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

func createKey(d *disk) ([]byte, error) {
	private, _, err := note.GenerateKey(rand.Reader, signerName)
	if err != nil {
		return nil, err
	}
	b := []byte(private + "\n")
	return b, replaceFile(d, privateKeyName, b, 0o600)
}

// publish makes signing.pub the verifier of the present key. What was there
// for another key is kept under a name of its own.
func publish(d *disk, public string) error {
	old, err := d.root.ReadFile(publicKeyName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.TrimSpace(string(old)) == public {
		return nil
	}
	if v, err := note.NewVerifier(strings.TrimSpace(string(old))); err == nil {
		kept := fmt.Sprintf("signing-%08x.pub", v.KeyHash())
		if err := replaceFile(d, kept, old, 0o644); err != nil {
			return err
		}
	}
	return replaceFile(d, publicKeyName, []byte(public+"\n"), 0o644)
}

func replaceFile(d *disk, name string, b []byte, mode fs.FileMode) error {
	tmp := name + ".tmp"
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.syncDir(".")
}

// parsePrivateKey also derives the verifier key, which a note signer keeps to
// itself: PRIVATE+KEY+name+hash+base64(1 ‖ seed).
func parsePrivateKey(private string) (note.Signer, string, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, "", err
	}
	public, err := verifierKey(private)
	if err != nil {
		return nil, "", err
	}
	v, err := note.NewVerifier(public)
	if err != nil || v.KeyHash() != signer.KeyHash() {
		return nil, "", errors.New("malformed signing key")
	}
	return signer, public, nil
}

// ParsePublicKeys reads verifier keys (name+hash+key), one a line; empty lines
// and lines that start with # are skipped.
func ParsePublicKeys(text string) ([]string, error) {
	var keys []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := note.NewVerifier(line); err != nil {
			return nil, fmt.Errorf("%q is no public key of the form name+hash+key: %w", line, err)
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key found")
	}
	return keys, nil
}

func verifierKey(private string) (string, error) {
	fields := strings.SplitN(private, "+", 5) // the key itself may hold a plus
	if len(fields) != 5 {
		return "", errors.New("malformed signing key")
	}
	key, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", errors.New("malformed signing key")
	}
	public := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(fields[2], public)
}
