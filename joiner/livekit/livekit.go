// Package livekit joins rooms of a LiveKit server or cluster.
//
// In the line it stands behind [joiner.System], as package native does: one
// Connect is one login. The signalling is LiveKit's own protocol (protobuf over
// a WebSocket, version 16); the media is this project's (rooms/peer), not that
// of LiveKit's SDK, whose peer connections have SRTP's narrow replay window,
// ask for lost audio only where the server offered it, and wake up for every
// packet.
//
// A participant's identity and name are the user's, an audio track is a stream:
// its SID is the stream's ID, its name and source are in the extra info. Tracks
// are subscribed to one by one, so that video costs nothing. A track that its
// publisher sends as redundant audio is received so; another one is received
// as plain Opus, because what the server makes redundant itself it cannot send
// again.
//
// The recorder is hidden. What it publishes would be hidden with it, so that
// has a login of its own, whose user is the recorder's with "-mix" behind and
// counts as a recorder, too: it does not keep the room open.
//
// The promises: a receiver gets packets of its stream only and nothing that
// comes after StreamRemoved; a lost WebSocket whose media lives is resumed without a hole;
// a dead link is noticed within 8 s. The first packets of a stream that is
// published while the recorder is there are those after the server told of it:
// LiveKit keeps none. End-to-end encrypted tracks cannot be heard and are not
// played. Media goes over UDP only.
package livekit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/peer"
)

// Config is what a System is built on.
type Config struct {
	// Engine makes the peer connections. It should ask for all that is lost
	// (peer.Config.AskAlways). The caller closes it after the last Connect.
	Engine *peer.Engine
	// Credentials are the API key and secret of the server at a URL, if they
	// are known: logins without a token get one by them.
	Credentials func(url string) (Credentials, bool)
	// Client dials the WebSocket to a URL; nil is http.DefaultClient for all.
	Client func(url string) *http.Client
	// Log gets what happens to connections; nil is silence.
	Log *slog.Logger
}

// System is the joiner.System of LiveKit rooms. It is safe for concurrent use.
//
// It remembers the token by which the server replaced a login's, so that a
// login by a given token can come back after that one has expired.
type System struct {
	source      track.Source
	credentials func(url string) (Credentials, bool)
	client      func(url string) *http.Client
	log         *slog.Logger

	mu        sync.Mutex
	refreshed map[string]refreshed // by the token that was given
}

type refreshed struct {
	token string
	at    time.Time
}

// refreshedLife is longer than the server lets such a token live.
const refreshedLife = time.Hour

var _ joiner.System = (*System)(nil)

// New returns a System. It starts nothing.
func New(c Config) *System {
	s := &System{
		source:      track.Source{Engine: c.Engine, Log: c.Log},
		credentials: c.Credentials,
		client:      c.Client,
		log:         c.Log,
		refreshed:   make(map[string]refreshed),
	}
	if s.credentials == nil {
		s.credentials = func(string) (Credentials, bool) { return Credentials{}, false }
	}
	if s.client == nil {
		s.client = func(string) *http.Client { return http.DefaultClient }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Connect implements joiner.System. Without a token from the login it makes
// one by the server's credentials.
func (s *System) Connect(ctx context.Context, login joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	if pubs == nil {
		pubs = new(joiner.Publications)
	}
	endpoint, err := signalURL(login.URL)
	if err != nil {
		return err
	}
	client := s.client(login.URL)
	log := s.log.With("room", login.RoomID, "user", login.UserID)
	c := &connection{
		dial: func(ctx context.Context, t string, q map[string]string) (*wire, error) {
			return dial(ctx, client, endpoint, t, q, log)
		},
		source: s.source,
		login:  login,
		room:   room,
		pubs:   pubs,
		log:    log,
	}
	given, err := login.Token()
	if err != nil {
		return fmt.Errorf("get token for room %s: %w", login.RoomID, err)
	}
	keys, known := s.credentials(login.URL)
	switch {
	case given != "":
		c.token = func() (string, error) { return s.latest(given), nil }
		c.refresh = func(token string) { s.refresh(given, token) }
	case known:
		c.token = func() (string, error) { return keys.Token(login) }
		c.refresh = func(string) {} // every login gets a new one
		if login.Hidden {
			c.speaker = func() (string, error) { return keys.speaker(login) }
		}
	default:
		return fmt.Errorf("%w: no API key is configured for LiveKit at %s, and the login has no token", joiner.ErrPermanent, login.URL)
	}
	err = c.serve(ctx)
	if ctx.Err() == nil && err == nil {
		err = errors.New("connection ended")
	}
	return err
}

// latest is the token that a given one was last replaced by.
func (s *System) latest(given string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.refreshed[given]; ok {
		return r.token
	}
	return given
}

func (s *System) refresh(given, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, r := range s.refreshed {
		if now.Sub(r.at) > refreshedLife {
			delete(s.refreshed, k)
		}
	}
	s.refreshed[given] = refreshed{token, now}
}
