package udp

import (
	"encoding/binary"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// arrivalSlots is how many packets may be on their way from the socket to
	// whoever asks when they came, before the oldest are forgotten.
	arrivalSlots = 1 << 13
	// oldest is how long a packet may have lain in the kernel. What seems
	// older was stamped before somebody set the clock.
	oldest = 2 * time.Second
)

// stampSpace is the room that the kernel's stamp of a packet takes.
var stampSpace = unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{})))

// arrivals remembers when RTP packets came, by what their headers say in
// clear: SSRC and sequence number (RFC 3711, section 3.1). A packet that lies
// in the socket until the next tick, and then waits for its turn in several
// goroutines, came when the kernel says it did. The table has no lock: two
// packets that fall on one slot cost one of them its stamp.
type arrivals struct {
	start time.Time
	slots [arrivalSlots]struct {
		packet atomic.Uint64 // 1, SSRC, sequence number
		at     atomic.Int64  // after start
	}
}

func packetKey(ssrc uint32, seq uint16) uint64 { return 1<<48 | uint64(ssrc)<<16 | uint64(seq) }

func slotOf(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> (64 - 13) }

// note remembers a packet that was stamped and is taken now.
func (a *arrivals) note(packet []byte, stamp, now time.Time) {
	if len(packet) < 12 || packet[0]>>6 != 2 || packet[1] >= 192 && packet[1] <= 223 {
		return // no RTP (RFC 7983, RFC 5761 section 4)
	}
	age := now.Sub(stamp)
	if age < 0 || age > oldest {
		return
	}
	key := packetKey(binary.BigEndian.Uint32(packet[8:]), binary.BigEndian.Uint16(packet[2:]))
	s := &a.slots[slotOf(key)]
	s.at.Store(int64(now.Sub(a.start) - age))
	s.packet.Store(key)
}

// of is when a packet came; false if that is not known any more.
func (a *arrivals) of(ssrc uint32, seq uint16) (time.Time, bool) {
	key := packetKey(ssrc, seq)
	s := &a.slots[slotOf(key)]
	if s.packet.Load() != key {
		return time.Time{}, false
	}
	return a.start.Add(time.Duration(s.at.Load())), true
}

// stampPackets asks the kernel for stamps. Without them a packet came when it
// was read, as do the first after a machine's first socket asked: the kernel
// begins a moment later (net_enable_timestamp), long before a connection has
// its first RTP packet.
func stampPackets(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// stamp reads the kernel's stamp of packet i.
func (p *packets) stamp(i int) (time.Time, bool) {
	h := &p.headers[i]
	if int(h.Controllen) < stampSpace {
		return time.Time{}, false
	}
	control := p.controls[i*stampSpace:]
	c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if c.Level != unix.SOL_SOCKET || c.Type != unix.SO_TIMESTAMPNS {
		return time.Time{}, false
	}
	at := (*unix.Timespec)(unsafe.Pointer(&control[unix.CmsgLen(0)]))
	return time.Unix(at.Unix()), true
}
