package storage

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// Sign signs a text of whole lines as a note, in the form of
// manifest.json.sig: what is said about recordings elsewhere than in a
// manifest, as a certificate of disposal or the head of a log.
func (k *Key) Sign(text string) ([]byte, error) {
	b, err := note.Sign(&note.Note{Text: text}, k.current())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return b, nil
}

// OpenNote reads a signed note. It has one signature, by the key signedBy;
// known says that this is one of the public keys and the signature is good. A
// note by an unknown key proves nothing. The error says why it is no note, or
// one that a known key did not sign.
func OpenNote(signed []byte, publicKeys []string) (text, signedBy string, known bool, err error) {
	text, signedBy, err = openSignature(signed, publicKeys)
	if errors.Is(err, errUnknownKey) {
		return text, signedBy, false, nil
	}
	return text, signedBy, err == nil, err
}
