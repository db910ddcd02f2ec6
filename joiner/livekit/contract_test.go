package livekit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/livekit"
	"mixdown/joiner/livekit/livekittest"
	"mixdown/rooms/peer"
)

// TestContract: LiveKit's rooms keep what package joinertest asks of every room
// system, on a real server.
func TestContract(t *testing.T) {
	t.Parallel()
	server := livekittest.Start(t)
	var rooms atomic.Int32
	joinertest.Suite{
		Bed: func(t *testing.T) joinertest.Bed {
			return newBed(t, server, fmt.Sprintf("contract-%d", rooms.Add(1)))
		},
		Settle: 2 * time.Second, // real servers on a busy machine
	}.Run(t)
}

// bed is one room of a server.
type bed struct {
	t      *testing.T
	server *livekittest.Server
	room   string
	system *livekit.System
	link   *livekittest.Link // the recorder's

	mu    sync.Mutex
	heard map[string]bool // tracks whose silence the recorder hears; nil: it is not there
}

func newBed(t *testing.T, server *livekittest.Server, room string) *bed {
	t.Helper()
	b := &bed{t: t, server: server, room: room, link: server.NewLink(t)}
	engine, err := peer.New(peer.Config{Net: b.link.Net(t), SenderReports: true, AskAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	b.system = livekit.New(livekit.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Engine: engine, Credentials: func(url string) (livekit.Credentials, bool) {
		return livekit.Credentials{Key: livekittest.Key, Secret: livekittest.Secret}, url == b.link.URL
	}})
	return b
}

func (b *bed) login() joiner.Login {
	return joiner.Login{
		URL: b.link.URL, RoomID: b.room, UserID: "recorder", UserName: "Recorder", Hidden: true,
		Token: func() (string, error) { return "", nil },
	}
}

func (b *bed) Recorder() (joiner.System, joiner.Login) {
	b.heard = make(map[string]bool)
	return awake{b.system, b}, b.login()
}

// awake is the system, but that the silence by which a track makes itself
// known only says that the track is heard (LiveKit tells no publisher of a
// hidden subscriber) and that the silence which LiveKit itself puts behind a
// track is left out.
type awake struct {
	joiner.System
	b *bed
}

func (a awake) Connect(ctx context.Context, login joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	return a.System.Connect(ctx, login, awakeRoom{room, a.b}, pubs)
}

type awakeRoom struct {
	joiner.Room
	b *bed
}

func (r awakeRoom) Stream(s joiner.Stream) joiner.Receiver {
	to := r.Room.Stream(s)
	if to == nil {
		return nil
	}
	return awakeReceiver{to, r.b, s.ID}
}

type awakeReceiver struct {
	joiner.Receiver
	b   *bed
	sid string
}

func (r awakeReceiver) Packet(p *rtp.Packet, level uint8, at time.Time) {
	if bytes.HasPrefix(p.Payload, livekittest.Silence) {
		r.b.mu.Lock()
		r.b.heard[r.sid] = true
		r.b.mu.Unlock()
		return
	}
	r.Receiver.Packet(p, level, at)
}

func (b *bed) Speaker(userID string) joinertest.Speaker {
	var heard func(sid string) bool
	if b.heard != nil {
		heard = func(sid string) bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.heard[sid]
		}
	}
	return speaker{b.server.Join(b.t, b.room, userID, heard)}
}

type speaker struct{ *livekittest.Person }

func (s speaker) Stream() joiner.Stream {
	return joiner.Stream{ID: s.SID, User: joiner.User{ID: s.Identity}}
}

func (b *bed) Break() { b.link.Cut(true) }
func (b *bed) Mend()  { b.link.Cut(false) }

func (b *bed) Kick() {
	_, err := b.server.Rooms().RemoveParticipant(b.t.Context(), &lk.RoomParticipantIdentity{Room: b.room, Identity: "recorder"})
	if err != nil {
		b.t.Error(err)
	}
}

func (b *bed) EndRoom() {
	if _, err := b.server.Rooms().DeleteRoom(context.Background(), &lk.DeleteRoomRequest{Room: b.room}); err != nil {
		b.t.Error(err)
	}
}

func (b *bed) WrongToken() joiner.Login {
	l := b.login()
	wrong := livekit.Credentials{Key: livekittest.Key, Secret: "of another server, long enough for HS256"}
	token, err := wrong.Token(l)
	if err != nil {
		b.t.Fatal(err)
	}
	l.Token = func() (string, error) { return token, nil }
	return l
}

func (b *bed) Listen(name string) func() []int64 {
	return b.server.Listen(b.t, b.room, "listener", name)
}
