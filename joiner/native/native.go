// Package native joins rooms of this project's own room service, embedded or
// remote, over the protocol of package rooms/signal.
//
// In the line it stands behind [joiner.System]: package joiner's Participant
// calls [System.Connect] once for each connection and decides about trying
// again. One System serves any number of participants at once. A connection is
// one WebSocket, one peer connection for everything that is played and one for
// each publication, each with a UDP socket of its own. It ends as a whole when
// the WebSocket or the player's media is lost, because logging in again with
// the session's ID is quick and mends both; a publication's media is mended by
// itself.
//
// The promises: packet one of a stream arrives; a receiver gets packets of its
// stream only and nothing after StreamRemoved; a dead link is noticed within
// 8 s; logging out takes 2 s at most. It decodes nothing and keeps no packet.
package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pion/transport/v5"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/rooms/peer"
)

// Config is what a System is built on.
type Config struct {
	// Listen opens the UDP socket of one peer connection, which closes it;
	// rooms/udp has one that is read in batches. Each peer connection needs
	// its own: the server tells connections apart by where packets come from.
	Listen func() (net.PacketConn, error)
	// Net is the network behind Listen; nil is the machine's.
	Net transport.Net
	// Engine makes the peer connections if there is no Listen. It should send
	// sender reports and must not have a socket that its connections share.
	// The caller closes it after the last Connect.
	Engine *peer.Engine
	// HTTPClient dials the WebSocket; nil is http.DefaultClient.
	HTTPClient *http.Client
	// Log gets what happens to connections; nil is silence.
	Log *slog.Logger
}

// System is the joiner.System of our own rooms.
//
// It remembers the session of each login (URL, room, user) for 30 s after its
// connection was lost, so that the next Connect of the same login resumes it
// and the others in the room notice nothing.
type System struct {
	source track.Source
	client *http.Client
	log    *slog.Logger

	mu       sync.Mutex
	sessions map[loginKey]session
}

var _ joiner.System = (*System)(nil)

type loginKey struct{ url, room, user string }

type session struct {
	id   string
	lost time.Time // zero while a connection uses it
}

// resumable is how long the server keeps a session without a connection.
const resumable = 30 * time.Second

// New returns a System. It starts nothing.
func New(c Config) *System {
	s := &System{
		source:   track.Source{Listen: c.Listen, Net: c.Net, Engine: c.Engine, Log: c.Log},
		client:   c.HTTPClient,
		log:      c.Log,
		sessions: make(map[loginKey]session),
	}
	if s.client == nil {
		s.client = http.DefaultClient
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Connect implements joiner.System. It tells the users and streams that are
// in the room at login before CONNECTED, so that the caller knows then what
// has gone.
func (s *System) Connect(ctx context.Context, login joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	if pubs == nil {
		pubs = new(joiner.Publications)
	}
	if err := checkURL(login.URL); err != nil {
		return err
	}
	ws, err := dial(ctx, s.client, login.URL)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("connect to %s: %w", login.URL, err)
	}
	key := loginKey{login.URL, login.RoomID, login.UserID}
	c := &connection{
		source:  s.source,
		log:     s.log.With("room", login.RoomID, "user", login.UserID),
		login:   login,
		room:    room,
		pubs:    pubs,
		wire:    newWire(ws),
		session: s.former(key),
		keep:    func(id string) { s.keep(key, session{id: id}) },
	}
	err = c.serve(ctx)
	s.leave(key, c.session, ctx.Err() != nil || errors.Is(err, joiner.ErrPermanent))
	return err
}

// former returns the ID of the session to resume, or none.
func (s *System) former(key loginKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, v := range s.sessions {
		if !v.lost.IsZero() && now.Sub(v.lost) >= resumable {
			delete(s.sessions, k)
		}
	}
	return s.sessions[key].id
}

func (s *System) keep(key loginKey, v session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[key] = v
}

// leave notes the end of a connection. A session that another connection of
// the same login has replaced meanwhile is left alone.
func (s *System) leave(key loginKey, id string, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.sessions[key]
	switch {
	case !ok || v.id != id && id != "":
	case over || id == "":
		delete(s.sessions, key)
	case v.lost.IsZero():
		v.lost = time.Now()
		s.sessions[key] = v
	}
}
