package udp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func group(t testing.TB) *Group {
	t.Helper()
	g, err := NewGroup()
	check(t, err)
	t.Cleanup(func() { check(t, g.Close()) })
	return g
}

func socket(t testing.TB, g *Group, network, ip string) *Socket {
	t.Helper()
	s, err := g.Listen(network, &net.UDPAddr{IP: net.ParseIP(ip)})
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func portOf(s *Socket) uint16 { return uint16(s.LocalAddr().(*net.UDPAddr).Port) }

// A group looks at its sockets on multiples of its ticks on the wall clock, and
// no more than so many ticks from now.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ticks := range []int64{1, hastyTicks, lazyTicks} {
			every := time.Duration(ticks) * Tick
			for range 1000 {
				time.Sleep(317 * time.Microsecond)
				d := untilTick(ticks)
				if at := time.Now().Add(d); d <= 0 || d > every || time.Duration(at.UnixNano())%every != 0 {
					t.Fatalf("%d ticks are waited for %v, until %v", ticks, d, at)
				}
			}
		}
	})
}

// Two sockets talk: every packet comes once, whole, in order, from the right
// address, in more than one batch, whatever the family and whatever they are
// bound to.
func TestGroupCarriesPackets(t *testing.T) {
	for _, c := range []struct{ network, bind, via string }{
		{"udp4", "127.0.0.1", "127.0.0.1"},
		{"udp4", "0.0.0.0", "127.0.0.1"},
		{"udp6", "::1", "::1"},
		{"udp6", "::", "::1"},
	} {
		t.Run(c.network+" "+c.bind, func(t *testing.T) {
			g := group(t)
			a, b := socket(t, g, c.network, c.bind), socket(t, g, c.network, c.bind)
			to := netip.AddrPortFrom(netip.MustParseAddr(c.via), portOf(b))
			const count = 3*groupBatch + 1
			packet := func(i int) []byte {
				p := make([]byte, 4+i*13%1400)
				binary.BigEndian.PutUint32(p, uint32(i))
				for k := range p[4:] {
					p[4+k] = byte(i + k)
				}
				return p
			}
			for i := range count {
				if n, err := a.WriteToAddrPort(packet(i), to); err != nil || n != len(packet(i)) {
					t.Fatal(n, err)
				}
			}
			buf := make([]byte, 2000)
			for i := range count {
				n, from, err := b.ReadFrom(buf)
				check(t, err)
				if string(buf[:n]) != string(packet(i)) {
					t.Fatalf("packet %d: %d bytes, beginning with %x", i, n, buf[:4])
				}
				if from := from.(*net.UDPAddr); from.Port != int(portOf(a)) || !from.IP.Equal(net.ParseIP(c.via)) {
					t.Fatalf("packet %d came from %s", i, from)
				}
			}
			if _, err := b.WriteTo([]byte("back"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), portOf(a)))); err != nil {
				t.Fatal(err)
			}
			if n, _, err := a.ReadFromAddrPort(buf); err != nil || string(buf[:n]) != "back" {
				t.Fatalf("%q, %v", buf[:n], err)
			}
		})
	}
}

