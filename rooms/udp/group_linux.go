package udp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// A socket of a group carries the packets of one connection, which are not
	// longer than Ethernet's.
	groupBatch  = 32
	groupPacket = 2048
	groupEvents = 128
)

// Group is a number of UDP sockets that one goroutine watches: while packets
// flow it looks every [Tick] which sockets have something and wakes their
// readers, each of whom takes all there is with one recvmmsg. A socket that
// gets nothing costs nothing, and a hundred sockets with one packet each cost
// one wakeup of the process. While nobody listens now, see [Group.Audience], it
// looks at every sixteenth tick only, or at every eighth if it is to hasten: a
// reader's wakeup then brings more packets. When they came is not lost by that:
// the kernel stamps them, and Arrival tells.
//
// The Go runtime does not know the sockets. If it did, it would wake a thread
// for each packet that arrives, whether somebody waits for it or not.
type Group struct {
	epoll int
	bell  int // an eventfd that ends the wait
	done  chan struct{}

	audience atomic.Int32
	opened   atomic.Int64 // when the last socket was, after arrivals.start
	hastened atomic.Int64 // when there last was a reason to look more often, after arrivals.start
	ticks    atomic.Int64 // from one look to the next
	arrivals *arrivals

	mu      sync.Mutex
	sockets map[int32]*Socket
	spare   []*packets
	closed  bool
}

// NewGroup makes a Group without sockets. It owns a goroutine, which Close
// ends.
func NewGroup() (*Group, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch UDP sockets: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)})
	}
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("watch UDP sockets: %w", err)
	}
	g := &Group{
		epoll: epoll, bell: bell, done: make(chan struct{}), sockets: make(map[int32]*Socket),
		arrivals: &arrivals{start: time.Now()},
	}
	g.ticks.Store(1)
	g.hastened.Store(int64(-lately))
	go g.watch()
	return g, nil
}

// Listen opens a socket like [net.ListenUDP]. The caller closes it.
func (g *Group) Listen(network string, addr *net.UDPAddr) (*Socket, error) {
	s, err := newSocket(g, network, addr)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %v: %w", addr, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		err = net.ErrClosed
	} else {
		// Edge-triggered: a socket is reported again when more has come.
		err = unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(s.fd)})
	}
	if err != nil {
		_ = unix.Close(s.fd)
		return nil, fmt.Errorf("listen on UDP %v: %w", addr, err)
	}
	g.sockets[int32(s.fd)] = s
	g.opened.Store(int64(time.Since(g.arrivals.start)))
	return s, nil
}

// Audience adds n to those who listen to what the sockets bring as it comes.
func (g *Group) Audience(n int) { g.audience.Add(int32(n)) }

// Hasten lets the sockets be looked at more often for a second: something was
// asked for, and the answer is waited for.
func (g *Group) Hasten() { g.hastened.Store(int64(time.Since(g.arrivals.start))) }

// Arrival is when an RTP packet came to the machine, as exactly as the kernel
// knows it; false if it came long ago or never.
func (g *Group) Arrival(ssrc uint32, seq uint16) (time.Time, bool) { return g.arrivals.of(ssrc, seq) }

// note remembers when the packets that were just received came, and whether
// they are many.
func (g *Group) note(p *packets) {
	now := time.Now()
	if p.count >= crowd*int(g.ticks.Load()) {
		g.hastened.Store(int64(now.Sub(g.arrivals.start)))
	}
	for i := p.head; i < p.count; i++ {
		if stamp, ok := p.stamp(i); ok {
			g.arrivals.note(p.packet(i), stamp, now)
		}
	}
}

const (
	// lazyTicks go by between two looks while nobody listens now, but hastyTicks
	// if lately a packet was asked for again, or a socket had a crowd of them:
	// there is little to gain then by waiting longer, and what the kernel holds
	// for a socket may be as little as 200 KiB.
	lazyTicks  = 16
	hastyTicks = 8
	// crowd is the packets of a tick that make one, those of eight streams.
	crowd  = groupBatch / lazyTicks
	lately = time.Second
	// handshake is how long a new socket is looked at on every tick: what is
	// said there at first is waited for at both ends.
	handshake = 3 * time.Second
)

// wait is how many ticks to wait before looking again.
func (g *Group) wait() int64 {
	now := time.Since(g.arrivals.start)
	switch {
	case g.audience.Load() > 0 || now-time.Duration(g.opened.Load()) < handshake:
		return 1
	case now-time.Duration(g.hastened.Load()) < lately:
		return hastyTicks
	}
	return lazyTicks
}

// Close closes the sockets that are still open and waits for the goroutine.
func (g *Group) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	var open []*Socket
	for _, s := range g.sockets {
		open = append(open, s)
	}
	g.mu.Unlock()
	var errs []error
	for _, s := range open {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if _, err := unix.Write(g.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return errors.Join(append(errs, fmt.Errorf("stop watching UDP sockets: %w", err))...)
	}
	<-g.done
	return errors.Join(append(errs, unix.Close(g.epoll), unix.Close(g.bell))...)
}

// watch wakes readers until the bell rings.
func (g *Group) watch() {
	defer close(g.done)
	var events [groupEvents]unix.EpollEvent
	quiet := idleTicks
	for {
		idle := quiet >= idleTicks
		if !idle {
			ticks := g.wait()
			g.ticks.Store(ticks)
			time.Sleep(untilTick(ticks))
		}
		n := look(g.epoll, events[:], idle)
		quiet++
		if n > 0 {
			quiet = 0
		}
		if !g.wake(events[:n]) {
			return
		}
	}
}

// untilTick is how long it is until the next multiple of so many ticks on the wall
// clock. What else a recorder does now and then it does right after such instants
// (package capture, untilBeat): to wake a machine costs more than most of that.
func untilTick(ticks int64) time.Duration {
	every := time.Duration(ticks) * Tick
	return every - time.Duration(time.Now().UnixNano())%every
}

// look says how many sockets have something, waiting for one if it is to. It is
// none after EINTR, the only error that a good descriptor can have. The runtime
// is not told of a system call that ends at once.
func look(epoll int, events []unix.EpollEvent, wait bool) int {
	if wait {
		n, _ := unix.EpollWait(epoll, events, -1)
		return max(n, 0)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wake tells the readers of sockets that something has come; false is the end.
func (g *Group) wake(events []unix.EpollEvent) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range events {
		if s := g.sockets[events[i].Fd]; s != nil {
			s.nudge()
		}
	}
	return !g.closed
}

func (g *Group) forget(s *Socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sockets, int32(s.fd))
}

// borrow lends room for packets to a socket that has some: sockets without
// any need none.
func (g *Group) borrow() *packets {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.spare); n > 0 {
		p := g.spare[n-1]
		g.spare = g.spare[:n-1]
		return p
	}
	return newPackets(groupBatch, groupPacket)
}

// spareMax is how much unused room a group keeps, 1 MiB.
const spareMax = 16

func (g *Group) giveBack(p *packets) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.spare) < spareMax {
		g.spare = append(g.spare, p)
	}
}
