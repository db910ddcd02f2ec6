package peer

import (
	"net"
	"net/netip"
	"sync"

	"github.com/pion/ice/v4"
)

// orderedMux is an ICE mux that keeps the packets of a connection in their
// order. A socket that is bound to no address gives an ICE agent one candidate
// for each address of the machine. All of them read the same row of packets,
// each in a goroutine of its own, and two packets that come close together could
// overtake one another between them. So only one of them reads at a time.
type orderedMux struct {
	*ice.UDPMuxDefault

	mu    sync.Mutex
	turns map[string]*[2]chan struct{} // by ufrag: who reads IPv4, and IPv6
}

func newOrderedMux(m *ice.UDPMuxDefault) *orderedMux {
	return &orderedMux{UDPMuxDefault: m, turns: map[string]*[2]chan struct{}{}}
}

// GetConn implements ice.UDPMux.
func (m *orderedMux) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	conn, err := m.UDPMuxDefault.GetConn(ufrag, addr)
	if err != nil {
		return nil, err
	}
	family := 0
	if a, ok := addr.(*net.UDPAddr); ok && a.IP.To4() == nil {
		family = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.turns[ufrag]
	if t == nil {
		t = &[2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
		m.turns[ufrag] = t
	}
	o := &orderedConn{PacketConn: conn, turn: t[family], gone: make(chan struct{})}
	if fast, ok := conn.(ice.AddrPortReaderWriter); ok {
		return &orderedAddrPortConn{o, fast}, nil
	}
	return o, nil
}

// RemoveConnByUfrag implements ice.UDPMux. An agent calls it when it ends.
func (m *orderedMux) RemoveConnByUfrag(ufrag string) {
	m.mu.Lock()
	delete(m.turns, ufrag)
	m.mu.Unlock()
	m.UDPMuxDefault.RemoveConnByUfrag(ufrag)
}

// orderedConn is the socket of one candidate. Its reads come from one goroutine,
// which ends with the first that fails.
type orderedConn struct {
	net.PacketConn

	turn  chan struct{} // held by the candidate that reads
	mine  bool
	gone  chan struct{}
	close sync.Once
}

// take waits for the turn to read.
func (c *orderedConn) take() error {
	if c.mine {
		return nil
	}
	select {
	case c.turn <- struct{}{}:
		c.mine = true
		return nil
	case <-c.gone:
		return net.ErrClosed
	}
}

// leave lets another candidate read after an error.
func (c *orderedConn) leave(err error) error {
	if err != nil && c.mine {
		c.mine = false
		<-c.turn
	}
	return err
}

// ReadFrom implements net.PacketConn.
func (c *orderedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if err := c.take(); err != nil {
		return 0, nil, err
	}
	n, from, err := c.PacketConn.ReadFrom(b)
	return n, from, c.leave(err)
}

// Close implements net.PacketConn.
func (c *orderedConn) Close() error {
	c.close.Do(func() { close(c.gone) })
	return c.PacketConn.Close()
}

// orderedAddrPortConn is one that allocates no addresses.
type orderedAddrPortConn struct {
	*orderedConn
	fast ice.AddrPortReaderWriter
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c *orderedAddrPortConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	if err := c.take(); err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, from, err := c.fast.ReadFromAddrPort(b)
	return n, from, c.leave(err)
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *orderedAddrPortConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.fast.WriteToAddrPort(b, to)
}
