// Package netguard keeps the daemon's outgoing connections away from the
// networks that only the daemon can see: a URL that somebody else chose, of a
// webhook or a storage, must not become a way into them (SSRF).
//
// The check stands where the connection is made, behind every resolver and
// parser: what counts is the address that would be dialled, not how a URL
// spells it. So decimal and octal hosts, names that resolve to a private
// address now and then (rebinding), and IPv4 inside IPv6 all meet the same
// rule. Webhooks and media servers (joiner/whep) go through [New]; storages,
// whose endpoints an operator wrote into the configuration, through
// [ForConfigured], which lets private networks through and keeps away from what
// answers only this machine. It promises nothing about what a permitted server
// does with the request, and nothing about redirects: do not follow them, or
// check each as a URL of its own.
package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ErrForbidden is wrapped by the error of every connection that was refused.
var ErrForbidden = errors.New("address is not public; network.allow in the configuration lets it through")

// ErrReserved is wrapped besides ErrForbidden by a guard of [ForConfigured].
var ErrReserved = errors.New("link-local, metadata of a cloud, or no address of a host")

// Guard decides which addresses may be dialled: public ones, and those that
// the operator allows. The zero Guard allows public ones only.
type Guard struct {
	allow      []netip.Prefix
	configured bool // private networks are as good as public ones
}

// New makes a guard with exceptions, as prefixes (10.1.0.0/16) or addresses.
func New(allow []string) (*Guard, error) {
	g := &Guard{}
	for _, s := range allow {
		p, err := parse(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network as 10.1.0.0/16", s)
		}
		g.allow = append(g.allow, p)
	}
	return g, nil
}

// ForConfigured makes a guard for what the configuration itself names: private
// networks and loopback are let through, for that is where an operator's own
// servers stand. Link-local addresses and those at which clouds answer their
// machines are not, whatever a name resolves to, unless allow names them.
func ForConfigured(allow []string) (*Guard, error) {
	g, err := New(allow)
	if err != nil {
		return nil, err
	}
	g.configured = true
	return g, nil
}

func parse(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		err = errors.New("write it as an IPv4 network")
	}
	return p.Masked(), err
}

// Check returns an error that wraps ErrForbidden unless a may be dialled. An
// IPv4 address inside an IPv6 one is checked as itself.
func (g *Guard) Check(a netip.Addr) error {
	a = a.WithZone("")
	for _, form := range []netip.Addr{a, embedded(a)} {
		for _, p := range g.allow {
			if p.Contains(form) {
				return nil
			}
		}
	}
	if a.IsValid() && g.good(a) && g.good(embedded(a)) {
		return nil
	}
	if g.configured {
		return fmt.Errorf("%s: %w: %w", a, ErrReserved, ErrForbidden)
	}
	return fmt.Errorf("%s: %w", a, ErrForbidden)
}

func (g *Guard) good(a netip.Addr) bool { return public(a) || g.configured && private(a) }

// Control is for [net.Dialer]: it sees each address after it was resolved and
// before a packet is sent to it.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("%s to %s: %w", network, address, ErrForbidden)
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrForbidden)
	}
	return g.Check(a.Addr())
}

// Dialer dials through the guard.
func (g *Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, Control: g.Control}
}

// Transport is an HTTP transport that dials through the guard. It uses no
// proxy: a proxy would dial in our place, where the guard does not see it.
func (g *Guard) Transport() *http.Transport {
	return &http.Transport{
		DialContext:            g.Dialer().DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// CheckURL says early what the dialer would say late, for the answer to
// whoever sets a URL: it must be http or https, with a host, without a
// password, and not name a forbidden address outright. It resolves nothing.
func (g *Guard) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is not an http or https URL", raw)
	case u.Hostname() == "":
		return fmt.Errorf("%q has no host", raw)
	case u.User != nil:
		return errors.New("a URL with a user or password would show it in logs; secrets have fields of their own")
	case u.Fragment != "":
		return fmt.Errorf("%q has a fragment, which is never sent", raw)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.Check(a)
	}
	return nil
}
