// Package roomstest is a room service with its clients on a network in memory,
// for tests in virtual time.
//
// It stands where the line begins: a test builds a [Bed] inside a
// testing/synctest bubble, gives it [Host]s, lets speakers publish and whatever
// it tests (a joiner.Participant, a capture) join through a Host's System, and
// cuts, delays or thins the Host's [Link]. Everything between the ends is real:
// the room service, the SFU, WebSocket, ICE, DTLS, SRTP; only sockets and the
// clock are not. An hour of a call takes seconds, and a test that ends with a
// goroutine left over fails.
//
//	synctest.Test(t, func(t *testing.T) {
//		bed := roomstest.New(t)
//		ann := bed.Speaker("standup", "ann")
//		recorder := bed.Host()
//		p := joiner.NewParticipant(recorder.System, bed.Login("standup", "recorder", true), room, pubs, nil, log)
//		go p.Run(ctx)
//		ann.Say(10 * time.Second)
//		recorder.Link.Cut(true)
//		…
//	})
//
// It checks nothing itself and is used by tests only.
package roomstest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5/vnet"

	"mixdown/joiner"
	"mixdown/rooms"
	"mixdown/rooms/sfu"
	"mixdown/rooms/token"
)

const (
	appID  = 1
	secret = "0123456789abcdef0123456789abcdef"
	url    = "ws://room.test/ws"
)

// Bed is a room service on a network of its own. It ends with the test.
type Bed struct {
	// Log is what servers and clients write to: nothing, or standard error if
	// the environment has ROOMSTEST_LOG=debug.
	Log *slog.Logger

	t       testing.TB
	network *network
	machine *vnet.Net // stands for the machine's interfaces, of which none is used

	mu     sync.Mutex
	server *server
	hosts  int
}

// server is one life of the room service.
type server struct {
	service  *rooms.Service
	media    *sfu.Server
	socket   *socket
	listener *listener
	http     *http.Server
	stop     context.CancelFunc
	tasks    sync.WaitGroup
}

// New starts a room service. It must be called inside a bubble.
func New(t testing.TB) *Bed {
	t.Helper()
	machine, err := vnet.NewNet(&vnet.NetConfig{})
	if err != nil {
		t.Fatalf("test network: %v", err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("ROOMSTEST_LOG") == "debug" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b := &Bed{
		Log:     log,
		t:       t,
		network: &network{sockets: make(map[netip.AddrPort]*socket)},
		machine: machine,
	}
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// Start starts the room service again after [Bed.Stop], at the same address,
// with nothing remembered.
func (b *Bed) Start() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		b.t.Fatal("the room service runs already")
	}
	log := b.Log.With("host", "server")
	s := &server{socket: b.network.listen(address(1, 8443), nil), listener: newListener()}
	var err error
	if s.media, err = sfu.New(sfu.Config{Conn: s.socket, Net: b.machine, Log: log}); err != nil {
		b.t.Fatalf("start SFU: %v", err)
	}
	if s.service, err = rooms.New(rooms.Config{AppID: appID, Secret: secret, Media: s.media, Log: log}); err != nil {
		b.t.Fatalf("start room service: %v", err)
	}
	s.http = &http.Server{Handler: s.service.Handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.WithoutCancel(b.t.Context()))
	s.tasks.Go(func() { check(b.t, s.service.Run(ctx)) })
	s.tasks.Go(func() { check(b.t, s.http.Serve(s.listener)) })
	b.server = s
}

// Stop stops the room service, as a daemon that shuts down does.
func (b *Bed) Stop() {
	b.mu.Lock()
	s := b.server
	b.server = nil
	b.mu.Unlock()
	if s == nil {
		return
	}
	check(b.t, s.listener.Close())
	s.stop()
	check(b.t, s.http.Close())
	s.tasks.Wait()
	check(b.t, s.media.Close())
	check(b.t, s.socket.Close())
}

// Crash ends the room service without a word to anybody: as if its machine
// lost power, nothing that is still to be sent arrives.
func (b *Bed) Crash(hosts ...*Host) {
	for _, h := range hosts {
		h.Link.Cut(true)
	}
	b.Stop()
	for _, h := range hosts {
		h.drop()
		h.Link.Cut(false)
	}
}

func check(t testing.TB, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("test bed: %v", err)
	}
}

// Service is the room service that runs now.
func (b *Bed) Service() *rooms.Service {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server.service
}

// URL is the room service's address, for hosts of this Bed.
func (b *Bed) URL() string { return url }

// Token makes a login token that lasts an hour.
func (b *Bed) Token(roomID, userID string, hidden bool) (string, error) {
	return b.TokenFor(roomID, userID, hidden, time.Hour)
}

// TokenFor makes a login token that lasts ttl.
func (b *Bed) TokenFor(roomID, userID string, hidden bool, ttl time.Duration) (string, error) {
	now := time.Now()
	text, err := token.Make(secret, token.Claims{
		AppID: appID, UserID: userID, RoomID: roomID, Login: true, Publish: true, Hidden: hidden,
		Created: now, Expires: now.Add(ttl),
	})
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return text, nil
}

// Login is a login to a room of this Bed, with a fresh token whenever one is
// asked for.
func (b *Bed) Login(roomID, userID string, hidden bool) joiner.Login {
	return joiner.Login{
		URL: url, RoomID: roomID, UserID: userID, UserName: "the " + userID, Hidden: hidden,
		Token: func() (string, error) { return b.Token(roomID, userID, hidden) },
	}
}

func address(host, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(host >> 8), byte(host)}), uint16(port))
}
