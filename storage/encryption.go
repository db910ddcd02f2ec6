package storage

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

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

// KeysDir is the folder of a recording's key files.
const KeysDir = "keys"

// KeyFileOf names the key of an output: a stream has one for all its files, and
// so have the mixes, which hold everybody's voice.
func KeyFileOf(o Output) KeyFile {
	if o.StreamID == "" {
		return KeyFile{Of: KeyOfMix, Document: Document{Path: KeysDir + "/mix" + EncryptedExt}}
	}
	return KeyFile{
		Of: KeyOfStream, UserID: o.UserID, StreamID: o.StreamID,
		Document: Document{Path: path.Join(KeysDir, "streams", KeyName(o.UserID), KeyName(o.StreamID)+EncryptedExt)},
	}
}

// EventsKeyFile names the key of the event log.
func EventsKeyFile() KeyFile {
	return KeyFile{Of: KeyOfEvents, Document: Document{Path: KeysDir + "/events" + EncryptedExt}}
}

// keyFileAt is what the name of a key file tells of it.
func keyFileAt(name string) (k KeyFile, ok bool) {
	switch k := KeyFileOf(Output{}); name {
	case k.Path:
		return k, true
	case EventsKeyFile().Path:
		return EventsKeyFile(), true
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, EncryptedExt), KeysDir+"/streams/")
	user, stream, cut := strings.Cut(rest, "/")
	if !ok || !cut || strings.Contains(stream, "/") || !strings.HasSuffix(name, EncryptedExt) || !fs.ValidPath(name) {
		return k, false
	}
	k = KeyFileOf(Output{UserID: nameOf(user), StreamID: nameOf(stream)})
	k.Path = name // of a name that was cut, the element stands for it
	return k, true
}

// ErrUnopened is wrapped by what opens a recording's files for one that is
// encrypted and to which it has no key.
var ErrUnopened = errors.New("encrypted, and there is no key to open it")
