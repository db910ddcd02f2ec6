package retention

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixdown/audit"
	"mixdown/storage"
)

// CertificateFormat is the format member of every certificate.
const CertificateFormat = "mixdown.disposal/1"

const (
	planExt        = ".plan"
	certificateExt = ".json"
	signatureExt   = ".sig"

	// DisposedExt ends the key of a certificate in a storage, which stands
	// beside the recording's folder: <room>/<id>.disposed.json.
	DisposedExt = ".disposed.json"
)

// Certificate says what a recording was that is no more, file by file. While
// the disposal goes on it is the plan of what is still to be done.
type Certificate struct {
	Format    string             `json:"format"` // CertificateFormat
	ID        string             `json:"id"`
	Room      storage.Room       `json:"room"`
	Users     []string           `json:"users"`
	Labels    map[string]string  `json:"labels"`
	Start     storage.Time       `json:"start"`
	End       storage.Time       `json:"end"`
	Retention *storage.Retention `json:"retention"` // as in the manifest; null: it was kept for ever
	KeptUntil *storage.Time      `json:"keptUntil"` // when its retention was over, extensions included
	Cause     Cause              `json:"cause"`
	By        string             `json:"by"` // who had it disposed of
	Reason    string             `json:"reason,omitempty"`
	Begun     storage.Time       `json:"begun"`
	At        storage.Time       `json:"at,omitzero"` // when nothing was left
	Head      string             `json:"head,omitempty"`
	Storages  []string           `json:"storages"` // that were searched and emptied
	Objects   []Object           `json:"objects"`
	Audit     audit.Head         `json:"audit"` // of the audit log when it began
}

// Object is one file that was deleted.
type Object struct {
	Storage string `json:"storage"`
	Key     string `json:"key"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"` // of what the storage held, hex
}

// Cause is why a recording was disposed of.
type Cause string

// The causes.
const (
	Expired   Cause = "expired"   // its retention was over
	Requested Cause = "requested" // somebody asked for it
)

func (c Certificate) recording() Recording {
	return Recording{
		ID: c.ID, Room: c.Room, Users: c.Users, Labels: c.Labels, Start: c.Start.Time, End: c.End.Time,
		Base: storage.KeyName(c.Room.RoomID) + "/" + c.ID, Storages: c.Storages, Policy: c.Retention,
	}
}

// statement is the signed text: format, id, SHA-256 of the certificate, head
// of the recording's chain.
func (c Certificate) statement(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return strings.Join([]string{CertificateFormat, c.ID, hex.EncodeToString(sum[:]), c.Head}, "\n") + "\n"
}

// VerifyCertificate checks a certificate against its signature. The error says
// what is wrong; signedBy is the key.
func VerifyCertificate(encoded, signature []byte, publicKeys []string) (c Certificate, signedBy string, err error) {
	if err := json.Unmarshal(encoded, &c); err != nil {
		return c, "", fmt.Errorf("certificate: %w", err)
	}
	text, signedBy, known, err := storage.OpenNote(signature, publicKeys)
	switch {
	case err != nil:
		return c, "", fmt.Errorf("certificate %s: signature: %w", c.ID, err)
	case !known:
		return c, signedBy, fmt.Errorf("certificate %s: its key %s is none of the given public keys", c.ID, signedBy)
	case text != c.statement(encoded):
		return c, signedBy, fmt.Errorf("certificate %s is not what the signature signs", c.ID)
	}
	return c, signedBy, nil
}

func (k *Keeper) disposalFile(id, ext string) string {
	return filepath.Join(k.config.Disposals, id+ext)
}

// readDisposals reads what was begun and what is done.
func (k *Keeper) readDisposals() error {
	err := eachFile(k.config.Disposals, certificateExt, func(id, _ string) error {
		k.gone[id] = true
		return nil
	})
	if err != nil {
		return err
	}
	return eachFile(k.config.Disposals, planExt, func(id, name string) error {
		plan, err := readJSON[Certificate](name)
		if err != nil || plan.ID != id {
			return errors.Join(fmt.Errorf("the plan of a disposal, %s, is damaged: what it deleted is known from it only; mend it, or move it away and dispose of what is left again", name), err)
		}
		k.plans[id] = plan
		delete(k.gone, id) // it is not through
		return nil
	})
}

// Certificate gives the certificate of a disposed recording, as it was signed,
// and its signature.
func (k *Keeper) Certificate(id string) (encoded, signature []byte, err error) {
	if !holdID.MatchString(id) {
		return nil, nil, refuse(NotFound, "there is no recording %q", id)
	}
	encoded, err = os.ReadFile(k.disposalFile(id, certificateExt))
	if err == nil {
		signature, err = os.ReadFile(k.disposalFile(id, signatureExt))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, refuse(NotFound, "no recording %q was disposed of", id)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	return encoded, signature, nil
}

// Certificates lists the certificates of all disposed recordings, the latest
// first. They are read from disk.
func (k *Keeper) Certificates() ([]Certificate, error) {
	k.mu.Lock()
	ids := slices.Collect(maps.Keys(k.gone))
	k.mu.Unlock()
	all := make([]Certificate, 0, len(ids))
	for _, id := range ids {
		c, err := readJSON[Certificate](k.disposalFile(id, certificateExt))
		if err != nil {
			return nil, fmt.Errorf("certificate of %s: %w", id, err)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Certificate) int {
		if d := b.At.Compare(a.At.Time); d != 0 {
			return d
		}
		return strings.Compare(b.ID, a.ID)
	})
	return all, nil
}

// certify writes the certificate and its signature: the first that a disposal
// came to counts, whatever crash came after.
func (k *Keeper) certify(plan Certificate) (c Certificate, encoded, signature []byte, err error) {
	encoded, err = os.ReadFile(k.disposalFile(plan.ID, certificateExt))
	if errors.Is(err, fs.ErrNotExist) {
		encoded, err = json.MarshalIndent(plan, "", "  ")
		encoded = append(encoded, '\n')
		if err == nil {
			err = storage.WriteFile(k.disposalFile(plan.ID, certificateExt), encoded, 0o600)
		}
	}
	if err == nil {
		err = json.Unmarshal(encoded, &c)
	}
	if err == nil {
		signature, err = k.config.Key.Sign(c.statement(encoded))
	}
	if err == nil {
		err = storage.WriteFile(k.disposalFile(plan.ID, signatureExt), signature, 0o600)
	}
	if err != nil {
		return c, nil, nil, fmt.Errorf("write the certificate of %s: %w", plan.ID, err)
	}
	return c, encoded, signature, nil
}
