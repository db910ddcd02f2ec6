package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/storage"
)

// Errors of [Keys].
var (
	ErrUnknown = errors.New("no such key")
	ErrInvalid = errors.New("invalid key")
)

const (
	adminID   = "admin"
	keyPrefix = "mxd_" // so that scanners for leaked secrets find it
	maxKeys   = 10000
	maxRooms  = 100
)

// Key is an API key without its secret.
type Key struct {
	ID      string        `json:"id"`
	Name    string        `json:"name" doc:"What it is for."`
	Roles   []Role        `json:"roles"`
	Rooms   []string      `json:"rooms,omitempty" doc:"Patterns of room ids (* and ? as in file names); none means all rooms."`
	Created storage.Time  `json:"createdAt"`
	By      string        `json:"createdBy"`
	Expires *storage.Time `json:"expiresAt,omitempty"`
}

// kept is a key as the file has it.
type kept struct {
	Key
	SHA256 string `json:"sha256"` // of the whole key: it has 130 random bits, so no salt and no stretching
}

// Keys are the API keys of a daemon, in a file. Its methods are safe for
// concurrent use.
type Keys struct {
	file  string
	admin [sha256.Size]byte

	mu  sync.RWMutex
	all map[string]kept
}

// Open reads the file of keys; it need not be there. admin is the daemon's
// own key, which has the role admin and is not in the file.
func Open(file, admin string) (*Keys, error) {
	k := &Keys{file: file, admin: sha256.Sum256([]byte(admin)), all: map[string]kept{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the API keys: %w", err)
	}
	var list []kept
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read the API keys: %s is damaged: %w", file, err)
	}
	for _, e := range list {
		k.all[e.ID] = e
	}
	return k, nil
}

// Find tells whose key this is. It takes the same time for every wrong secret.
func (k *Keys) Find(secret string) (Principal, bool) {
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], k.admin[:]) == 1 {
		return Principal{ID: adminID, Name: adminID, Roles: []Role{Admin}}, true
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(secret, keyPrefix), "_")
	k.mu.RLock()
	e, ok := k.all[id]
	k.mu.RUnlock()
	want, err := hex.DecodeString(e.SHA256)
	if !ok || err != nil || subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return Principal{}, false
	}
	if e.Expires != nil && !time.Now().Before(e.Expires.Time) {
		return Principal{}, false
	}
	return Principal{ID: e.ID, Name: e.Name, Roles: e.Roles, Rooms: e.Rooms}, true
}

// Still says whether a key that was found before is still good.
func (k *Keys) Still(id string) bool {
	if id == adminID {
		return true
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	e, ok := k.all[id]
	return ok && (e.Expires == nil || time.Now().Before(e.Expires.Time))
}

// Make makes a key and returns its secret, which is not kept.
func (k *Keys) Make(wanted Key, by string) (Key, string, error) {
	if err := wanted.check(); err != nil {
		return Key{}, "", err
	}
	wanted.ID = strings.ToLower(rand.Text()[:10])
	wanted.Created, wanted.By = storage.At(time.Now()), by
	secret := keyPrefix + wanted.ID + "_" + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) >= maxKeys {
		return Key{}, "", fmt.Errorf("%w: there are %d keys already; revoke some", ErrInvalid, maxKeys)
	}
	k.all[wanted.ID] = kept{wanted, hex.EncodeToString(sum[:])}
	if err := k.save(); err != nil {
		delete(k.all, wanted.ID)
		return Key{}, "", err
	}
	return wanted, secret, nil
}

func (w Key) check() error {
	if w.Name == "" || len(w.Name) > 100 || strings.ContainsFunc(w.Name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: name: needs 1 to 100 characters of text", ErrInvalid)
	}
	if len(w.Roles) == 0 {
		return fmt.Errorf("%w: roles: needs at least one", ErrInvalid)
	}
	for _, r := range w.Roles {
		if !slices.Contains(Roles(), r) {
			return fmt.Errorf("%w: roles: %q is not known", ErrInvalid, r)
		}
	}
	if slices.Contains(w.Roles, Admin) && len(w.Rooms) > 0 {
		return fmt.Errorf("%w: rooms: an admin makes keys for every room and cannot be bound to some", ErrInvalid)
	}
	if len(w.Rooms) > maxRooms {
		return fmt.Errorf("%w: rooms: at most %d patterns", ErrInvalid, maxRooms)
	}
	for _, p := range w.Rooms {
		if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > 256 {
			return fmt.Errorf("%w: rooms: %q is no pattern", ErrInvalid, p)
		}
	}
	if w.Expires != nil && !w.Expires.After(time.Now()) {
		return fmt.Errorf("%w: expiresAt: lies in the past", ErrInvalid)
	}
	return nil
}

// List returns all keys, oldest first.
func (k *Keys) List() []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	list := make([]Key, 0, len(k.all))
	for _, e := range k.sorted() {
		list = append(list, e.Key)
	}
	return list
}

// Revoke ends a key at once.
func (k *Keys) Revoke(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.all[id]
	if !ok {
		return fmt.Errorf("%q: %w", id, ErrUnknown)
	}
	delete(k.all, id)
	if err := k.save(); err != nil {
		k.all[id] = e
		return err
	}
	return nil
}

func (k *Keys) sorted() []kept {
	list := make([]kept, 0, len(k.all))
	for _, e := range k.all {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b kept) int {
		if c := a.Created.Compare(b.Created.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

func (k *Keys) save() error {
	b, err := json.MarshalIndent(k.sorted(), "", "  ")
	if err != nil {
		return err
	}
	if err := storage.WriteFile(k.file, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the API keys: %w", err)
	}
	return nil
}
