package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendWait is how long a write waits for the network card; then the packet is
// lost, like any other on a link that is too slow.
const sendWait = 20 // ms

// Socket is a UDP socket of a [Group]. It has the methods of a net.UDPConn
// that is not connected, and is safe for concurrent use; several readers get
// each packet once. Packets longer than 2048 bytes are cut.
type Socket struct {
	group *Group
	fd    int
	ip6   bool
	local *net.UDPAddr

	using    sync.RWMutex // held to use fd, locked to close it
	closed   chan struct{}
	wake     chan struct{} // something came, or the deadline was set
	deadline atomic.Int64  // of reads, Unix time in ns; 0 is none

	reading  sync.Mutex
	packets  *packets // borrowed while there are some
	timer    *time.Timer
	lastAddr *net.UDPAddr // of lastFrom
	lastFrom netip.AddrPort
}

// newSocket opens a socket and takes it away from the runtime's poller.
func newSocket(g *Group, network string, addr *net.UDPAddr) (*Socket, error) {
	conn, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Best effort: the system's own limit may be lower.
	_ = conn.SetReadBuffer(bufferSize)
	_ = conn.SetWriteBuffer(bufferSize)
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	local, _ := conn.LocalAddr().(*net.UDPAddr)
	s := &Socket{group: g, local: local, closed: make(chan struct{}), wake: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		s.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		s.ip6 = err == nil && domain == unix.AF_INET6
		stampPackets(int(fd))
	})
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Socket) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next hands out a packet, waiting for one if there is none. The caller holds
// the reading lock.
func (s *Socket) next(b []byte) (int, netip.AddrPort, error) {
	for {
		if s.packets != nil && s.packets.ready() {
			n, from := s.packets.pop(b)
			return n, from, nil
		}
		got, err := s.fill()
		if err == nil && !got {
			err = s.wait()
		}
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
	}
}

// fill takes what the socket holds and says whether that was anything. After
// a receive that emptied the socket there is nothing before the next tick.
func (s *Socket) fill() (got bool, err error) {
	if s.packets == nil {
		s.packets = s.group.borrow()
	} else if !s.packets.full() {
		s.group.giveBack(s.packets)
		s.packets = nil
		return false, nil
	}
	errno, err := s.receive()
	if err == nil && errno == 0 {
		s.group.note(s.packets)
		return true, nil
	}
	s.group.giveBack(s.packets)
	s.packets = nil
	switch {
	case err != nil:
		return false, err
	case errno == syscall.EAGAIN:
		return false, nil
	case errno == syscall.ECONNREFUSED:
		return false, nil // an ICMP message about a packet of ours
	}
	return false, fmt.Errorf("receive UDP: %w", os.NewSyscallError("recvmmsg", errno))
}

func (s *Socket) receive() (syscall.Errno, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	return s.packets.receive(uintptr(s.fd)), nil
}

// wait waits until there is a reason to look at the socket again.
func (s *Socket) wait() error {
	var expired <-chan time.Time
	if at := s.deadline.Load(); at != 0 {
		s.timer.Reset(time.Until(time.Unix(0, at)))
		defer s.timer.Stop()
		expired = s.timer.C
	}
	select {
	case <-s.wake:
		return nil
	case <-expired:
		return os.ErrDeadlineExceeded
	case <-s.closed:
		return net.ErrClosed
	}
}

func (s *Socket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// ReadFromAddrPort reads the next packet. Those already taken from the kernel
// are handed out even after the deadline.
func (s *Socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.next(b)
}

// ReadFrom reads the next packet. The address is shared with other calls and
// must not be changed.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := s.ReadFromUDP(b)
	if err != nil {
		return 0, nil, err
	}
	return n, addr, nil
}

// ReadFromUDP is ReadFrom.
func (s *Socket) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	n, from, err := s.next(b)
	if err != nil {
		return 0, nil, err
	}
	if s.lastAddr == nil || from != s.lastFrom {
		s.lastFrom, s.lastAddr = from, net.UDPAddrFromAddrPort(from)
	}
	return n, s.lastAddr, nil
}

// ReadMsgUDP is ReadFromUDP: no out-of-band data are asked for.
func (s *Socket) ReadMsgUDP(b, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, addr, err = s.ReadFromUDP(b)
	return n, 0, 0, addr, err
}

