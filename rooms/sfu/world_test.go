package sfu_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"

	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
)

// world is a virtual network with a server at 10.0.0.1.
type world struct {
	*testing.T
	router *vnet.Router
	server *sfu.Server
	conn   net.PacketConn
	hosts  int
	faults faults
}

// virtual runs a test in virtual time: a day of call takes seconds, and a
// goroutine left behind fails the test.
func virtual(t *testing.T, test func(w *world)) {
	t.Helper()
	distant(t, 0, test)
}

// distant is virtual with a delay on every link.
func distant(t *testing.T, delay time.Duration, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/16", LoggerFactory: logging.NewDefaultLoggerFactory(), QueueSize: 1 << 16, MinDelay: delay})
		check(t, err)
		w := &world{T: t, router: router, hosts: 1}
		host := w.host("10.0.0.1")
		router.AddChunkFilter(w.faults.pass)
		check(t, router.Start())
		w.conn, err = host.ListenPacket("udp4", "10.0.0.1:8443")
		check(t, err)
		w.server, err = sfu.New(sfu.Config{Conn: w.conn, Net: host, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		check(t, err)
		test(w)
		check(t, w.server.Close())
		check(t, w.conn.Close())
		check(t, router.Stop())
	})
}

func (w *world) host(ip string) *vnet.Net {
	w.Helper()
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
	check(w, err)
	check(w, w.router.AddNet(host))
	return host
}

// client is an engine on a host of its own.
func (w *world) client(reports bool) (*peer.Engine, string) {
	w.Helper()
	w.hosts++
	ip := fmt.Sprintf("10.0.%d.%d", w.hosts/250, w.hosts%250+1)
	engine, err := peer.New(peer.Config{Net: w.host(ip), SenderReports: reports})
	check(w, err)
	return engine, ip
}

func (w *world) publish() *publisher {
	w.Helper()
	engine, ip := w.client(true)
	return publish(w.T, w.server, engine, ip)
}

func (w *world) play(backlog bool) *listener {
	w.Helper()
	engine, ip := w.client(false)
	return play(w.T, w.server, engine, ip, backlog)
}

// faults loses packets on purpose: by chance from or to a host, or all.
type faults struct {
	mu     sync.Mutex
	random *rand.Rand
	loss   map[string]float64 // by IP of a client
	skip   map[string]int     // the next RTP packets from or to a client
	dark   bool
	lost   int
}

func (f *faults) set(ip string, loss float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loss == nil {
		f.loss, f.random = make(map[string]float64), rand.New(rand.NewPCG(1, 2))
	}
	f.loss[ip] = loss
}

func (f *faults) lose(ip string, packets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skip = map[string]int{ip: packets}
}

func (f *faults) blackout(dark bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dark = dark
}

func (f *faults) pass(c vnet.Chunk) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range []net.Addr{c.SourceAddr(), c.DestinationAddr()} {
		u, ok := a.(*net.UDPAddr)
		if !ok {
			continue
		}
		if b := c.UserData(); f.skip[u.IP.String()] > 0 && len(b) > 1 && b[0]>>6 == 2 && b[1]&0x7f == peer.PayloadType {
			f.skip[u.IP.String()]--
			f.lost++
			return false
		}
		if p := f.loss[u.IP.String()]; p > 0 && f.random.Float64() < p {
			f.lost++
			return false
		}
	}
	return !f.dark
}

// missing compares what was sent with what was heard, in any order, and fails
// on anything that differs.
func missing(t testing.TB, want, got []sent) (lost int) {
	t.Helper()
	arrived := make(map[sent]int)
	for _, s := range got {
		arrived[s]++
	}
	for _, s := range want {
		switch arrived[s] {
		case 0:
			lost++
		case 1:
		default:
			t.Errorf("packet %d came %d times", s.seq, arrived[s])
		}
		delete(arrived, s)
	}
	for s := range arrived {
		t.Errorf("packet that was not sent: %+v", s)
	}
	return lost
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
