// Package crypt encrypts recordings, so that the disk, the buckets and whoever
// can read them hold nothing that can be heard. It alone knows age
// (filippo.io/age) and ciphers.
//
// It stands beside package storage, between it and capture. Three things are
// encrypted, each by what suits it:
//
//   - what stays: segments and the event log, as age files. Each stream has a
//     key pair of its own; the private key is written at once into a key file
//     that only the customer can open ([Keys]), and then forgotten. The daemon
//     cannot read what it has recorded.
//   - what changes until it is sealed: [Scratch], a file under XTS whose key
//     lives in memory only.
//   - what a crash must leave readable for the daemon: the journal and the
//     growing event log, under a key that is kept wrapped to the host's
//     ([Host]) and destroyed when the recording is sealed.
//
// [Ring] reads a recording back with the customer's identity. The package
// promises confidentiality; that a file is the one that was recorded is what
// the manifest's hashes and signature say.
package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"mixdown/storage"
)

// Scheme names the encryption in manifests.
const Scheme = "age"

// Recipients are public keys of a customer, checked.
type Recipients struct {
	texts  []string
	parsed []age.Recipient
}

// ParseRecipients reads public keys as age-keygen prints them: age1…, or
// age1pq… for the hybrid with ML-KEM, but not both kinds together. The error
// names the one that is wrong and never repeats a private key that was given
// in its place.
func ParseRecipients(texts []string) (Recipients, error) {
	var r Recipients
	for _, text := range texts {
		text = strings.TrimSpace(text)
		parsed, err := parseRecipient(text)
		if err != nil {
			return Recipients{}, err
		}
		r.texts, r.parsed = append(r.texts, text), append(r.parsed, parsed)
	}
	if _, err := seal(nil, r.parsed...); len(r.parsed) > 0 && err != nil {
		return Recipients{}, err
	}
	return r, nil
}

func parseRecipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("this is a private key, and now it must be replaced: give the public one, age1…")
	}
	all, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(all) != 1 {
		return nil, fmt.Errorf("%.80q is no age public key (age1…, as age-keygen -y prints it)", text)
	}
	return all[0], nil
}

// Strings are the public keys as text.
func (r Recipients) Strings() []string { return r.texts }

// Empty says that there is nobody to encrypt to.
func (r Recipients) Empty() bool { return len(r.parsed) == 0 }

// NewKey makes a key pair. public is what files are encrypted to; wrapped is
// the private key as an age file that the recipients can open: with age -d it
// gives an identity file. Nothing else keeps the private key.
func (r Recipients) NewKey() (public string, wrapped []byte, err error) {
	if r.Empty() {
		return "", nil, errors.New("make a key: nobody to encrypt it to")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", nil, fmt.Errorf("make a key: %w", err)
	}
	public = identity.Recipient().String()
	text := "# public key: " + public + "\n" + identity.String() + "\n"
	wrapped, err = seal([]byte(text), r.parsed...)
	return public, wrapped, err
}

// Encrypt writes everything that r gives to w, as an age file for the public
// key.
func Encrypt(w io.Writer, r io.Reader, public string) error {
	recipient, err := parseRecipient(public)
	if err != nil {
		return err
	}
	return encrypt(w, r, recipient)
}

// EncryptBytes is Encrypt in memory.
func EncryptBytes(plain []byte, public string) ([]byte, error) {
	var b bytes.Buffer
	err := Encrypt(&b, bytes.NewReader(plain), public)
	return b.Bytes(), err
}

func seal(plain []byte, to ...age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	err := encrypt(&b, bytes.NewReader(plain), to...)
	return b.Bytes(), err
}

func encrypt(w io.Writer, r io.Reader, to ...age.Recipient) error {
	sealed, err := age.Encrypt(w, to...)
	if err == nil {
		_, err = io.Copy(sealed, r)
	}
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	return nil
}

// Plain is the name of a file without the ending of encrypted ones.
func Plain(name string) string { return strings.TrimSuffix(name, storage.EncryptedExt) }
