package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
)

// amendments checks what was done after the seal and returns the recording
// with it.
func (v *verification) amendments(m *Manifest, raw []byte) *SealedRecording {
	r := &SealedRecording{Manifest: m, last: sha256.Sum256(raw)}
	for n := 1; ; n++ {
		name := AmendmentName(n)
		if _, there := v.files[name]; !there {
			return r
		}
		text, err := v.read(name)
		delete(v.files, name)
		if err != nil {
			v.open = append(v.open, fmt.Errorf("read %s: %w", name, err))
			return r
		}
		if m.Sealed == nil {
			v.found(name, "amends a recording that is not sealed")
			return r
		}
		if n == 1 && m.Sealed.Head != m.Head() { // from now on it is the amendments' head that counts
			v.found(ManifestName, "the head of the chain is not that of the last segment: segments are missing at the end")
		}
		if err := r.add(text, nil); err != nil {
			v.found(name, err.Error())
			return r
		}
		a := r.Amendments[n-1]
		if v.amended(name, text, a); len(a.Erased) > 0 {
			v.note("%s: %d keys were destroyed on %s by %s (%s): what they opened is erased", name, len(a.Erased), a.At, a.By, a.Reason)
		}
	}
}

// amended checks the signature of one amendment: a sealed recording that is
// signed has signed amendments.
func (v *verification) amended(name string, text []byte, a Amendment) {
	sig, err := v.read(name + ".sig")
	delete(v.files, name+".sig")
	switch {
	case errors.Is(err, fs.ErrNotExist) && a.KeyID == "" && len(v.options.PublicKeys) == 0:
		v.note("%s is not signed", name)
		return
	case errors.Is(err, fs.ErrNotExist):
		v.found(name+".sig", "is missing: the amendment is not signed")
		return
	case errors.Is(err, errTooLarge):
		v.found(name+".sig", err.Error())
		return
	case err != nil:
		v.open = append(v.open, fmt.Errorf("read %s.sig: %w", name, err))
		return
	}
	said, signedBy, err := openSignature(sig, v.options.PublicKeys)
	switch {
	case errors.Is(err, errUnknownKey) && len(v.options.PublicKeys) == 0:
		v.note("%s: signature of key %s not checked: no public key given", name, signedBy)
	case err != nil:
		v.found(name+".sig", "signature does not verify: "+err.Error())
		return
	}
	if said != statement(AmendmentFormat, a.ID, text, a.Head) {
		v.found(name, "is not what the signature signs: it was changed, or belongs to another recording")
	}
	if a.KeyID != signedBy {
		v.found(name, fmt.Sprintf("says key %s, but %s signed", a.KeyID, signedBy))
	}
}

// keyFiles checks the files that open others. One that was destroyed must be
// gone.
func (v *verification) keyFiles(r *SealedRecording) {
	e := r.Manifest.Encryption
	if e == nil {
		return
	}
	for _, k := range e.Keys {
		a, erased := r.Erased(k.Path)
		_, there := v.files[k.Path]
		switch {
		case !erased:
			v.file(Problem{Segment: k.Path}, k.Bytes, k.SHA256, nil)
		case there:
			v.found(k.Path, fmt.Sprintf("was to be destroyed (%s), but is still here: erase again", AmendmentName(a.Number)))
			delete(v.files, k.Path)
		}
	}
	if v.unopened > 0 {
		v.note("%d encrypted segments have the right hashes; their audio was not opened, for want of a key", v.unopened)
	}
}
