package livekittest

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// Link is a client's way to a server, which can be cut and lose packets:
// signalling goes through a relay at URL, media over sockets of Net.
type Link struct {
	URL string

	mu     sync.Mutex
	to     string // the server's address
	mended *sync.Cond
	cut    bool // everything stands still
	deaf   bool // signalling does
	closed bool
	loss   float64
}

// NewLink opens a link to a server; it ends with the test.
func (s *Server) NewLink(t testing.TB) *Link {
	t.Helper()
	l := &Link{to: strings.TrimPrefix(s.URL, "ws://")}
	l.mended = sync.NewCond(&l.mu)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.URL = "ws://" + listener.Addr().String()
	var relays sync.WaitGroup
	relays.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			relays.Go(func() { l.relay(c) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.mu.Lock()
		l.closed = true
		l.mended.Broadcast()
		l.mu.Unlock()
		relays.Wait()
	})
	return l
}

// Point leads the link to another server, as a load balancer would; what is
// connected stays where it is.
func (l *Link) Point(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = strings.TrimPrefix(s.URL, "ws://")
}

// Cut cuts the link, or mends it: nothing arrives, nobody is told.
func (l *Link) Cut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	l.mended.Broadcast()
}

// Deafen lets signalling alone stand still, or go on.
func (l *Link) Deafen(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
	l.mended.Broadcast()
}

// Lose lets this share of the media's packets be lost, each way.
func (l *Link) Lose(share float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loss = share
}

// pass waits while signalling stands still and says whether it goes on.
func (l *Link) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.cut || l.deaf) && !l.closed {
		l.mended.Wait()
	}
	return !l.closed
}

// loses says whether a packet is lost.
func (l *Link) loses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut || l.loss > 0 && rand.Float64() < l.loss
}

func (l *Link) relay(client net.Conn) {
	defer client.Close()
	if !l.pass() {
		return
	}
	l.mu.Lock()
	to := l.to
	l.mu.Unlock()
	server, err := net.Dial("tcp4", to)
	if err != nil {
		return
	}
	defer server.Close()
	var ways sync.WaitGroup
	way := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		buffer := make([]byte, 32<<10)
		for {
			_ = from.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // to see the end of the test
			n, err := from.Read(buffer)
			if !l.pass() {
				return
			}
			if n > 0 {
				if _, werr := to.Write(buffer[:n]); werr != nil {
					return
				}
			}
			if timeout, ok := err.(net.Error); err == io.EOF || err != nil && !(ok && timeout.Timeout()) {
				return
			}
		}
	}
	ways.Go(func() { way(server, client) })
	ways.Go(func() { way(client, server) })
	ways.Wait()
}

// Net is the network of the link's media.
func (l *Link) Net(t testing.TB) transport.Net {
	t.Helper()
	machine, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return &lossy{machine, l}
}

type lossy struct {
	transport.Net
	link *Link
}

// ListenUDP implements transport.Net.
func (n *lossy) ListenUDP(network string, address *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{c, n.link}, nil
}

type lossyConn struct {
	transport.UDPConn
	link *Link
}

// ReadFrom implements net.PacketConn.
func (c *lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(b)
		if err != nil || !c.link.loses() {
			return n, from, err
		}
	}
}

// WriteTo implements net.PacketConn.
func (c *lossyConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.link.loses() {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, to)
}
