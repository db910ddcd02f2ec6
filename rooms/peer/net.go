package peer

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"

	"mixdown/rooms/udp"
)

// groupNet is the machine's network with sockets of a [udp.Group].
//
// ICE would open a socket for each address of the machine. A connection that
// looks for its peer itself needs one for IPv4 and one for IPv6: bound to no
// address, they reach everything that the machine does, and the peer answers
// to where a packet came from. So that is what groupNet shows to ICE: one
// address of each family, the best one that the machine has.
type groupNet struct {
	transport.Net
	group      *udp.Group
	interfaces []*transport.Interface
}

func newGroupNet(group *udp.Group) (*groupNet, error) {
	machine, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("look for network interfaces: %w", err)
	}
	all, err := machine.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("look for network interfaces: %w", err)
	}
	n := &groupNet{Net: machine, group: group}
	var best [2]candidate
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has none
		}
		for _, a := range addrs {
			c := newCandidate(i, a)
			if b := &best[c.family]; c.rank > b.rank {
				*b = c
			}
		}
	}
	for _, c := range best {
		if c.rank > 0 {
			shown := transport.NewInterface(c.on.Interface)
			shown.AddAddress(c.addr)
			n.interfaces = append(n.interfaces, shown)
		}
	}
	return n, nil
}

// candidate is an address of the machine. rank says how far it reaches: 2 is
// beyond the machine, 1 is within, 0 is useless to ICE.
type candidate struct {
	on     *transport.Interface
	addr   net.Addr
	family int
	rank   int
}

func newCandidate(on *transport.Interface, a net.Addr) candidate {
	c := candidate{on: on, addr: a}
	prefix, err := netip.ParsePrefix(a.String())
	if err != nil {
		return c
	}
	ip := prefix.Addr().Unmap()
	if ip.Is6() {
		c.family = 1
	}
	switch {
	case ip.IsLoopback():
		c.rank = 1
	case ip.IsGlobalUnicast():
		c.rank = 2
	}
	return c
}

// Interfaces implements transport.Net.
func (n *groupNet) Interfaces() ([]*transport.Interface, error) { return n.interfaces, nil }

// ListenUDP implements transport.Net.
func (n *groupNet) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	family, unbound := "udp4", net.IPv4zero
	if addr != nil && addr.IP.To4() == nil {
		family, unbound = "udp6", net.IPv6unspecified
	}
	if network != "udp" && network != family {
		return n.Net.ListenUDP(network, addr)
	}
	port := 0
	if addr != nil {
		port = addr.Port
	}
	return n.group.Listen(family, &net.UDPAddr{IP: unbound, Port: port})
}

// ListenPacket implements transport.Net.
func (n *groupNet) ListenPacket(network, address string) (net.PacketConn, error) {
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return n.Net.ListenPacket(network, address)
	}
	addr, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", address, err)
	}
	return n.ListenUDP(network, addr)
}
