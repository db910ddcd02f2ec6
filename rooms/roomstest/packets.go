package roomstest

import (
	"container/heap"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// network carries UDP packets between sockets in memory.
type network struct {
	mu      sync.Mutex
	sockets map[netip.AddrPort]*socket
}

// socket is a net.PacketConn of a network. It needs no goroutine: who reads
// waits for the packet that is due next.
type socket struct {
	net   *network
	link  *Link // nil is a perfect one
	local netip.AddrPort

	mu       sync.Mutex
	inbox    inbox
	count    uint64
	wake     chan struct{} // closed when something below changes
	deadline time.Time
	closed   bool
}

// inboxLimit is how many packets a socket holds, as an operating system's
// receive buffer would.
const inboxLimit = 4096

type datagram struct {
	due   time.Time
	count uint64
	from  netip.AddrPort
	data  []byte
}

type inbox []datagram

func (b inbox) Len() int { return len(b) }
func (b inbox) Less(i, j int) bool {
	return b[i].due.Before(b[j].due) || b[i].due.Equal(b[j].due) && b[i].count < b[j].count
}
func (b inbox) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *inbox) Push(x any)   { *b = append(*b, x.(datagram)) }
func (b *inbox) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

func (n *network) listen(addr netip.AddrPort, link *Link) *socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &socket{net: n, link: link, local: addr, wake: make(chan struct{})}
	n.sockets[addr] = s
	return s
}

// change wakes the readers. The caller holds the lock.
func (s *socket) change() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// WriteToAddrPort sends a packet, or loses it.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	s.net.mu.Lock()
	other := s.net.sockets[netip.AddrPortFrom(to.Addr().Unmap(), to.Port())]
	s.net.mu.Unlock()
	if other == nil {
		return len(b), nil
	}
	out, lost := s.link.packet()
	in, lostToo := other.link.packet()
	if !lost && !lostToo {
		other.deliver(datagram{due: time.Now().Add(out + in), from: s.local, data: append([]byte(nil), b...)})
	}
	return len(b), nil
}

func (s *socket) deliver(d datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.inbox) >= inboxLimit {
		return
	}
	s.count++
	d.count = s.count
	heap.Push(&s.inbox, d)
	s.change()
}

// ReadFromAddrPort waits for the next packet.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		s.mu.Lock()
		now := time.Now()
		switch {
		case s.closed:
			s.mu.Unlock()
			return 0, netip.AddrPort{}, net.ErrClosed
		case !s.deadline.IsZero() && !now.Before(s.deadline):
			s.mu.Unlock()
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		case len(s.inbox) > 0 && !s.inbox[0].due.After(now):
			d := heap.Pop(&s.inbox).(datagram)
			s.mu.Unlock()
			return copy(b, d.data), d.from, nil
		}
		until := s.deadline
		if len(s.inbox) > 0 && (until.IsZero() || s.inbox[0].due.Before(until)) {
			until = s.inbox[0].due
		}
		wake := s.wake
		s.mu.Unlock()
		await(wake, nil, until)
	}
}

// await waits for one of the channels or for a time, if it is not zero.
func await(a, b <-chan struct{}, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-a:
	case <-b:
	case <-due:
	}
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.New("not a UDP address")
	}
	return s.WriteToAddrPort(b, udp.AddrPort())
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.local) }

func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	s.change()
	return nil
}

func (s *socket) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.change()
		s.net.mu.Lock()
		delete(s.net.sockets, s.local)
		s.net.mu.Unlock()
	}
	return nil
}
