package peer_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func offer(t *testing.T, e *peer.Engine) string {
	t.Helper()
	pc, err := e.NewPeerConnection()
	check(t, err)
	defer func() { check(t, pc.GracefulClose()) }()
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio)
	check(t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	description, err := pc.CreateOffer(nil)
	check(t, err)
	check(t, pc.SetLocalDescription(description))
	<-gathered
	return pc.LocalDescription().SDP
}

func TestOffer(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	defer conn.Close()
	e, err := peer.New(peer.Config{Conn: conn, Lite: true, SenderReports: true})
	check(t, err)
	sdp := offer(t, e)
	for _, want := range []string{
		"a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtcp-fb:111 nack",
		"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111",
		"a=ice-lite", peer.LevelURI, peer.MidURI, peer.SendTimeURI,
		" 127.0.0.1 " + strings.TrimPrefix(conn.LocalAddr().String(), "127.0.0.1:") + " typ host",
	} {
		if !strings.Contains(sdp, want) {
			t.Errorf("no %q in\n%s", want, sdp)
		}
	}
	if n := strings.Count(sdp, "a=rtpmap"); n != 2 {
		t.Errorf("%d codecs", n)
	}
	check(t, e.Close())
}

// The socket is lent: it is as before once the Engine is closed.
func TestCloseLeavesTheSocket(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	defer conn.Close()
	for range 3 {
		e, err := peer.New(peer.Config{Conn: conn})
		check(t, err)
		check(t, e.Close())
		check(t, e.Close())
	}
	_, err = conn.WriteTo([]byte("still here"), conn.LocalAddr())
	check(t, err)
	check(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 100)
	n, _, err := conn.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "still here" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	check(t, conn.SetReadDeadline(time.Unix(1, 0)))
	if _, _, err := conn.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline after the Engine: %v", err)
	}
	// Closing in the other order hangs nowhere.
	e, err := peer.New(peer.Config{Conn: conn})
	check(t, err)
	check(t, conn.Close())
	check(t, e.Close())
}

// Two Engines without a server's help: offer, answer, connected, in virtual
// time. Certificates are renewed before they end.
func TestConnectAfterAYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: logging.NewDefaultLoggerFactory()})
		check(t, err)
		engines := make([]*peer.Engine, 2)
		for i, ip := range []string{"10.0.0.1", "10.0.0.2"} {
			host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
			check(t, err)
			check(t, router.AddNet(host))
			engines[i], err = peer.New(peer.Config{Net: host})
			check(t, err)
		}
		check(t, router.Start())
		for range 3 {
			connect(t, engines[0], engines[1])
			time.Sleep(365 * 24 * time.Hour)
		}
		for _, e := range engines {
			check(t, e.Close())
		}
		check(t, router.Stop())
	})
}

func connect(t *testing.T, a, b *peer.Engine) {
	t.Helper()
	from, to := dial(t, a, b)
	check(t, from.GracefulClose())
	check(t, to.GracefulClose())
}

// dial makes a connection between two engines and waits until it stands.
func dial(t *testing.T, a, b *peer.Engine) (from, to *webrtc.PeerConnection) {
	t.Helper()
	from, err := a.NewPeerConnection()
	check(t, err)
	to, err = b.NewPeerConnection()
	check(t, err)
	connected := make(chan struct{}, 2)
	for _, pc := range []*webrtc.PeerConnection{from, to} {
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateConnected {
				connected <- struct{}{}
			}
		})
	}
	_, err = from.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio)
	check(t, err)
	describe := func(pc *webrtc.PeerConnection, d webrtc.SessionDescription, err error) webrtc.SessionDescription {
		t.Helper()
		check(t, err)
		gathered := webrtc.GatheringCompletePromise(pc)
		check(t, pc.SetLocalDescription(d))
		<-gathered
		return *pc.LocalDescription()
	}
	d, err := from.CreateOffer(nil)
	check(t, to.SetRemoteDescription(describe(from, d, err)))
	d, err = to.CreateAnswer(nil)
	check(t, from.SetRemoteDescription(describe(to, d, err)))
	<-connected
	<-connected
	return from, to
}
