package peer

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// sharedConn lends a socket to an ICE mux, which closes what it reads: Close
// ends the mux's read and leaves the socket open.
type sharedConn struct {
	net.PacketConn
	addrPort addrPortConn // nil when the socket cannot do without net.Addr

	mu      sync.Mutex
	closed  bool
	reading sync.WaitGroup
}

type addrPortConn interface {
	ReadFromAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

func newSharedConn(c net.PacketConn) *sharedConn {
	s := &sharedConn{PacketConn: c}
	switch c := c.(type) {
	case addrPortConn:
		s.addrPort = c
	case *net.UDPConn:
		s.addrPort = udpConn{c}
	}
	return s
}

func (s *sharedConn) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.EOF // the mux takes it for a proper end
	}
	s.reading.Add(1)
	return nil
}

func (s *sharedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if err := s.enter(); err != nil {
		return 0, nil, err
	}
	defer s.reading.Done()
	return s.PacketConn.ReadFrom(b)
}

// ReadFromAddrPort and WriteToAddrPort spare the mux an allocation per packet.
func (s *sharedConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	if err := s.enter(); err != nil {
		return 0, netip.AddrPort{}, err
	}
	defer s.reading.Done()
	if s.addrPort != nil {
		return s.addrPort.ReadFromAddrPort(b)
	}
	n, addr, err := s.PacketConn.ReadFrom(b)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, netip.AddrPort{}, fmt.Errorf("packet from %v: not a UDP address", addr)
	}
	return n, udp.AddrPort(), nil
}

func (s *sharedConn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if s.addrPort != nil {
		return s.addrPort.WriteToAddrPort(b, addr)
	}
	return s.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(addr))
}

func (s *sharedConn) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	if err := s.PacketConn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil // the socket is closed: so is the read
	}
	s.reading.Wait()
	// The socket is the caller's: leave it as it was.
	_ = s.PacketConn.SetReadDeadline(time.Time{})
	return nil
}

type udpConn struct{ *net.UDPConn }

func (c udpConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.ReadFromUDPAddrPort(b)
}

func (c udpConn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, addr)
}