// Hundred readers each get what is theirs, while others are opened and closed.
func TestGroupServesMany(t *testing.T) {
	g := group(t)
	const count, each = 100, 50
	var readers sync.WaitGroup
	var addrs []netip.AddrPort
	for i := range count {
		s := socket(t, g, "udp4", "127.0.0.1")
		addrs = append(addrs, s.LocalAddr().(*net.UDPAddr).AddrPort())
		readers.Go(func() {
			buf := make([]byte, 100)
			for k := range each {
				if _, _, err := s.ReadFrom(buf); err != nil || buf[0] != byte(i) || buf[1] != byte(k) {
					t.Errorf("socket %d, packet %d: %v, %v", i, k, buf[:2], err)
					return
				}
			}
		})
	}
	from := socket(t, g, "udp4", "127.0.0.1")
	for k := range each {
		for i, to := range addrs {
			if _, err := from.WriteToAddrPort([]byte{byte(i), byte(k)}, to); err != nil {
				t.Fatal(err)
			}
		}
		s, err := g.Listen("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		check(t, err)
		check(t, s.Close())
	}
	readers.Wait()
}

// A group in which nothing happens sleeps, and is there at once when something
// does.
func TestGroupWakesFromIdleness(t *testing.T) {
	g := group(t)
	s, d := socket(t, g, "udp4", "127.0.0.1"), socket(t, g, "udp4", "127.0.0.1")
	to := s.LocalAddr().(*net.UDPAddr).AddrPort()
	buf := make([]byte, 10)
	for range 3 {
		_, err := d.WriteToAddrPort([]byte("x"), to)
		check(t, err)
		if _, _, err := s.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
		// As long as it takes for the group to go to sleep.
		check(t, s.SetReadDeadline(time.Now().Add(3*idleTicks*Tick/2)))
		if _, _, err := s.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		check(t, s.SetReadDeadline(time.Time{}))
	}
}

func TestGroupDeadlinesAndClosing(t *testing.T) {
	g := group(t)
	s := socket(t, g, "udp4", "127.0.0.1")
	buf := make([]byte, 10)
	check(t, s.SetDeadline(time.Unix(1, 0)))
	var timeout net.Error
	if _, _, err := s.ReadFrom(buf); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("read after the deadline: %v", err)
	}
	check(t, s.SetDeadline(time.Time{}))
	for _, end := range []struct {
		what string
		do   func(*Socket)
		want error
	}{
		{"deadline", func(s *Socket) { check(t, s.SetReadDeadline(time.Unix(1, 0))) }, os.ErrDeadlineExceeded},
		{"close", func(s *Socket) { check(t, s.Close()) }, net.ErrClosed},
		{"close of the group", func(*Socket) { check(t, g.Close()) }, net.ErrClosed},
	} {
		s := socket(t, g, "udp4", "127.0.0.1")
		got := make(chan error)
		go func() {
			_, _, err := s.ReadFrom(make([]byte, 10))
			got <- err
		}()
		end.do(s)
		if err := <-got; !errors.Is(err, end.want) {
			t.Errorf("%s: read ended with %v", end.what, err)
		}
	}
	if _, err := s.WriteTo([]byte("x"), s.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed socket: %v", err)
	}
	if err := s.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := g.Listen("udp4", nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen in a closed group: %v", err)
	}
	check(t, g.Close())
}

