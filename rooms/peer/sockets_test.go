package peer_test

import (
	"net"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
	"mixdown/rooms/udp"
)

// Many clients of one process, watched together, reach one server port: each
// has addresses of its own. Connections take their sockets with them.
func TestClientsWithSocketsOfAGroup(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			conn, err := udp.Listen(addr)
			check(t, err)
			defer conn.Close()
			server, err := peer.New(peer.Config{Conn: conn, Lite: true})
			check(t, err)
			sockets, err := udp.NewGroup()
			check(t, err)
			clients, err := peer.New(peer.Config{Sockets: sockets})
			check(t, err)
			var open []*webrtc.PeerConnection
			ports := make(map[string]bool)
			for range 5 {
				from, to := dial(t, clients, server)
				open = append(open, from, to)
				pair, err := to.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
				check(t, err)
				ports[pair.Remote.String()] = true
			}
			if len(ports) != 5 {
				t.Errorf("the server sees %v", ports)
			}
			for _, pc := range open {
				check(t, pc.GracefulClose())
			}
			check(t, clients.Close())
			check(t, sockets.Close())
			check(t, server.Close())
		})
	}
}

// A connection opens one socket for IPv4 and one for IPv6, not one for each
// address, and names the address by which others reach the machine.
func TestSocketsAreFew(t *testing.T) {
	sockets, err := udp.NewGroup()
	check(t, err)
	defer sockets.Close()
	e, err := peer.New(peer.Config{Sockets: sockets})
	check(t, err)
	families := make(map[bool]int)
	for line := range strings.Lines(offer(t, e)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "a=candidate:") && fields[1] == "1" {
			ip := net.ParseIP(fields[4])
			families[ip.To4() != nil]++
			if ip.IsUnspecified() {
				t.Errorf("candidate %s", line)
			}
		}
	}
	if families[true] != 1 || families[false] > 1 {
		t.Errorf("%d candidates for IPv4, %d for IPv6", families[true], families[false])
	}
}
