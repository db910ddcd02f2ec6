package storage

import (
	"encoding/hex"
	"slices"
	"strings"
)

// keys adds the key files that are younger than the unsealed manifest.
func (r *rebuild) keys(names []string) error {
	if r.m.Encryption == nil {
		return nil
	}
	for _, k := range r.m.Encryption.Keys {
		if r.keyed[k.Path] = slices.Contains(names, k.Path); !r.keyed[k.Path] {
			r.leave(k.Path, "is missing")
		}
	}
	for _, name := range names {
		if _, known := r.keyed[name]; known || !strings.HasPrefix(name, KeysDir+"/") {
			continue
		}
		sealed, _, err := r.read(name, nil)
		if err != nil {
			return err
		}
		k, ok := keyFileAt(name)
		if ok && r.options.Recipient != nil {
			k.Recipient = r.options.Recipient(name)
			ok = k.Recipient != ""
		}
		if !ok {
			r.leave(name, "is no key that opens")
			r.m.AppendFile(name, sealed)
			continue
		}
		k.UserID, k.StreamID = r.full(k.UserID), r.full(k.StreamID)
		k.Bytes, k.SHA256 = sealed.Size, hex.EncodeToString(sealed.SHA256[:])
		r.keyed[name] = true
		r.m.Encryption.Keys = append(r.m.Encryption.Keys, k)
	}
	return nil
}

// full is the id for which an element of a key stands that was cut, if the
// unsealed manifest knows it.
func (r *rebuild) full(id string) string {
	if !strings.Contains(id, "~") {
		return id
	}
	for _, u := range r.m.Users {
		if KeyName(u.UserID) == id {
			return u.UserID
		}
	}
	for _, s := range r.m.Streams {
		for _, known := range []string{s.UserID, s.StreamID} {
			if KeyName(known) == id {
				return known
			}
		}
	}
	return id
}
