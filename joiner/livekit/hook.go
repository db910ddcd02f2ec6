package livekit

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"
	lk "github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxHook is more than LiveKit has to say at once.
const maxHook = 1 << 20

// News is what somebody did in a room, as a server's webhook tells it. StreamID
// is empty if it is about the user.
type News struct {
	Key      string // API key of the server
	RoomID   string
	UserID   string
	StreamID string
	Gone     bool // the user left, the stream ended
	At       time.Time
}

// Hook takes the webhooks of LiveKit servers (POST) and tells what happens in
// their rooms. Each must be signed with a known key, over the very body: else
// it is refused with 401 and tells nothing. Recorders are nobody who talks, nor
// are video tracks. It is safe for concurrent use.
type Hook struct {
	secret func(key string) string // of an API key, "" if it is not known
	tell   func(News)              // must not block

	mu        sync.Mutex
	rooms     map[roomKey]map[string]map[string]bool // streams by user
	recorders map[roomKey]map[string]bool            // users who are; not every event says so
}

type roomKey struct{ key, room string }

// NewHook returns a Hook.
func NewHook(secret func(key string) string, tell func(News)) *Hook {
	return &Hook{secret: secret, tell: tell, rooms: make(map[roomKey]map[string]map[string]bool), recorders: make(map[roomKey]map[string]bool)}
}

// verify checks that a token is signed by a key that is known, is not too old,
// and is about this very body. It returns the key.
func (h *Hook) verify(token string, body []byte) (key string, err error) {
	t, err := auth.ParseAPIToken(token)
	if err != nil {
		return "", err
	}
	secret := h.secret(t.APIKey())
	if secret == "" {
		return "", errors.New("the API key is not known")
	}
	registered, grants, err := t.Verify(secret)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	want := base64.StdEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(grants.Sha256), []byte(want)) != 1 || registered.ExpiresAt == nil {
		return "", errors.New("the token is not about this body, or for ever")
	}
	return t.APIKey(), nil
}

// ServeHTTP implements http.Handler.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "a webhook is posted", http.StatusMethodNotAllowed)
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		http.Error(w, "the body is too large, or not whole", http.StatusRequestEntityTooLarge)
		return
	}
	key, err := h.verify(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), data)
	if err != nil {
		// Why is for nobody who cannot sign.
		http.Error(w, "not signed by a key of a configured LiveKit server", http.StatusUnauthorized)
		return
	}
	e := new(lk.WebhookEvent)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true}).Unmarshal(data, e); err != nil {
		http.Error(w, "not an event of LiveKit's", http.StatusBadRequest)
		return
	}
	h.take(key, e)
}

// take tells an event. A server tells of a room again after it was restarted,
// and leaves out what happened meanwhile: who leaves takes their streams along,
// a room that ends everybody.
func (h *Hook) take(key string, e *lk.WebhookEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := time.Now()
	if e.CreatedAt > 0 && at.Sub(time.Unix(e.CreatedAt, 0)) > time.Minute {
		at = time.Unix(e.CreatedAt, 0) // it was on its way for long
	}
	room, user := e.GetRoom().GetName(), e.GetParticipant().GetIdentity()
	place := roomKey{key, room}
	tell := func(user, stream string, gone bool) {
		h.tell(News{Key: key, RoomID: room, UserID: user, StreamID: stream, Gone: gone, At: at})
	}
	leave := func(user string) {
		for stream := range h.rooms[place][user] {
			tell(user, stream, true)
		}
		delete(h.rooms[place], user)
		tell(user, "", true)
	}
	if room == "" {
		return
	}
	if recorder(e.GetParticipant()) {
		if h.recorders[place] == nil {
			h.recorders[place] = make(map[string]bool)
		}
		h.recorders[place][user] = true
	}
	if h.recorders[place][user] {
		return
	}
	switch e.GetEvent() {
	case "participant_joined":
		h.enter(place, user)
		tell(user, "", false)
	case "track_published":
		if e.GetTrack().GetType() == lk.TrackType_AUDIO {
			h.enter(place, user)[e.Track.Sid] = true
			tell(user, e.Track.Sid, false)
		}
	case "track_unpublished":
		if e.GetTrack().GetType() == lk.TrackType_AUDIO {
			delete(h.rooms[place][user], e.Track.Sid)
			tell(user, e.Track.Sid, true)
		}
	case "participant_left":
		leave(user)
	case "room_finished":
		for user := range h.rooms[place] {
			leave(user)
		}
		delete(h.rooms, place)
		delete(h.recorders, place)
	}
	if len(h.rooms[place]) == 0 {
		delete(h.rooms, place)
	}
}

func (h *Hook) enter(at roomKey, user string) (streams map[string]bool) {
	if h.rooms[at] == nil {
		h.rooms[at] = make(map[string]map[string]bool)
	}
	if h.rooms[at][user] == nil {
		h.rooms[at][user] = make(map[string]bool)
	}
	return h.rooms[at][user]
}

// recorder says that a participant is one, ours or another's.
func recorder(p *lk.ParticipantInfo) bool {
	//nolint:staticcheck // a deprecated field, and the only one that says it of a recorder by grant
	byGrant := p.GetPermission().GetRecorder()
	return byGrant || p.GetKind() == lk.ParticipantInfo_EGRESS || p.GetPermission().GetHidden()
}
