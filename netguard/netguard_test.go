package netguard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mixdown/netguard"
)

func TestCheck(t *testing.T) {
	var g netguard.Guard
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1", "168.63.129.16",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		if err := g.Check(netip.MustParseAddr(s)); !errors.Is(err, netguard.ErrForbidden) {
			t.Errorf("Check(%s) = %v, want forbidden", s, err)
		}
	}
	for _, s := range []string{"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1"} {
		if err := g.Check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("Check(%s) = %v, want nil", s, err)
		}
	}
}

func TestAllow(t *testing.T) {
	g, err := netguard.New([]string{"10.1.0.0/16", "127.0.0.1", "fd00::/64"})
	if err != nil {
		t.Fatal(err)
	}
	for s, ok := range map[string]bool{
		"10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": true, "127.0.0.2": false,
		"::ffff:127.0.0.1": true, "64:ff9b::a01:1": true, "fd00::7": true, "fd00:1::7": false,
	} {
		if err := g.Check(netip.MustParseAddr(s)); (err == nil) != ok {
			t.Errorf("Check(%s) = %v, want allowed %v", s, err, ok)
		}
	}
	for _, bad := range []string{"", "lan", "10.0.0.0/40", "::ffff:10.0.0.0/104"} {
		if _, err := netguard.New([]string{bad}); err == nil {
			t.Errorf("New(%q) takes it", bad)
		}
	}
}

// TestForConfigured: an operator's own servers may stand in private networks;
// what answers only this machine stays out, however it is spelled.
func TestForConfigured(t *testing.T) {
	g, err := netguard.ForConfigured([]string{"169.254.7.7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"1.1.1.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "169.254.7.7",
	} {
		if err := g.Check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("Check(%s) = %v, want nil", s, err)
		}
	}
	for _, s := range []string{
		"0.0.0.0", "100.100.100.200", "168.63.129.16", "169.254.169.254", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::", "::7f00:1",
		"::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1%eth0", "ff02::1",
	} {
		if err := g.Check(netip.MustParseAddr(s)); !errors.Is(err, netguard.ErrForbidden) || !errors.Is(err, netguard.ErrReserved) {
			t.Errorf("Check(%s) = %v, want forbidden", s, err)
		}
	}
	if err := g.CheckURL("http://169.254.169.254:9000"); !errors.Is(err, netguard.ErrReserved) {
		t.Errorf("CheckURL: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	var g netguard.Guard
	for _, bad := range []string{
		"", "example.org", "file:///etc/passwd", "gopher://example.org/", "ftp://example.org/", "http://", "http:///x", "//example.org",
		"http://user:pass@example.org/", "http://127.0.0.1/", "http://[::1]:80/", "http://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest", "https://example.org/#x", "http://exa mple/",
	} {
		if err := g.CheckURL(bad); err == nil {
			t.Errorf("CheckURL(%q) takes it", bad)
		}
	}
	for _, good := range []string{"https://example.org/hooks?x=1", "http://example.org:8080", "https://1.1.1.1/"} {
		if err := g.CheckURL(good); err != nil {
			t.Errorf("CheckURL(%q) = %v", good, err)
		}
	}
}

// TestNoConnections dials everything that spells this machine, and names that
// lead to it, and counts what arrives: nothing, until it is allowed.
func TestNoConnections(t *testing.T) {
	var arrived atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			arrived.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.1.", "0.0.0.0", "0",
		"localhost", "LOCALHOST.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"loop.test", "rebind.test", "mapped.test",
	}
	resolver := liar(t)
	try := func(g *netguard.Guard, host string) error {
		transport := g.Transport()
		defer transport.CloseIdleConnections()
		d := &net.Dialer{Control: g.Control, Resolver: resolver}
		transport.DialContext = d.DialContext
		client := &http.Client{Transport: transport}
		resp, err := client.Get(fmt.Sprintf("http://%s:%s/", host, port))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	var none netguard.Guard
	for _, host := range append(hosts, "rebind.test") { // whose second answer differs from its first
		if err := try(&none, host); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if n := arrived.Load(); n != 0 {
		t.Fatalf("%d connections arrived, want none", n)
	}
	some, err := netguard.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "loop.test"} {
		if err := try(some, host); err != nil {
			t.Errorf("%s is allowed: %v", host, err)
		}
	}
	if arrived.Load() == 0 {
		t.Error("the count counts nothing")
	}
}

// TestEnvironmentProxy: a proxy would dial where the guard does not look.
func TestEnvironmentProxy(t *testing.T) {
	if new(netguard.Guard).Transport().Proxy != nil {
		t.Error("the transport uses a proxy")
	}
}

func TestUDPIsRefused(t *testing.T) {
	if err := new(netguard.Guard).Control("udp4", "8.8.8.8:53", nil); !errors.Is(err, netguard.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

// liar is a resolver that knows three names. rebind.test is public when it is
// first asked, as whoever checks before dialling would ask it, and this
// machine from then on.
func liar(t *testing.T) *net.Resolver {
	asked := 0
	answer := func(q dnsmessage.Question) dnsmessage.ResourceBody {
		name := strings.TrimSuffix(q.Name.String(), ".")
		if q.Type == dnsmessage.TypeAAAA && name == "mapped.test" {
			return &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
		}
		if q.Type != dnsmessage.TypeA || name == "mapped.test" {
			return nil
		}
		if name == "rebind.test" {
			if asked++; asked == 1 {
				return &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}
			}
		}
		return &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serveDNS(t, theirs, answer) // ends with the connection
		return ours, nil
	}}
}

// serveDNS answers one connection as a DNS server over TCP does.
func serveDNS(t *testing.T, c net.Conn, answer func(dnsmessage.Question) dnsmessage.ResourceBody) {
	defer c.Close()
	var head [2]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		b := make([]byte, int(head[0])<<8|int(head[1]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil || len(m.Questions) != 1 {
			t.Errorf("unreadable question: %v", err)
			return
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		q := m.Questions[0]
		if body := answer(q); body != nil {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}, Body: body}}
		}
		out, err := m.Pack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...)); err != nil {
			return
		}
	}
}
