// Package rooms is the embedded room service: rooms, users and streams by the
// rules of ZEGO's tutorial, spoken as JSON-RPC over a WebSocket (rooms/signal)
// and, for one stream at a time, as WHIP and WHEP. It stands at the very start
// of the line: speakers publish into it, the joiner logs in to it like anybody
// else. The media itself passes through rooms/sfu; this package only says who
// hears what. cmd builds a Service, mounts its Handler and calls Run; api lists
// rooms and kicks users through it.
//
// It promises that everybody in a room learns of logins, logouts and streams in
// the order in which the service received them, that a client which drops and
// comes back in time was never gone for the others, and that a slow, silent or
// hostile client costs nobody else anything. It does not keep anything across a
// restart and does not look into audio. docs/room-protocol.md is its manual.
package rooms

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// Config is what New needs. AppID, Secret (32 bytes) and Media are required;
// every zero limit stands for its default.
type Config struct {
	AppID  uint32
	Secret string
	Media  *sfu.Server
	Log    *slog.Logger   // nil logs nothing
	Watch  func(Activity) // hears what happens, in order; must not block; nil hears nothing

	ResumeWindow      time.Duration // how long a dropped client or stream may come back; 30 s
	PingInterval      time.Duration // between WebSocket pings; 10 s
	PingTimeout       time.Duration // for the pong; 20 s
	LoginTimeout      time.Duration // how long a connection may stay without a login; 60 s
	MaxConnections    int           // WebSockets; 10000
	MaxRooms          int           // with somebody in them, hidden logins included; 10000
	MaxSessions       int           // WHIP and WHEP sessions together; 10000
	MaxStreamsPerUser int           // 32
	MaxPlaying        int           // streams that one login plays; 1000
	MaxQueue          int           // messages that wait for a slow reader; 1024
}

// defaults fills in what was left zero.
func (c Config) defaults() Config {
	durations := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ResumeWindow, 30 * time.Second}, {&c.PingInterval, 10 * time.Second},
		{&c.PingTimeout, 20 * time.Second}, {&c.LoginTimeout, time.Minute},
	}
	for _, d := range durations {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	counts := []struct {
		field *int
		value int
	}{
		{&c.MaxConnections, 10000}, {&c.MaxRooms, 10000}, {&c.MaxSessions, 10000}, {&c.MaxStreamsPerUser, 32},
		{&c.MaxPlaying, 1000}, {&c.MaxQueue, 1024},
	}
	for _, n := range counts {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Service is the room service of one app. All of its state is behind one
// mutex, which is held for moments only: what may take time (media, sockets)
// happens outside of it. Notifications are queued under it, so that their
// order is the order of events.
type Service struct {
	cfg      Config
	log      *slog.Logger
	events   *worklist // what media goroutines reported
	graves   *worklist // media connections to close
	visitors sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	rooms     map[string]*room
	users     map[string]*login  // by userKey: one login per user in the whole app
	sessions  map[string]*login  // by session, dropped ones too
	past      map[string]ending  // sessions that must not come back, and why
	streams   map[string]*stream // by stream: unique in the whole app
	claims    map[string]*login  // streams whose media is being set up
	conns     map[*connection]struct{}
	whips     map[string]*whipSession // by resource
	wheps     map[string]*whepSession
	retired   []retirement
	postponed []func()
	messageID int64
}

// ending is why a session ended for good.
type ending struct {
	code int
	at   time.Time
}

// retirement is a player that is closed a little later, so that its successor
// can take over first.
type retirement struct {
	playback *playback
	at       time.Time
}

// New makes the service. It serves nothing before its Handler is mounted and
// keeps no time before Run is called.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.AppID == 0:
		return nil, errors.New("room service: app id is zero")
	case len(cfg.Secret) != token.SecretSize:
		return nil, fmt.Errorf("room service: the secret has %d bytes, not %d", len(cfg.Secret), token.SecretSize)
	case cfg.Media == nil:
		return nil, errors.New("room service: no media server")
	}
	cfg = cfg.defaults()
	return &Service{
		cfg: cfg, log: cfg.Log,
		events: newWorklist(), graves: newWorklist(),
		rooms:    map[string]*room{},
		users:    map[string]*login{},
		sessions: map[string]*login{},
		past:     map[string]ending{},
		streams:  map[string]*stream{},
		claims:   map[string]*login{},
		conns:    map[*connection]struct{}{},
		whips:    map[string]*whipSession{},
		wheps:    map[string]*whepSession{},
	}, nil
}

// AppID is the app whose tokens the service accepts.
func (s *Service) AppID() uint32 { return s.cfg.AppID }

// MintToken makes a login token for this service; AppID is filled in. IDs by
// which nobody could log in or publish are an error.
func (s *Service) MintToken(c token.Claims) (string, error) {
	faults := []*signal.Error{checkUser(signal.User{UserID: c.UserID})}
	if c.RoomID != "" { // good for all rooms
		faults = append(faults, checkRoomID(c.RoomID))
	}
	for _, id := range c.StreamIDs {
		faults = append(faults, checkStreamID(id))
	}
	for _, f := range faults {
		if f != nil {
			return "", fmt.Errorf("make a token: %w", f)
		}
	}
	c.AppID = s.cfg.AppID
	return token.Make(s.cfg.Secret, c)
}

// Handler serves /ws, /whip/{roomID}/{streamID} and /whep/{roomID}/{streamID}
// with their session resources.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.serveSocket)
	mux.HandleFunc("/whip/{roomID}/{streamID}", s.crossOrigin(s.serveWHIP))
	mux.HandleFunc("/whip/{roomID}/{streamID}/{session}", s.crossOrigin(s.serveWHIPSession))
	mux.HandleFunc("/whep/{roomID}/{streamID}", s.crossOrigin(s.serveWHEP))
	mux.HandleFunc("/whep/{roomID}/{streamID}/{session}", s.crossOrigin(s.serveWHEPSession))
	return mux
}

// enter counts a visitor in (an HTTP request or a WebSocket), unless the
// service has ended.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.visitors.Add(1)
	return true
}

// locked runs f under the lock.
func (s *Service) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// update runs f under the lock and then, without it, what f postponed.
func (s *Service) update(f func()) {
	var postponed []func()
	s.locked(func() {
		f()
		postponed, s.postponed = s.postponed, nil
	})
	for _, g := range postponed {
		g()
	}
}

// later postpones g until the lock is released. The caller holds the lock.
func (s *Service) later(g func()) { s.postponed = append(s.postponed, g) }

// guard runs f and turns a panic into a log entry, so that what breaks for one
// room or connection breaks for it alone. It reports whether f came through.
func (s *Service) guard(what string, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic", "in", what, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}
