//go:build !linux

package udp

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Group is a number of UDP sockets; where there is no recvmmsg each of them is
// read by itself.
type Group struct{}

// NewGroup makes a Group without sockets.
func NewGroup() (*Group, error) { return &Group{}, nil }

// Listen opens a socket like [net.ListenUDP]. The caller closes it.
func (g *Group) Listen(network string, addr *net.UDPAddr) (*Socket, error) {
	conn, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %v: %w", addr, err)
	}
	_ = conn.SetReadBuffer(bufferSize)
	_ = conn.SetWriteBuffer(bufferSize)
	return &Socket{conn}, nil
}

// Audience does nothing: nobody waits for a tick here.
func (g *Group) Audience(int) {}

// Hasten does nothing, likewise.
func (g *Group) Hasten() {}

// Arrival knows nothing: a packet came when it was read.
func (g *Group) Arrival(uint32, uint16) (at time.Time, ok bool) { return at, false }

// Close does nothing: sockets are closed by those who opened them.
func (g *Group) Close() error { return nil }

// Socket is a UDP socket of a [Group].
type Socket struct{ *net.UDPConn }

// ReadFromAddrPort reads the next packet.
func (s *Socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return s.ReadFromUDPAddrPort(b)
}

// WriteToAddrPort writes a packet.
func (s *Socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}
