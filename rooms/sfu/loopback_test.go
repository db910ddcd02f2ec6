//go:build unix

package sfu_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
	"mixdown/rooms/udp"
)

// Real sockets, the batched one at both ends: what the virtual network proves
// is true of the machine's.
func TestLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			conn, err := udp.Listen(addr)
			check(t, err)
			server, err := sfu.New(sfu.Config{Conn: conn})
			check(t, err)
			engine := func(reports, shared bool) *peer.Engine {
				c := peer.Config{SenderReports: reports}
				if shared {
					own, err := udp.NewGroup()
					check(t, err)
					t.Cleanup(func() { check(t, own.Close()) })
					c.Sockets = own
				}
				e, err := peer.New(c)
				check(t, err)
				return e
			}
			p := publish(t, server, engine(true, false), "loopback")
			l := play(t, server, engine(false, true), "loopback", true)
			for range 5 {
				p.next()
			}
			l.player.Play("one", p.up)
			l.answer()
			l.played("one true <nil>")
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for range 50 {
				p.next()
				<-tick.C
			}
			// What was lost before its end comes again; the end is not lost here.
			l.await(func() bool { return len(l.got["0"]) >= len(p.all) }, "all packets")
			got := l.heard("one")
			slices.SortFunc(got, func(a, b sent) int { return int(int16(a.seq - b.seq)) }) // what comes again comes late
			if !slices.Equal(got, p.all) {
				t.Errorf("heard %d of %d, %d are missing", len(got), len(p.all), missing(t, p.all, got))
			}
			if addr == ":0" {
				everyAddress(t, l.offers[0])
			}
			p.close()
			l.close()
			check(t, server.Close())
			check(t, conn.Close())
		})
	}
}

// everyAddress checks that a socket on all addresses is offered on all, but
// for IPv6 ones that lead nowhere (::1, link-local).
func everyAddress(t *testing.T, sdp string) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	check(t, err)
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; (ip.To4() != nil || ip.IsGlobalUnicast()) && !strings.Contains(sdp, " "+ip.String()+" ") {
			t.Errorf("no candidate for %s:\n%s", ip, sdp)
		}
	}
}

// BenchmarkLoopback is the whole way of a packet to a player of 100 streams,
// SRTP, sockets and the player's own receiving included, in CPU time.
func BenchmarkLoopback(b *testing.B) {
	const streams = 100
	conn, err := udp.Listen("127.0.0.1:0")
	check(b, err)
	own, err := udp.NewGroup()
	check(b, err)
	server, err := sfu.New(sfu.Config{Conn: conn})
	check(b, err)
	sending, err := peer.New(peer.Config{SenderReports: true})
	check(b, err)
	playing, err := peer.New(peer.Config{Sockets: own})
	check(b, err)
	p, l := publish(b, server, sending, "loopback"), play(b, server, playing, "loopback", false)
	for i := range streams {
		l.player.Play(fmt.Sprint("s", i), p.up)
	}
	l.answer()
	l.played(fmt.Sprint("s", streams-1, " true <nil>"))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var before, after syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	for b.Loop() {
		<-tick.C
		p.next()
	}
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/1000/float64(b.N*streams), "cpu-µs/forward")
	p.close()
	l.close()
	check(b, server.Close())
	check(b, conn.Close())
	check(b, own.Close())
}
