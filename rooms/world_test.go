package rooms_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"

	"mixdown/rooms"
	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
	"mixdown/rooms/token"
)

const (
	appID  = 7
	secret = "0123456789abcdef0123456789abcdef"
)

// world is a room service in virtual time: WebSockets over pipes, media over a
// virtual network.
type world struct {
	*testing.T
	service  *rooms.Service
	router   *vnet.Router
	listener *pipeListener
	http     *http.Client
	hosts    int
	dark     atomic.Bool // the virtual network loses everything
	stop     func()      // ends the service and waits

	offerOnce sync.Once
	offerText string
}

// virtual runs a test in a world of its own. What leaves a goroutine behind
// fails.
func virtual(t *testing.T, change func(*rooms.Config), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/16", LoggerFactory: logging.NewDefaultLoggerFactory(), QueueSize: 1 << 14})
		check(t, err)
		w := &world{T: t, router: router, hosts: 1, listener: newPipeListener()}
		router.AddChunkFilter(func(vnet.Chunk) bool { return !w.dark.Load() })
		host := w.host("10.0.0.1")
		check(t, router.Start())
		conn, err := host.ListenPacket("udp4", "10.0.0.1:8443")
		check(t, err)
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		media, err := sfu.New(sfu.Config{Conn: conn, Net: host, Log: log})
		check(t, err)
		cfg := rooms.Config{AppID: appID, Secret: secret, Media: media, Log: log}
		if change != nil {
			change(&cfg)
		}
		w.service, err = rooms.New(cfg)
		check(t, err)

		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.service.Run(ctx) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			check(t, <-ended)
		})
		var running sync.WaitGroup
		server := &http.Server{Handler: w.service.Handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
		running.Go(func() { _ = server.Serve(w.listener) })
		w.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return w.listener.dial() }}}

		test(w)

		w.stop()
		check(t, server.Shutdown(context.Background()))
		running.Wait()
		check(t, media.Close())
		check(t, conn.Close())
		check(t, router.Stop())
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) host(ip string) *vnet.Net {
	w.Helper()
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
	check(w, err)
	check(w, w.router.AddNet(host))
	return host
}

// engine makes the media side of a client on a host of its own.
func (w *world) engine() *peer.Engine {
	w.Helper()
	w.hosts++
	engine, err := peer.New(peer.Config{Net: w.host(fmt.Sprintf("10.0.%d.%d", w.hosts/250, w.hosts%250+1)), SenderReports: true})
	check(w, err)
	return engine
}

// offer is a publisher's offer that nobody stands behind: media never comes.
func (w *world) offer() string {
	w.Helper()
	w.offerOnce.Do(func() {
		p := w.publisher()
		w.offerText = p.offer()
		p.close()
	})
	return w.offerText
}

// token makes a token for a user; options change the claims.
func (w *world) token(userID string, options ...func(*token.Claims)) string {
	w.Helper()
	c := token.Claims{UserID: userID, Login: true, Publish: true, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
	for _, o := range options {
		o(&c)
	}
	text, err := w.service.MintToken(c)
	check(w, err)
	return text
}

func hidden(c *token.Claims)   { c.Hidden = true }
func noLogin(c *token.Claims)  { c.Login = false }
func listener(c *token.Claims) { c.Publish = false }
func inRoom(id string) func(*token.Claims) {
	return func(c *token.Claims) { c.RoomID = id }
}
func forStreams(ids ...string) func(*token.Claims) {
	return func(c *token.Claims) { c.StreamIDs = ids }
}
func lasting(d time.Duration) func(*token.Claims) {
	return func(c *token.Claims) { c.Expires = time.Now().Add(d) }
}

// pipeListener is a listener whose connections are net.Pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipeListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
