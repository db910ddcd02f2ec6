package native_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/native"
	"mixdown/rooms"
	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
	"mixdown/rooms/token"
	"mixdown/rooms/udp"
)

// pipe is a Room and Receiver that passes packets on.
type pipe chan int64

func (p pipe) Event(joiner.Event)                    {}
func (p pipe) Stream(joiner.Stream) joiner.Receiver  { return p }
func (p pipe) Report(joiner.SenderReport, time.Time) {}
func (p pipe) Packet(packet *rtp.Packet, _ uint8, _ time.Time) {
	select {
	case p <- joinertest.Number(packet.Payload):
	default:
	}
}

// TestLoopback: the same over real sockets in real time, read in batches or as
// the engine likes.
func TestLoopback(t *testing.T) {
	t.Run("batches", func(t *testing.T) {
		loopback(t, native.Config{Listen: func() (net.PacketConn, error) { return udp.Listen("0.0.0.0:0") }})
	})
	t.Run("engine", func(t *testing.T) {
		engine, err := peer.New(peer.Config{SenderReports: true})
		if err != nil {
			t.Fatal(err)
		}
		loopback(t, native.Config{Engine: engine})
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
}

func loopback(t *testing.T, config native.Config) {
	socket, err := udp.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	media, err := sfu.New(sfu.Config{Conn: socket})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "0123456789abcdef0123456789abcdef"
	service, err := rooms.New(rooms.Config{AppID: 7, Secret: secret, Media: media})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service.Handler())
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = service.Run(ctx)
	}()
	system := native.New(config)
	login := func(user string, hidden bool) joiner.Login {
		return joiner.Login{
			URL: strings.Replace(server.URL, "http", "ws", 1) + "/ws", RoomID: "r", UserID: user, Hidden: hidden,
			Token: func() (string, error) {
				return service.MintToken(token.Claims{UserID: user, RoomID: "r", Login: true, Publish: true, Hidden: hidden,
					Created: time.Now(), Expires: time.Now().Add(time.Minute)})
			},
		}
	}
	clients, leave := context.WithCancel(ctx)
	left := make(chan error, 2)
	run := func(l joiner.Login, r joiner.Room, pubs *joiner.Publications) {
		go func() {
			left <- joiner.NewParticipant(system, l, r, pubs, nil, slog.New(slog.DiscardHandler)).Run(clients)
		}()
	}
	pubs := new(joiner.Publications)
	voice := pubs.Add("voice", "", 1)
	heard := make(pipe, 1000)
	run(login("recorder", true), heard, nil)
	run(login("ann", false), make(pipe), pubs)

	const packets = 50
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	sent, got := int64(0), int64(0)
	for got < packets {
		select {
		case <-ticker.C:
			if voice.Stats().Published && sent < packets {
				if err := voice.WritePacket(joiner.OutPacket{Pos: sent * 960, Samples: 960, Payload: joinertest.Numbered(sent)}); err != nil {
					t.Error(err)
				}
				sent++
			}
		case n := <-heard:
			if n != got {
				t.Errorf("packet %d came as number %d", n, got)
			}
			got++
		case <-deadline:
			t.Fatalf("%d of %d packets, %d sent: %v", got, packets, sent, voice.Stats().Err)
		}
	}
	leave()
	<-left
	<-left
	cancel()
	<-served
	server.Close()
	if err := media.Close(); err != nil {
		t.Error(err)
	}
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
}
