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

// packets is what one recvmmsg brings. golang.org/x/net has it too
// (ipv4.PacketConn.ReadBatch) but allocates two objects for each address.
type packets struct {
	headers []message
	vectors []unix.Iovec
	names   []unix.RawSockaddrInet6 // the longer of the two kinds
	buffers []byte
	size    int // of one buffer
	// controls is room for the kernel's stamps, by the word.
	controls []byte

	head, count int
}

// message is struct mmsghdr.
type message struct {
	unix.Msghdr
	length uint32
}

// newPackets has room for count packets of at most size bytes.
func newPackets(count, size int) *packets {
	p := &packets{
		headers: make([]message, count),
		vectors: make([]unix.Iovec, count),
		names:   make([]unix.RawSockaddrInet6, count),
		buffers: make([]byte, count*size),
		size:    size,

		controls: make([]byte, count*stampSpace),
	}
	for i := range p.headers {
		h := &p.headers[i]
		p.vectors[i].Base = &p.buffers[i*size]
		p.vectors[i].SetLen(size)
		h.Iov = &p.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&p.names[i]))
		h.Control = &p.controls[i*stampSpace]
	}
	return p
}

// ready says whether a packet is there.
func (p *packets) ready() bool { return p.head < p.count }

// full says whether the last receive took all it could: there may be more.
func (p *packets) full() bool { return p.count == len(p.headers) }

// receive takes what the socket holds, without waiting; EAGAIN if that is
// nothing. The runtime is not told of the system call, for it ends at once.
func (p *packets) receive(fd uintptr) syscall.Errno {
	p.head, p.count = 0, 0
	for i := range p.headers {
		p.headers[i].Namelen = uint32(unsafe.Sizeof(p.names[i]))
		p.headers[i].SetControllen(stampSpace)
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.headers[0])), uintptr(len(p.headers)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			p.count = int(n)
			return 0
		case syscall.EINTR:
		default:
			return errno
		}
	}
}

// pop takes the next packet.
func (p *packets) pop(dst []byte) (int, netip.AddrPort) {
	i := p.head
	p.head++
	return copy(dst, p.packet(i)), addrPort(&p.names[i])
}

func (p *packets) packet(i int) []byte {
	start := i * p.size
	return p.buffers[start : start+int(p.headers[i].length)]
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

// batch is what is taken from the socket of a [Conn].
type batch struct {
	*packets
	raw     syscall.RawConn
	receipt func(fd uintptr) bool // recvmmsg as raw.Read wants it, made once
	block   bool
	errno   syscall.Errno
}

func newBatch(socket *net.UDPConn) (*batch, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	b := &batch{packets: newPackets(batchSize, maxPacket), raw: raw}
	b.receipt = b.recvmmsg
	return b, nil
}

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
	switch errno := b.packets.receive(fd); errno {
	case 0:
		return true
	case syscall.EAGAIN:
		return !b.block
	default:
		b.errno = errno
		return true
	}
}
