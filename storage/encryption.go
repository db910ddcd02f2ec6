package storage

import "errors"

// EncryptedExt ends the name of every encrypted file of a recording. Such a
// file is an age file (age-encryption.org/v1) and opens with the tool age.
const EncryptedExt = ".age"

// Encryption says how a recording is encrypted: its audio and its event log,
// each with a key of their own, which lie beside them as key files, encrypted
// to the recipients. The manifest itself is readable.
type Encryption struct {
	Scheme     string    `json:"scheme"`     // age
	Recipients []string  `json:"recipients"` // the public keys that the key files are encrypted to
	Keys       []KeyFile `json:"keys"`
}

// What a [KeyFile] opens.
const (
	KeyOfStream = "stream"
	KeyOfMix    = "mix" // of all mixes, dual ones included
	KeyOfEvents = "events"
)

// KeyFile is a file that holds, encrypted, the identity that opens other files
// of the recording. Without it those cannot be read by anybody ever again,
// while everything that was signed stays true: destroying it erases them.
type KeyFile struct {
	Of        string `json:"of"` // KeyOfStream, KeyOfMix, KeyOfEvents
	UserID    string `json:"userID,omitempty"`
	StreamID  string `json:"streamID,omitempty"`
	Recipient string `json:"recipient"` // the public key that the files are encrypted to
	Document
}

// ErrUnopened is wrapped by what opens a recording's files for one that is
// encrypted and to which it has no key.
var ErrUnopened = errors.New("encrypted, and there is no key to open it")
