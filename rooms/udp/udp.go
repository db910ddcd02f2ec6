// Package udp reads one UDP socket in batches.
//
// It is the very first station of the line: every packet of every call comes
// through one socket ([Conn]), which the ICE mux of rooms/peer reads. Waking
// up is what receiving costs, so while packets flow the socket is drained with
// one recvmmsg every [Tick] instead of one blocking read per packet; what is
// paid for it is at most a tick of delay. When nothing came for a while it
// blocks like any socket, so that an idle daemon sleeps.
//
// It promises the order and the content of the packets and allocates nothing
// per packet. It knows nothing of what is in them. Writes are not batched.
// Where there is no recvmmsg (all but Linux) it is a plain socket.
package udp

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// Tick is how often the socket is drained while packets flow.
	Tick = 5 * time.Millisecond
	// idleTicks is how many empty ticks in a row lead to a blocking read.
	idleTicks = 20
	// batchSize packets are taken by one system call.
	batchSize = 64
	// maxPacket is the longest packet that is read whole, as in the ICE mux.
	maxPacket = 8192
	// bufferSize is what the kernel is asked to hold for us, either way.
	bufferSize = 4 << 20
	// knownAddrs is how many remote addresses ReadFrom keeps as net.Addr.
	knownAddrs = 4096
)

// Conn is a UDP socket that is read in batches. It implements net.PacketConn;
// ReadFromAddrPort and WriteToAddrPort are the same without net.Addr. It is
// safe for concurrent use; several readers get each packet once.
type Conn struct {
	*net.UDPConn // writes, addresses, deadlines

	wake   chan struct{} // a deadline was set
	once   sync.Once
	closed chan struct{}

	reading sync.Mutex
	batch   *batch
	timer   *time.Timer
	last    time.Time // the last time the socket was drained
	empty   int       // drains in a row that brought nothing
	drains  uint64    // wakeups so far
	addrs   map[netip.AddrPort]*net.UDPAddr
}

// Listen opens a UDP socket, e.g. ":8443", "127.0.0.1:0", "[::1]:8443". An
// address without a host takes IPv4 and IPv6 where the machine has both. The
// socket buffers are made large if the system allows it. Reading needs no
// goroutine: it happens in the reader's.
func Listen(addr string) (*Conn, error) {
	local, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	socket, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	// Best effort: the system's own limit may be lower.
	_ = socket.SetReadBuffer(bufferSize)
	_ = socket.SetWriteBuffer(bufferSize)
	c := &Conn{
		UDPConn: socket,
		wake:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
		timer:   time.NewTimer(time.Hour),
		addrs:   make(map[netip.AddrPort]*net.UDPAddr),
	}
	if c.batch, err = newBatch(socket); err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	return c, nil
}

// ReadFrom reads the next packet. The address is shared with other calls and
// must not be changed.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, from, err := c.next(b)
	if err != nil {
		return 0, nil, err
	}
	addr, known := c.addrs[from]
	if !known {
		if len(c.addrs) == knownAddrs {
			clear(c.addrs)
		}
		addr = net.UDPAddrFromAddrPort(from)
		c.addrs[from] = addr
	}
	return n, addr, nil
}

// ReadFromAddrPort reads the next packet.
func (c *Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.next(b)
}

// WriteToAddrPort writes a packet.
func (c *Conn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, addr)
}

// SetReadDeadline sets the time after which reads fail; zero is never. Packets
// already taken from the socket are handed out before.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.UDPConn.SetReadDeadline(t)
	c.nudge()
	return err
}

// SetDeadline sets the read and the write deadline.
func (c *Conn) SetDeadline(t time.Time) error {
	err := c.UDPConn.SetDeadline(t)
	c.nudge()
	return err
}

// Close closes the socket; a read that waits ends with net.ErrClosed.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.UDPConn.Close()
}

// The other ways to read would get packets out of order.

// Read reads the next packet.
func (c *Conn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(b)
	return n, err
}

// ReadFromUDP reads the next packet.
func (c *Conn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, addr, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(addr), nil
}

// ReadFromUDPAddrPort reads the next packet.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.ReadFromAddrPort(b)
}

func (c *Conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next hands out a packet, draining the socket when there is none. The caller
// holds the lock.
func (c *Conn) next(b []byte) (int, netip.AddrPort, error) {
	for !c.batch.ready() {
		if err := c.fill(); err != nil {
			return 0, netip.AddrPort{}, err
		}
	}
	n, from := c.batch.pop(b)
	return n, from, nil
}

// fill drains the socket once, at the next tick or, if it was quiet for a
// while, as soon as something comes.
func (c *Conn) fill() error {
	idle := c.empty >= idleTicks
	if !idle && !c.batch.full() {
		c.sleep(Tick - time.Since(c.last))
	}
	c.drains++
	n, err := c.batch.receive(idle)
	c.last = time.Now()
	if err != nil {
		return err
	}
	if n > 0 {
		c.empty = 0
	} else {
		c.empty++
	}
	return nil
}

// sleep waits for the tick, or until the socket must be looked at for another
// reason: it says itself that it is closed or that a deadline has passed. A
// deadline between two ticks is met at the tick.
func (c *Conn) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	c.timer.Reset(d)
	select {
	case <-c.timer.C:
	case <-c.wake:
	case <-c.closed:
	}
}
