package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is what one recvmmsg brings. golang.org/x/net has it too
// (ipv4.PacketConn.ReadBatch) but allocates two objects for each address.
type batch struct {
	raw     syscall.RawConn
	receipt func(fd uintptr) bool // recvmmsg as raw.Read wants it, made once

	headers [batchSize]message
	vectors [batchSize]unix.Iovec
	names   [batchSize]unix.RawSockaddrInet6 // the longer of the two kinds
	buffers []byte                           // batchSize times maxPacket

	head, count int
	block       bool
	errno       syscall.Errno
}

// message is struct mmsghdr.
type message struct {
	unix.Msghdr
	length uint32
}

func newBatch(socket *net.UDPConn) (*batch, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	b := &batch{raw: raw, buffers: make([]byte, batchSize*maxPacket)}
	b.receipt = b.recvmmsg
	for i := range b.headers {
		h := &b.headers[i]
		b.vectors[i].Base = &b.buffers[i*maxPacket]
		b.vectors[i].SetLen(maxPacket)
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	return b, nil
}

// ready says whether a packet is there.
func (b *batch) ready() bool { return b.head < b.count }

// full says whether the last receive took all it could: there may be more.
func (b *batch) full() bool { return b.count == batchSize }

// receive takes what the socket holds, and with block waits for a packet.
func (b *batch) receive(block bool) (int, error) {
	b.head, b.count, b.block, b.errno = 0, 0, block, 0
	if err := b.raw.Read(b.receipt); err != nil {
		return 0, err // a net.Error that says all
	}
	if b.errno != 0 {
		return 0, fmt.Errorf("receive UDP: %w", os.NewSyscallError("recvmmsg", b.errno))
	}
	return b.count, nil
}

// recvmmsg says whether it is done: else the runtime waits for the socket.
func (b *batch) recvmmsg(fd uintptr) bool {
	for i := range b.headers {
		b.headers[i].Namelen = uint32(unsafe.Sizeof(b.names[i]))
	}
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.count = int(n)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return !b.block
		default:
			b.errno = errno
			return true
		}
	}
}

// pop takes the next packet.
func (b *batch) pop(dst []byte) (int, netip.AddrPort) {
	i := b.head
	b.head++
	start := i * maxPacket
	n := copy(dst, b.buffers[start:start+int(b.headers[i].length)])
	return n, addrPort(&b.names[i])
}

// addrPort reads a socket address. IPv4 comes as IPv4 from any socket.
func addrPort(name *unix.RawSockaddrInet6) netip.AddrPort {
	// The port is in network order in both kinds, at the same place.
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && addr.IsLinkLocalUnicast() {
		addr = addr.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, port)
}
