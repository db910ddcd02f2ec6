package access

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// SessionTime is how long a browser's session lasts.
const SessionTime = 12 * time.Hour

// Sessions let a browser read what it cannot ask for with a header: audio
// elements and event streams. They live in memory and end with the process, with
// their key, or after [SessionTime].
type Sessions struct {
	keys *Keys
	most int
	mu   sync.Mutex
	all  map[[sha256.Size]byte]session
}

type session struct {
	who  Principal
	ends time.Time
}

// NewSessions makes sessions of keys, as many at once as most says.
func NewSessions(k *Keys, most int) *Sessions {
	return &Sessions{keys: k, most: most, all: map[[sha256.Size]byte]session{}}
}

// Begin makes a session and returns its secret.
func (s *Sessions) Begin(who Principal) (secret string, ok bool) {
	secret = rand.Text()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.most {
		for sum, e := range s.all {
			if now.After(e.ends) {
				delete(s.all, sum)
			}
		}
	}
	if len(s.all) >= s.most {
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