func TestGroupAllocatesNothing(t *testing.T) {
	g := group(t)
	s, d := socket(t, g, "udp4", "127.0.0.1"), socket(t, g, "udp4", "127.0.0.1")
	to := s.LocalAddr().(*net.UDPAddr).AddrPort()
	buf, packet := make([]byte, 2000), make([]byte, 160)
	read := map[string]func() error{
		"ReadFrom":         func() error { _, _, err := s.ReadFrom(buf); return err },
		"ReadFromAddrPort": func() error { _, _, err := s.ReadFromAddrPort(buf); return err },
	}
	for name, read := range read {
		if n := testing.AllocsPerRun(50, func() {
			if _, err := d.WriteToAddrPort(packet, to); err != nil {
				t.Fatal(err)
			}
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations per packet", name, n)
		}
	}
}

func TestGroupRefusesWhatCannotBeSent(t *testing.T) {
	g := group(t)
	s := socket(t, g, "udp4", "127.0.0.1")
	for _, to := range []netip.AddrPort{{}, netip.MustParseAddrPort("[::1]:9"), netip.MustParseAddrPort("127.0.0.1:0")} {
		if _, err := s.WriteToAddrPort([]byte("x"), to); err == nil {
			t.Errorf("sent to %v", to)
		}
	}
	if _, err := s.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
		t.Error("sent to a TCP address")
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("sent to nowhere")
	}
	if _, err := s.WriteToAddrPort(make([]byte, 70000), netip.MustParseAddrPort("127.0.0.1:9")); err == nil {
		t.Error("sent 70000 bytes")
	}
	if _, err := s.WriteToAddrPort(nil, s.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Error(err)
	}
	if n, _, err := s.ReadFrom(make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Who listens now waits for one tick, a recorder alone for sixteen once its
// connections stand, or for eight while one of them brings much.
func TestGroupHurriesForListeners(t *testing.T) {
	g := group(t)
	waits := func(when string, want int64) {
		t.Helper()
		if got := g.wait(); got != want {
			t.Errorf("%s: %d ticks instead of %d", when, got, want)
		}
	}
	waits("while connections are made", 1)
	g.opened.Store(int64(-handshake))
	waits("without listeners", lazyTicks)
	g.Audience(1)
	g.Audience(1)
	g.Audience(-1)
	waits("with a listener", 1)
	g.Audience(-1)
	waits("after the last listener", lazyTicks)

	g.ticks.Store(lazyTicks)
	g.note(&packets{count: crowd*lazyTicks - 1, head: crowd*lazyTicks - 1})
	waits("with a small room", lazyTicks)
	g.note(&packets{count: crowd * lazyTicks, head: crowd * lazyTicks})
	waits("with a large room", hastyTicks)
	g.ticks.Store(hastyTicks)
	g.hastened.Store(int64(-lately))
	waits("after the large room", lazyTicks)
	g.note(&packets{count: crowd * hastyTicks, head: crowd * hastyTicks})
	waits("with a large room that is looked at more often", hastyTicks)

	g.hastened.Store(int64(-lately))
	g.Hasten()
	waits("when a packet was asked for again", hastyTicks)

	socket(t, g, "udp4", "127.0.0.1")
	waits("with a new socket", 1)
}

func rtpHeader(pt byte, ssrc uint32, seq uint16) []byte {
	b := make([]byte, 12, 100)
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// untilStamped returns when the kernel stamps what comes. Asked by the first
// socket of a machine, it begins a moment later; a packet before that bears the
// time when it was read.
func untilStamped(t *testing.T, g *Group, from, to *Socket) {
	t.Helper()
	const late = 20 * time.Millisecond
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(to))
	buf := make([]byte, 2000)
	for seq := range uint16(250) {
		sent := time.Now()
		_, err := from.WriteToAddrPort(rtpHeader(111, 1, seq), addr)
		check(t, err)
		<-time.After(late)
		_, _, err = to.ReadFromAddrPort(buf)
		check(t, err)
		if at, ok := g.Arrival(1, seq); ok && at.Sub(sent) < late {
			return
		}
	}
	t.Fatal("the kernel stamps no packets")
}

// A packet came when the kernel got it, however late it is read.
func TestGroupKnowsWhenPacketsCame(t *testing.T) {
	g := group(t)
	a, b := socket(t, g, "udp4", "127.0.0.1"), socket(t, g, "udp4", "127.0.0.1")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(b))
	const count, ssrc = 3 * groupBatch, 0xdeadbeef
	untilStamped(t, g, a, b)
	var sent [count][2]time.Time // before and after
	for i := range count {
		sent[i][0] = time.Now()
		_, err := a.WriteToAddrPort(rtpHeader(111, ssrc, uint16(65500+i)), to)
		check(t, err)
		sent[i][1] = time.Now()
		<-time.After(time.Millisecond)
	}
	<-time.After(50 * time.Millisecond)
	buf := make([]byte, 2000)
	for i := range count {
		if _, _, err := b.ReadFromAddrPort(buf); err != nil {
			t.Fatal(err)
		}
		at, ok := g.Arrival(ssrc, uint16(65500+i))
		const clocks = time.Millisecond // the two clocks are not read at once
		if !ok || at.Before(sent[i][0].Add(-clocks)) || at.After(sent[i][1].Add(clocks)) {
			t.Errorf("packet %d came at %v (%v), it was sent from %v to %v", i, at, ok, sent[i][0], sent[i][1])
		}
	}
	if _, ok := g.Arrival(ssrc, 1); !ok {
		t.Error("sequence numbers do not wrap")
	}
	if at, ok := g.Arrival(ssrc+1, 1); ok {
		t.Errorf("another stream's packet came at %v", at)
	}
}

// What is no RTP, and what was stamped by a clock that somebody set, has no
// arrival.
func TestArrivalsAreOfRTP(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		packet []byte
		age    time.Duration
		want   bool
	}{
		"RTP":              {rtpHeader(111, 1, 1), 10 * time.Millisecond, true},
		"with a marker":    {rtpHeader(0x80|111, 1, 1), 0, true},
		"RTCP":             {rtpHeader(200, 1, 1), 0, false},
		"short":            {rtpHeader(111, 1, 1)[:11], 0, false},
		"STUN":             {make([]byte, 20), 0, false},
		"from the future":  {rtpHeader(111, 1, 1), -time.Microsecond, false},
		"an hour ago":      {rtpHeader(111, 1, 1), time.Hour, false},
		"two seconds late": {rtpHeader(111, 1, 1), 2 * time.Second, true},
	} {
		a := &arrivals{start: now.Add(-time.Minute)}
		a.note(c.packet, now.Add(-c.age), now)
		at, ok := a.of(1, 1)
		if ok != c.want || ok && !at.Equal(now.Add(-c.age)) {
			t.Errorf("%s: %v %v", name, now.Sub(at), ok)
		}
	}
}
