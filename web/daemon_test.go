package web_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mixdown/rooms"
	"mixdown/rooms/sfu"
	"mixdown/rooms/token"
	"mixdown/rooms/udp"
	"mixdown/web"
)

const (
	appID  = 1
	secret = "0123456789abcdef0123456789abcdef"
	roomID = "standup"
)

// daemon is pages, client and room service on one loopback address, as the
// daemon serves them, and at /program an empty page that loads the client.
type daemon struct {
	t       testing.TB
	service *rooms.Service
	url     string
	link    *link
}

func start(t testing.TB) *daemon {
	t.Helper()
	return startOver(t, func(socket *udp.Conn) net.PacketConn { return socket })
}

// startOver starts the daemon with its media on what network makes of its
// socket.
func startOver(t testing.TB, network func(*udp.Conn) net.PacketConn) *daemon {
	t.Helper()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	socket, err := udp.Listen("127.0.0.1:0")
	check(t, err)
	media, err := sfu.New(sfu.Config{Conn: network(socket), Log: log})
	check(t, err)
	service, err := rooms.New(rooms.Config{AppID: appID, Secret: secret, Media: media, Log: log})
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	d := &daemon{t: t, service: service, url: "http://" + listener.Addr().String(), link: &link{Listener: listener}}
	mux := http.NewServeMux()
	for _, path := range []string{"/ws", "/whip/", "/whep/"} {
		mux.Handle(path, service.Handler())
	}
	mux.Handle("/", web.Handler())
	mux.HandleFunc("/program", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>a program</title><body><script src="/client.js"></script>`)
	})
	server := &http.Server{Handler: mux}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	tasks.Go(func() {
		if err := server.Serve(d.link); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		tasks.Wait()
		if err := media.Close(); err != nil {
			t.Error(err)
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// token makes a login token, good for an hour.
func (d *daemon) token(userID string) string { return d.mint(userID, time.Hour) }

func (d *daemon) mint(userID string, life time.Duration) string {
	d.t.Helper()
	now := time.Now()
	text, err := d.service.MintToken(token.Claims{
		UserID: userID, RoomID: roomID, Login: true, Publish: true,
		Created: now.Add(-2 * time.Hour), Expires: now.Add(life),
	})
	check(d.t, err)
	return text
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// link is the network between browsers and daemon.
type link struct {
	net.Listener

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (l *link) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if !l.down {
			l.conns = append(l.conns, c)
			l.mu.Unlock()
			return c, nil
		}
		l.mu.Unlock()
		c.Close()
	}
}

// cut breaks every connection. Until mend new ones break at once.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// lossy loses a share of the media packets, in both directions, once it is
// told to. Signalling of the media (STUN, DTLS, RTCP) passes, unless it is deaf.
type lossy struct {
	net.PacketConn
	losing, deaf atomic.Bool

	mu    sync.Mutex
	rand  *rand.Rand
	share float64
}

func (l *lossy) lose(packet []byte) bool {
	if l.deaf.Load() {
		return true
	}
	if !l.losing.Load() || len(packet) < 2 || packet[0]>>6 != 2 {
		return false
	}
	if kind := packet[1] & 0x7f; kind >= 64 && kind < 96 {
		return false // RTCP: RFC 5761, section 4
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rand.Float64() < l.share
}

func (l *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		if err != nil || !l.lose(b[:n]) {
			return n, from, err
		}
	}
}

func (l *lossy) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.lose(b) {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}
