package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

func listen(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := Listen(addr)
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dial(t testing.TB, c *Conn) *net.UDPConn {
	t.Helper()
	to := c.LocalAddr().(*net.UDPAddr)
	if to.IP.IsUnspecified() {
		to = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: to.Port}
	}
	d, err := net.DialUDP("udp", nil, to)
	check(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPacketsComeInOrderAndWhole(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0"} {
		t.Run(addr, func(t *testing.T) {
			c := listen(t, addr)
			d := dial(t, c)
			const packets = 3 * batchSize
			packet := func(i int) []byte {
				b := make([]byte, 4+i*7%1400)
				binary.BigEndian.PutUint32(b, uint32(i))
				for k := range b[4:] {
					b[4+k] = byte(i + k)
				}
				return b
			}
			for i := range packets {
				_, err := d.Write(packet(i))
				check(t, err)
			}
			from := d.LocalAddr().(*net.UDPAddr).AddrPort()
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			buf := make([]byte, 2000)
			for i := range packets {
				var n int
				var got netip.AddrPort
				var err error
				if i%2 == 0 {
					n, got, err = c.ReadFromAddrPort(buf)
				} else {
					var a net.Addr
					n, a, err = c.ReadFrom(buf)
					got = a.(*net.UDPAddr).AddrPort()
					got = netip.AddrPortFrom(got.Addr().Unmap(), got.Port())
				}
				check(t, err)
				if string(buf[:n]) != string(packet(i)) {
					t.Fatalf("packet %d: %d bytes, beginning with %x", i, n, buf[:4])
				}
				if got != from {
					t.Fatalf("packet %d came from %s, not %s", i, got, from)
				}
			}
			// And back, to the address that the packets came from.
			if _, err := c.WriteToAddrPort([]byte("back"), from); err != nil {
				t.Fatal(err)
			}
			if _, err := c.WriteTo([]byte("again"), net.UDPAddrFromAddrPort(from)); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"back", "again"} {
				n, err := d.Read(buf)
				if err != nil || string(buf[:n]) != want {
					t.Fatalf("%q, %v", buf[:n], err)
				}
			}
		})
	}
}

func TestShortAndEmptyPackets(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	d := dial(t, c)
	for _, s := range []string{"", "0123456789", ""} {
		_, err := d.Write([]byte(s))
		check(t, err)
	}
	small := make([]byte, 4)
	for _, want := range []string{"", "0123", ""} {
		n, _, err := c.ReadFrom(small)
		if err != nil || string(small[:n]) != want {
			t.Fatalf("%q, %v", small[:n], err)
		}
	}
}

func TestDeadline(t *testing.T) {
	for _, idle := range []bool{false, true} {
		t.Run(fmt.Sprint("idle ", idle), func(t *testing.T) {
			c := listen(t, "127.0.0.1:0")
			if idle {
				c.empty = idleTicks
			}
			buf := make([]byte, 10)
			fails := func(wait time.Duration) {
				t.Helper()
				start := time.Now()
				_, _, err := c.ReadFrom(buf)
				// os.IsTimeout does not unwrap; the ICE mux relies on it.
				if !errors.Is(err, os.ErrDeadlineExceeded) || !os.IsTimeout(err) {
					t.Errorf("%v", err)
				}
				if d := time.Since(start); d < wait {
					t.Errorf("failed after %s, before the deadline", d)
				}
			}
			check(t, c.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
			fails(29 * time.Millisecond)
			check(t, c.SetDeadline(time.Unix(1, 0)))
			fails(0)

			// A deadline that is set while a read waits ends it.
			check(t, c.SetDeadline(time.Time{}))
			var done sync.WaitGroup
			done.Go(func() { fails(0) })
			check(t, c.SetReadDeadline(time.Unix(1, 0)))
			done.Wait()

			check(t, c.SetReadDeadline(time.Time{}))
			_, err := dial(t, c).Write([]byte("x"))
			check(t, err)
			if n, _, err := c.ReadFrom(buf); n != 1 || err != nil {
				t.Fatalf("after the deadline was taken away: %d, %v", n, err)
			}
		})
	}
}

func TestCloseEndsReads(t *testing.T) {
	for _, idle := range []bool{false, true} {
		t.Run(fmt.Sprint("idle ", idle), func(t *testing.T) {
			c := listen(t, "127.0.0.1:0")
			if idle {
				c.empty = idleTicks
			}
			ended := make(chan error, 2)
			for range 2 {
				go func() {
					_, _, err := c.ReadFrom(make([]byte, 10))
					ended <- err
				}()
			}
			check(t, c.Close())
			for range 2 {
				if err := <-ended; !errors.Is(err, net.ErrClosed) {
					t.Fatal(err)
				}
			}
			if _, _, err := c.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		})
	}
}

// An idle socket must not wake the process: after some empty ticks the reader
// blocks, and the next packet wakes it.
func TestIdleSocketSleeps(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	d := dial(t, c)
	start := time.Now()
	check(t, c.SetReadDeadline(start.Add(10*idleTicks*Tick)))
	if _, _, err := c.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if c.drains > idleTicks+2 {
		t.Errorf("%d wakeups in %s of nothing", c.drains, time.Since(start))
	}
	check(t, c.SetReadDeadline(time.Time{}))
	_, err := d.Write([]byte("x"))
	check(t, err)
	if n, _, err := c.ReadFrom(make([]byte, 10)); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if c.empty != 0 {
		t.Error("a packet did not bring the ticks back")
	}
}

// While packets flow there is about one wakeup in a tick, however many come.
func TestFlowIsDrainedOnTheTick(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	d := dial(t, c)
	const packets = 40 * 25
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range packets / 10 {
			<-tick.C
			for range 10 {
				_, _ = d.Write([]byte("packet"))
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // a small buffer of the socket loses what nobody reads in time
	})
	start := time.Now()
	buf := make([]byte, 10)
	got := 0
	for ; got < packets; got++ {
		if _, _, err := c.ReadFromAddrPort(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	sender.Wait()
	if got < packets/2 {
		t.Errorf("only %d of %d packets came", got, packets)
	}
	// A full batch is followed at once: allow for those.
	if most := 3 + uint64(time.Since(start)/Tick) + packets/batchSize; c.drains > most {
		t.Errorf("%d wakeups for %d packets in %s", c.drains, got, time.Since(start))
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	d := dial(t, c)
	buf, packet := make([]byte, 2000), make([]byte, 160)
	read := map[string]func() error{
		"ReadFrom":         func() error { _, _, err := c.ReadFrom(buf); return err },
		"ReadFromAddrPort": func() error { _, _, err := c.ReadFromAddrPort(buf); return err },
	}
	for name, read := range read {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := d.Write(packet); err != nil {
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
