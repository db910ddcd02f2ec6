package access

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// SessionTime is how long a browser's session lasts.
	SessionTime = 12 * time.Hour
	maxSessions = 10000
)

// Sessions let a browser read what it cannot ask for with a header: audio
// elements and event streams. They live in memory and end with the process, with
// their key, or after [SessionTime].
type Sessions struct {
	keys *Keys
	mu   sync.Mutex
	all  map[[sha256.Size]byte]session
}

type session struct {
	who  Principal
	ends time.Time
}

// NewSessions makes sessions of keys.
func NewSessions(k *Keys) *Sessions {
	return &Sessions{keys: k, all: map[[sha256.Size]byte]session{}}
}

// Begin makes a session and returns its secret.
func (s *Sessions) Begin(who Principal) (secret string, ok bool) {
	secret = rand.Text()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		for sum, e := range s.all {
			if now.After(e.ends) {
				delete(s.all, sum)
			}
		}
	}
	if len(s.all) >= maxSessions {
		return "", false
	}
	s.all[sha256.Sum256([]byte(secret))] = session{who, now.Add(SessionTime)}
	return secret, true
}

// Find tells whose session this is.
func (s *Sessions) Find(secret string) (Principal, bool) {
	s.mu.Lock()
	e, ok := s.all[sha256.Sum256([]byte(secret))]
	s.mu.Unlock()
	if !ok || time.Now().After(e.ends) || !s.keys.Still(e.who.ID) {
		return Principal{}, false
	}
	return e.who, true
}

// End ends a session.
func (s *Sessions) End(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(secret)))
}
