package netguard

import "net/netip"

// special are the networks that are not the public internet: IANA's registries
// of special-purpose addresses (RFC 6890 and what came after), and addresses
// at which clouds answer their own machines.
var special = prefixes(
	"0.0.0.0/8",       // this host
	"10.0.0.0/8",      // private, RFC 1918
	"100.64.0.0/10",   // shared, RFC 6598; the metadata of some clouds
	"127.0.0.0/8",     // loopback
	"168.63.129.16",   // the host of a virtual machine, at one cloud
	"169.254.0.0/16",  // link-local; the metadata of most clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays, withdrawn
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/3",     // multicast, reserved, broadcast

	"::/96",          // unspecified, loopback, IPv4-compatible
	"64:ff9b:1::/48", // local-use translation, RFC 8215
	"100::/64",       // discard
	"2001::/23",      // protocol assignments, Teredo among them
	"2001:db8::/32",  // documentation
	"3fff::/20",      // documentation
	"5f00::/16",      // segment routing
	"fc00::/7",       // unique local
	"fe80::/10",      // link-local
	"fec0::/10",      // site-local, withdrawn
	"ff00::/8",       // multicast
)

// privateNetworks are where an operator's own servers may stand.
var privateNetworks = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")

// metadata are addresses of clouds inside of them, which tell a machine its
// secrets.
var metadata = prefixes("100.100.100.200", "fd00:ec2::/32", "fd20:ce::/32")

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		p, err := parse(s)
		if err != nil {
			panic("netguard: " + err.Error())
		}
		all = append(all, p)
	}
	return all
}

func public(a netip.Addr) bool { return !within(special, a) }

func private(a netip.Addr) bool { return within(privateNetworks, a) && !within(metadata, a) }

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var (
	translated = netip.MustParsePrefix("64:ff9b::/96") // NAT64, RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// embedded is the IPv4 address that an IPv6 address leads to, or the address
// itself.
func embedded(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case a.Is4In6():
		return a.Unmap()
	case translated.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
