//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// batch is one packet where there is no recvmmsg.
type batch struct {
	socket *net.UDPConn
	buffer [maxPacket]byte
	length int
	from   netip.AddrPort
	taken  bool
}

func newBatch(socket *net.UDPConn) (*batch, error) {
	return &batch{socket: socket, taken: true}, nil
}

func (b *batch) ready() bool { return !b.taken }

// full is always true: the next read may follow at once, and blocks.
func (b *batch) full() bool { return true }

func (b *batch) receive(bool) (int, error) {
	n, from, err := b.socket.ReadFromUDPAddrPort(b.buffer[:])
	if err != nil {
		return 0, err // a net.Error that says all
	}
	b.length, b.taken = n, false
	b.from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return 1, nil
}

func (b *batch) pop(dst []byte) (int, netip.AddrPort) {
	b.taken = true
	return copy(dst, b.buffer[:b.length]), b.from
}