// Read reads the next packet.
func (s *Socket) Read(b []byte) (int, error) {
	n, _, err := s.ReadFromAddrPort(b)
	return n, err
}

// WriteToAddrPort writes a packet.
func (s *Socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	name, length, err := s.sockaddr(to)
	if err != nil {
		return 0, fmt.Errorf("send UDP to %v: %w", to, err)
	}
	var first *byte
	if len(b) > 0 {
		first = &b[0]
	}
	for waited := false; ; {
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(first)), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&name)), uintptr(length))
		switch {
		case errno == 0:
			return len(b), nil
		case errno == syscall.EINTR:
		case errno == syscall.ECONNREFUSED && !waited:
			waited = true // it is about an earlier packet
		case errno == syscall.EAGAIN && !waited:
			waited = true
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, sendWait)
		default:
			return 0, fmt.Errorf("send UDP to %v: %w", to, os.NewSyscallError("sendto", errno))
		}
	}
}

// sockaddr writes a socket address as a socket of the family wants it.
func (s *Socket) sockaddr(to netip.AddrPort) (name unix.RawSockaddrInet6, length int, err error) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	addr := to.Addr()
	switch {
	case !addr.IsValid() || to.Port() == 0:
		return name, 0, syscall.EDESTADDRREQ
	case s.ip6:
		name.Family, name.Addr = unix.AF_INET6, addr.As16()
		if zone := addr.Zone(); zone != "" {
			name.Scope_id = zoneID(zone)
		}
		return name, unix.SizeofSockaddrInet6, nil
	case addr.Unmap().Is4():
		ip4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&name))
		ip4.Family, ip4.Addr = unix.AF_INET, addr.Unmap().As4()
		return name, unix.SizeofSockaddrInet4, nil
	}
	return name, 0, syscall.EAFNOSUPPORT
}

// zoneID is the number of an IPv6 zone.
func zoneID(zone string) uint32 {
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	var n uint32
	_, _ = fmt.Sscan(zone, &n)
	return n
}

// WriteTo writes a packet to a *net.UDPAddr.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("send UDP to %v: %w", to, syscall.EINVAL)
	}
	return s.WriteToAddrPort(b, addr.AddrPort())
}

// WriteToUDP writes a packet.
func (s *Socket) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return s.WriteToAddrPort(b, to.AddrPort())
}

// WriteMsgUDP is WriteToUDP: out-of-band data are ignored.
func (s *Socket) WriteMsgUDP(b, _ []byte, to *net.UDPAddr) (n, oobn int, err error) {
	n, err = s.WriteToAddrPort(b, to.AddrPort())
	return n, 0, err
}

// Write fails: the socket is not connected.
func (s *Socket) Write([]byte) (int, error) {
	return 0, fmt.Errorf("send UDP: %w", syscall.EDESTADDRREQ)
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr is nil: the socket is not connected.
func (s *Socket) RemoteAddr() net.Addr { return nil }

// SetReadDeadline sets the time after which reads fail; zero is never.
func (s *Socket) SetReadDeadline(t time.Time) error {
	if s.isClosed() {
		return net.ErrClosed
	}
	at := int64(0)
	if !t.IsZero() {
		at = max(t.UnixNano(), 1)
	}
	s.deadline.Store(at)
	s.nudge()
	return nil
}

// SetWriteDeadline does nothing: a write never takes long.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadBuffer asks the kernel to hold that many bytes for the reader.
func (s *Socket) SetReadBuffer(bytes int) error { return s.setBuffer(unix.SO_RCVBUF, bytes) }

// SetWriteBuffer asks the kernel to hold that many bytes for the network.
func (s *Socket) SetWriteBuffer(bytes int) error { return s.setBuffer(unix.SO_SNDBUF, bytes) }

func (s *Socket) setBuffer(option, bytes int) error {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.isClosed() {
		return net.ErrClosed
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option, bytes); err != nil {
		return fmt.Errorf("set socket buffer: %w", err)
	}
	return nil
}

// Close closes the socket; a read that waits ends with net.ErrClosed.
func (s *Socket) Close() error {
	s.using.Lock()
	defer s.using.Unlock()
	if s.isClosed() {
		return net.ErrClosed
	}
	close(s.closed)
	s.group.forget(s)
	return unix.Close(s.fd)
}
