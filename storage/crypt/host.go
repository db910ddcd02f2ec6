package crypt

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"mixdown/storage"
)

// Key is the secret of one capture while it runs.
type Key [32]byte

// derive makes a key for one purpose.
func (k Key) derive(purpose string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, "mixdown "+purpose, size)
	if err != nil {
		panic("crypt: " + err.Error()) // sizes are constants
	}
	return b
}

// Journal is the cipher of the capture's journal: XChaCha20-Poly1305 with
// random nonces.
func (k Key) Journal() storage.Cipher {
	aead, err := chacha20poly1305.NewX(k.derive("journal", chacha20poly1305.KeySize))
	if err != nil {
		panic("crypt: " + err.Error()) // the size is right
	}
	return batches{aead}
}

// batches implements storage.Cipher: nonce, then ciphertext and tag.
type batches struct{ aead cipher.AEAD }

func (b batches) Seal(dst, plain []byte) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return b.aead.Seal(append(dst, nonce[:]...), nonce[:], plain, nil)
}

func (b batches) Open(dst, sealed []byte) ([]byte, error) {
	n := b.aead.NonceSize()
	if len(sealed) < n {
		return nil, io.ErrUnexpectedEOF
	}
	return b.aead.Open(dst, sealed[:n], sealed[n:], nil)
}

// Host is the key of this machine. It wraps the keys of running captures,
// which a crash must leave readable here. It is made when the first capture
// needs it.
type Host struct {
	file string

	mu       sync.Mutex
	identity *age.X25519Identity
}

// NewHost says which file holds the key: an identity file as age-keygen
// writes it, mode 0600.
func NewHost(file string) *Host { return &Host{file: file} }

// key reads the identity.
func (h *Host) key(create bool) (*age.X25519Identity, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.identity != nil {
		return h.identity, nil
	}
	b, err := os.ReadFile(h.file)
	if errors.Is(err, fs.ErrNotExist) && create {
		if h.identity, err = h.create(); err != nil {
			return nil, fmt.Errorf("make the host key %s: %w", h.file, err)
		}
		return h.identity, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the host key: %w", err)
	}
	all, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil || len(all) != 1 {
		return nil, fmt.Errorf("the host key %s is no file with one age identity", h.file)
	}
	x, ok := all[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("the host key %s is of another kind than age-keygen makes by itself", h.file)
	}
	h.identity = x
	return x, nil
}

func (h *Host) create() (*age.X25519Identity, error) {
	x, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return nil, err
	}
	text := "# Mixdown's host key: opens the journals of captures that were cut off\n" + x.String() + "\n"
	return x, storage.WriteFile(h.file, []byte(text), 0o600)
}

// Keep makes a key and keeps it, wrapped to the host's, in the file name.
func (h *Host) Keep(name string) (Key, error) {
	x, err := h.key(true)
	if err != nil {
		return Key{}, err
	}
	var k Key
	_, _ = rand.Read(k[:]) // never fails
	wrapped, err := seal(k[:], x.Recipient())
	if err == nil {
		err = storage.WriteFile(name, wrapped, 0o600)
	}
	if err != nil {
		return Key{}, fmt.Errorf("keep the key of a capture: %w", err)
	}
	return k, nil
}

// Load reads a key that Keep kept.
func (h *Host) Load(name string) (Key, error) {
	wrapped, err := os.ReadFile(name)
	if err != nil {
		return Key{}, fmt.Errorf("read the key of a capture: %w", err)
	}
	x, err := h.key(false)
	if err != nil {
		return Key{}, err
	}
	var k Key
	r, err := age.Decrypt(bytes.NewReader(wrapped), x)
	if err == nil {
		_, err = io.ReadFull(r, k[:])
	}
	if err != nil {
		return Key{}, fmt.Errorf("%s does not open with the host key %s: put back the key that was there when the capture began: %w", name, h.file, err)
	}
	return k, nil
}

// ParseIdentities reads private keys, as age-keygen writes them.
func ParseIdentities(text string) (Identities, error) {
	all, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("no age identity file (AGE-SECRET-KEY-1…, as age-keygen writes it)")
	}
	return all, nil
}

// Identities are private keys of a customer.
type Identities []age.Identity
