package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Seal closes the manifest of an ended recording and signs it. It sets
// m.Sealed, at the present time unless the manifest was sealed before, and
// returns the contents of manifest.json and manifest.json.sig. Sealing an
// unchanged manifest again gives the same bytes. With a nil key the recording
// is sealed but not signed, and signature is nil.
func Seal(m *Manifest, key *Key) (manifest, signature []byte, err error) {
	if m.End == nil {
		return nil, nil, fmt.Errorf("seal recording %s: it has no end", m.ID)
	}
	if m.ID == "" || strings.ContainsAny(m.ID, "\r\n") {
		return nil, nil, fmt.Errorf("seal recording %q: no usable id", m.ID)
	}
	seal := SealMark{At: At(time.Now()), Head: m.Head()}
	if m.Sealed != nil {
		seal.At = m.Sealed.At
	}
	var signer note.Signer
	if key != nil {
		signer = key.current()
		seal.KeyID = signerID(signer)
	}
	m.Sealed = &seal
	manifest, err = m.Encode()
	if err != nil || key == nil {
		return manifest, nil, err
	}
	signature, err = note.Sign(&note.Note{Text: statement(ManifestFormat, m.ID, manifest, seal.Head)}, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign manifest %s: %w", m.ID, err)
	}
	return manifest, signature, nil
}

// timeStamp checks manifest.json.tsr, if there is one, against the manifest.
func (v *verification) timeStamp(raw []byte) {
	stamp, err := v.read(TimeStampName)
	delete(v.files, TimeStampName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // few have one
	case errors.Is(err, errTooLarge):
		v.found(TimeStampName, err.Error())
		return
	case err != nil:
		v.open = append(v.open, fmt.Errorf("read %s: %w", TimeStampName, err))
		return
	case v.options.TimeStamp == nil:
		v.note("time stamp not checked")
		return
	}
	at, note, err := v.options.TimeStamp(stamp, sha256.Sum256(raw))
	if err != nil {
		v.found(TimeStampName, "is no time stamp of this manifest: "+err.Error())
		return
	}
	v.report.Stamped = at
	if note != "" {
		v.note("%s", note)
	}
}

// statement is the signed text: four lines. Content is the file's that is
// signed.
func statement(format, id string, content []byte, head string) string {
	sum := sha256.Sum256(content)
	return strings.Join([]string{format, id, hex.EncodeToString(sum[:]), head}, "\n") + "\n"
}

// errUnknownKey is returned by openSignature for a signature by none of the known keys.
var errUnknownKey = errors.New("it is signed by none of the given public keys")

// openSignature returns the statement that sig signs and the id of the key. A
// note that is not byte for byte the encoding of its own content is refused.
func openSignature(sig []byte, publicKeys []string) (text, signedBy string, err error) {
	var known []note.Verifier
	for _, k := range publicKeys {
		v, err := note.NewVerifier(k)
		if err != nil {
			return "", "", fmt.Errorf("public key %q: %w", k, err)
		}
		known = append(known, v)
	}
	n, err := note.Open(sig, note.VerifierList(known...))
	var unverified *note.UnverifiedNoteError
	var unknown error
	switch {
	case errors.As(err, &unverified):
		n, unknown = unverified.Note, errUnknownKey
	case err != nil:
		return "", "", err
	}
	sigs := append(n.Sigs, n.UnverifiedSigs...)
	if len(sigs) != 1 {
		return "", "", fmt.Errorf("it has %d signatures, not one", len(sigs))
	}
	s := sigs[0]
	// Strict, because the unused bits of the last character would otherwise
	// be free to change.
	if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
		return "", "", fmt.Errorf("signature line: %w", err)
	}
	canonical := n.Text + "\n— " + s.Name + " " + s.Base64 + "\n"
	if !bytes.Equal(sig, []byte(canonical)) {
		return "", "", errors.New("it is not in canonical form")
	}
	return n.Text, keyID(s.Name, s.Hash), unknown
}
