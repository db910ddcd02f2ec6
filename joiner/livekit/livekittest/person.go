package livekittest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lk "github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/track"
)

// Person is a user who publishes one audio track through LiveKit's SDK, Opus
// as it comes.
type Person struct {
	*joinertest.Voice
	Identity string
	Room     *lksdk.Room
	SID      string // of the track

	t      testing.TB
	server *Server
	warmed int // packets of silence that came first
}

var quiet = sync.OnceFunc(func() { lksdk.SetLogger(logger.GetDiscardLogger()) })

// Silence is the payload of the packets that are sent before the first word: a
// room learns of a track by its media.
var Silence = []byte{0xf8, 0xff, 0xfe}

// Join brings a person into a room. It returns when the room knows of the
// track, and heard, if there is one, says that somebody hears it.
func (s *Server) Join(t testing.TB, room, identity string, heard func(sid string) bool) *Person {
	t.Helper()
	quiet()
	r, err := lksdk.ConnectToRoom(s.URL, lksdk.ConnectInfo{
		APIKey: Key, APISecret: Secret, RoomName: room, ParticipantIdentity: identity, ParticipantName: "The " + identity,
	}, nil, lksdk.WithAutoSubscribe(false))
	if err != nil {
		t.Fatalf("%s joins: %v", identity, err)
	}
	p := &Person{Identity: identity, Room: r, t: t, server: s}
	t.Cleanup(p.Leave)
	local := track.NewLocal(identity + "-voice")
	published, err := p.Room.LocalParticipant.PublishTrack(local, &lksdk.TrackPublicationOptions{Name: identity + "-voice", Source: lk.TrackSource_MICROPHONE})
	if err != nil {
		t.Fatalf("%s publishes: %v", identity, err)
	}
	p.SID = published.SID()
	pub := joiner.NewPublication(identity+"-voice", 1)
	pub.Attach(local)
	p.Voice = joinertest.NewVoice(pub)
	p.Payload = func(int64) []byte { return Silence }
	for until := time.Now().Add(15 * time.Second); !p.listed() || heard != nil && !heard(p.SID); {
		if time.Now().After(until) {
			t.Fatalf("the room does not learn of %s's track, or nobody hears it", identity)
		}
		p.Voice.Say(joinertest.FrameTime)
	}
	p.Payload, p.warmed = joinertest.Numbered, len(p.Voice.Sent())
	return p
}

// Sent lists the numbers of the packets that were sent, but for the silence
// before the first word.
func (p *Person) Sent() []int64 { return p.Voice.Sent()[p.warmed:] }

// listed says that the room knows of the track.
func (p *Person) listed() bool {
	info, err := p.server.Rooms().GetParticipant(context.Background(), &lk.RoomParticipantIdentity{Room: p.Room.Name(), Identity: p.Identity})
	return err == nil && len(info.Tracks) > 0
}

// Leave takes the person out of the room.
func (p *Person) Leave() { p.Room.Disconnect() }

// Listen lets a user of the room play the track of a name, and returns what
// lists the numbers (joinertest.Number) that were heard.
func (s *Server) Listen(t testing.TB, room, identity, name string) func() []int64 {
	t.Helper()
	var mu sync.Mutex
	var numbers []int64
	s.play(t, room, identity, name, func(payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		if n := joinertest.Number(payload); n >= 0 {
			numbers = append(numbers, n)
		}
	})
	return func() []int64 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(numbers)
	}
}

// play lets a user play the track of a name.
func (s *Server) play(t testing.TB, room, identity, name string, packet func(payload []byte)) {
	t.Helper()
	quiet()
	callback := lksdk.NewRoomCallback()
	callback.OnTrackSubscribed = func(remote *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		for pub.Name() == name {
			p, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			packet(p.Payload)
		}
	}
	r, err := lksdk.ConnectToRoom(s.URL, lksdk.ConnectInfo{
		APIKey: Key, APISecret: Secret, RoomName: room, ParticipantIdentity: identity, ParticipantName: identity,
	}, callback)
	if err != nil {
		t.Fatalf("%s joins: %v", identity, err)
	}
	t.Cleanup(r.Disconnect)
}

// Hear lets a user of the room play the track of a name, and returns what
// counts the packets that came.
func (s *Server) Hear(t testing.TB, room, identity, name string) func() int {
	t.Helper()
	var count atomic.Int64
	s.play(t, room, identity, name, func([]byte) { count.Add(1) })
	return func() int { return int(count.Load()) }
}

// Watch brings in somebody who only looks who comes and goes: what it returns
// lists them, in their order.
func (s *Server) Watch(t testing.TB, room, identity string) func() []string {
	t.Helper()
	quiet()
	var mu sync.Mutex
	var seen []string
	note := func(what string) func(*lksdk.RemoteParticipant) {
		return func(p *lksdk.RemoteParticipant) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, p.Identity()+" "+what)
		}
	}
	r, err := lksdk.ConnectToRoom(s.URL, lksdk.ConnectInfo{APIKey: Key, APISecret: Secret, RoomName: room, ParticipantIdentity: identity},
		&lksdk.RoomCallback{OnParticipantConnected: note("comes"), OnParticipantDisconnected: note("goes")}, lksdk.WithAutoSubscribe(false))
	if err != nil {
		t.Fatalf("%s joins: %v", identity, err)
	}
	t.Cleanup(r.Disconnect)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}
