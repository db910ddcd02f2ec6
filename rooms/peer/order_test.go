package peer

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"mixdown/rooms/udp"
)

// TestOrder: the candidates of a connection that share a socket hand its packets
// on in their order, and when the one that reads is closed another does.
func TestOrder(t *testing.T) {
	socket, err := udp.Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := newOrderedMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket}))
	defer mux.Close()
	type read struct {
		by     int
		number uint32
	}
	got := make(chan read, 10000)
	conns := map[int]net.PacketConn{}
	ended := make(chan int, 3)
	for i := range 3 {
		c, err := mux.GetConn("here", &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(1+i)), Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		go func() {
			defer func() { ended <- i }()
			b := make([]byte, 1500)
			for {
				n, _, err := c.(ice.AddrPortReaderWriter).ReadFromAddrPort(b)
				if err != nil {
					return
				}
				if n == 4 {
					got <- read{i, binary.BigEndian.Uint32(b)}
				}
			}
		}()
	}
	client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(socket.LocalAddr().(*net.UDPAddr).Port))))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// The mux knows to whom packets belong by where somebody wrote to.
	if _, err := conns[0].WriteTo([]byte("hello"), client.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	next := uint32(0)
	for len(conns) > 0 {
		by := -1
		for range 500 {
			if _, err := client.Write(binary.BigEndian.AppendUint32(nil, next)); err != nil {
				t.Fatal(err)
			}
			next++
		}
		for n := next - 500; n < next; n++ {
			select {
			case r := <-got:
				if r.number != n || by >= 0 && by != r.by {
					t.Fatalf("packet %d came from reader %d, want %d from %d", r.number, r.by, n, by)
				}
				by = r.by
			case <-time.After(10 * time.Second):
				t.Fatalf("packet %d did not come", n)
			}
		}
		if err := conns[by].Close(); err != nil {
			t.Fatal(err)
		}
		delete(conns, by)
		if i := <-ended; i != by {
			t.Fatalf("reader %d ended, not %d", i, by)
		}
	}
}
