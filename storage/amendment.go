package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// AmendmentFormat is the format member of every amendment.
const AmendmentFormat = "mixdown.amendment/1"

// Amendment is what was done to a recording after it was sealed: keys
// destroyed, so that what they opened is erased, and a new mix made without
// it. The manifest stays as it was signed; amendments are signed like it and
// follow it as a chain. An amendment that erases is the certificate of that.
type Amendment struct {
	Format   string `json:"format"`
	ID       string `json:"id"`       // the recording's
	Number   int    `json:"number"`   // 1, 2, 3 …
	Previous string `json:"previous"` // SHA-256 of the amendment before, of the first one that of manifest.json; hex
	At       Time   `json:"at"`
	By       string `json:"by"`
	Reason   string `json:"reason"`

	Erased   []KeyFile `json:"erased,omitempty"` // their key files are destroyed
	Outputs  []Output  `json:"outputs,omitempty"`
	Segments []Segment `json:"segments,omitempty"` // their chain goes on from the one before
	Keys     []KeyFile `json:"keys,omitempty"`

	Head  string `json:"head"`  // of the chain
	KeyID string `json:"keyID"` // of the key that signed; "" if unsigned
}

const amendmentsDir = "amendments"

// AmendmentName is the path of an amendment; its signature's ends in .sig.
func AmendmentName(number int) string { return fmt.Sprintf("%s/%06d.json", amendmentsDir, number) }

// seal gives the contents of the amendment's two files.
func (a *Amendment) seal(key *Key) (text, signature []byte, err error) {
	var signer note.Signer
	if key != nil {
		signer = key.current()
		a.KeyID = signerID(signer)
	}
	if text, err = json.MarshalIndent(a, "", "  "); err != nil {
		return nil, nil, err
	}
	text = append(text, '\n')
	if key == nil {
		return text, nil, nil
	}
	signature, err = note.Sign(&note.Note{Text: statement(AmendmentFormat, a.ID, text, a.Head)}, signer)
	return text, signature, err
}

func decodeAmendment(text []byte) (a Amendment, err error) {
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	if a.Format != AmendmentFormat {
		return a, fmt.Errorf("format is %q, not %q", a.Format, AmendmentFormat)
	}
	return a, nil
}

// Amended is the manifest with what an amendment adds.
func (m *Manifest) Amended(a Amendment) *Manifest {
	all := *m
	all.Outputs = append(slices.Clip(m.Outputs), a.Outputs...)
	all.Segments = append(slices.Clip(m.Segments), a.Segments...)
	if m.Encryption != nil {
		e := *m.Encryption
		e.Keys = append(slices.Clip(e.Keys), a.Keys...)
		all.Encryption = &e
	}
	if m.Sealed != nil {
		s := *m.Sealed
		s.Head = a.Head
		all.Sealed = &s
	}
	return &all
}

// SealedRecording is a recording as it is by now: the manifest that was signed, and
// what came after.
type SealedRecording struct {
	Manifest   *Manifest // with what the amendments add
	Amendments []Amendment
	last       [sha256.Size]byte // of the newest file of the chain
	texts      [][]byte          // of the amendments
	signatures [][]byte
}

// ReadRecording reads the manifest and the amendments of the recording
// prefix. It does not check signatures: that is [Verify]'s.
func ReadRecording(ctx context.Context, b Browser, prefix string) (*SealedRecording, error) {
	raw, err := readObject(ctx, b, path.Join(prefix, ManifestName))
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", prefix, err)
	}
	r := &SealedRecording{last: sha256.Sum256(raw)}
	if r.Manifest, err = DecodeManifest(raw); err != nil {
		return nil, fmt.Errorf("read recording %s: %w", prefix, err)
	}
	for n := 1; ; n++ {
		text, err := readObject(ctx, b, path.Join(prefix, AmendmentName(n)))
		if errors.Is(err, fs.ErrNotExist) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read recording %s: %w", prefix, err)
		}
		sig, err := readObject(ctx, b, path.Join(prefix, AmendmentName(n)+".sig"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read recording %s: %w", prefix, err)
		}
		if err := r.add(text, sig); err != nil {
			return nil, fmt.Errorf("read recording %s: %s: %w", prefix, AmendmentName(n), err)
		}
	}
}

func readObject(ctx context.Context, b Browser, key string) ([]byte, error) {
	f, o, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Size > maxManifest {
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(f, maxManifest))
}

// add appends an amendment.
func (r *SealedRecording) add(text, sig []byte) error {
	a, err := decodeAmendment(text)
	if err != nil {
		return err
	}
	if err := r.follows(a); err != nil {
		return err
	}
	r.Manifest, r.Amendments = r.Manifest.Amended(a), append(r.Amendments, a)
	r.last, r.texts, r.signatures = sha256.Sum256(text), append(r.texts, text), append(r.signatures, sig)
	return nil
}

// follows says why an amendment is not the next one of this recording.
func (r *SealedRecording) follows(a Amendment) error {
	switch {
	case a.ID != r.Manifest.ID:
		return fmt.Errorf("it belongs to recording %q", a.ID)
	case a.Number != len(r.Amendments)+1:
		return fmt.Errorf("it is number %d", a.Number)
	case a.Previous != hex.EncodeToString(r.last[:]):
		return errors.New("it does not follow what is there: an amendment, or the manifest, was changed or removed")
	}
	return nil
}

// Erased says by which amendment a key file was destroyed.
func (r *SealedRecording) Erased(keyPath string) (Amendment, bool) {
	for _, a := range r.Amendments {
		if slices.ContainsFunc(a.Erased, func(k KeyFile) bool { return k.Path == keyPath }) {
			return a, true
		}
	}
	return Amendment{}, false
}

// Keys are the key files that were not destroyed.
func (r *SealedRecording) Keys() []KeyFile {
	if r.Manifest.Encryption == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Manifest.Encryption.Keys), func(k KeyFile) bool {
		_, gone := r.Erased(k.Path)
		return gone
	})
}

// Next begins the amendment that follows.
func (r *SealedRecording) Next(at Time, by, reason string) Amendment {
	return Amendment{
		Format: AmendmentFormat, ID: r.Manifest.ID, Number: len(r.Amendments) + 1, Previous: hex.EncodeToString(r.last[:]),
		At: at, By: by, Reason: reason, Head: r.Manifest.Head(),
	}
}
