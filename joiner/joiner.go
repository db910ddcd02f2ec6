// Package joiner is the headless participant: it logs into a room, follows
// roomStreamUpdate, plays every stream and publishes the mix.
//
// In the straight line it is the first station: packets come in pushed, from
// the connection's goroutines, and go to whoever [Room.Stream] names. Each
// room system is a folder below this one (native, livekit, whep) behind the
// small [System] interface; a System knows one connection, the [Participant]
// knows reconnecting. Package capture is the caller.
package joiner

import (
	"context"
	"errors"
	"time"

	"github.com/pion/rtp"
)

// Login names the room and who logs in.
type Login struct {
	URL      string // of the room system, e.g. ws://127.0.0.1:8080/ws
	RoomID   string
	UserID   string
	UserName string
	Hidden   bool
	// Token returns a valid login token. It is called at every login and
	// when the room system says that the present token will expire.
	Token func() (string, error)
	// Streams are what the room consists of where nobody else says so (whep).
	// Each has a token of its own.
	Streams []Endpoint
}

// Endpoint is where one stream is played from (WHEP) or published to (WHIP).
type Endpoint struct {
	StreamID string
	URL      string
	Token    string // sent as a bearer token (RFC 6750), unless empty
}

// Pusher publishes single streams to elsewhere, outside of any room (WHIP).
//
// Push keeps pub published at to, connecting again for as long as it takes,
// until ctx ends; it returns when the stream has been taken down. What became
// of it is told by pub's Stats.
type Pusher interface {
	Push(ctx context.Context, to Endpoint, pub *Publication)
}

// User is a user in the room.
type User struct {
	ID   string `json:"userID"`
	Name string `json:"userName"`
}

// Stream is what a user publishes.
type Stream struct {
	ID        string `json:"streamID"`
	User      User   `json:"user"`
	ExtraInfo string `json:"extraInfo"`
}

// System is one kind of room: our own, LiveKit, WHEP.
//
// Connect logs in and serves one connection: it tells room what happens,
// publishes what pubs asks for and returns when the connection is over. It
// never retries, but for streams that have connections of their own (whep). It
// tells the users and streams that are there at login before CONNECTED, and by
// [Present] what is not there any more, before the new ones if it can. When
// pubs.Offers rises it offers the streams that it does not
// play to room again. It wraps [ErrPermanent] when trying again is useless. When
// ctx ends it logs out properly and returns the context's cause. All its
// goroutines have ended when it returns.
type System interface {
	Connect(ctx context.Context, login Login, room Room, pubs *Publications) error
}

// ErrPermanent marks errors of [System.Connect] that a new connection cannot
// mend: bad token, kicked, no such room.
var ErrPermanent = errors.New("permanent")

// Room is told what happens in the room. The calls come from the
// connection's goroutines, one at a time, and must not block.
type Room interface {
	// Event tells a change of state or of users, or the end of a stream.
	Event(Event)
	// Stream tells of a stream to play and gets the place where its packets
	// go; nil means: do not play it.
	Stream(Stream) Receiver
}

// Receiver takes what arrives on one stream, in order of arrival, from one
// goroutine at a time. It must not block and must not keep p or its payload.
// Level is the packet's audio level as RFC 6464 gives it (-dBov, 0 to 127), or
// playout.NoLevel (0xff) when the packet carries none. The payload type is [Red]
// for redundant audio and something else for Opus. After the end of the stream
// was told, packets may follow that had come by then, as at says.
type Receiver interface {
	Packet(p *rtp.Packet, level uint8, at time.Time)
	Report(r SenderReport, at time.Time)
}

// Red is the payload type by which a [System] hands on redundant audio (RFC
// 2198), whatever it was on the wire: who plays a packet later, perhaps from a
// journal, does not know what was negotiated.
const Red = 63

// SenderReport is the publisher's clock as an RTCP sender report tells it
// (RFC 3550, section 6.4.1).
type SenderReport struct {
	SSRC uint32
	NTP  uint64
	RTP  uint32
}

// Event is one of [StateChanged], [Present], [UserAdded], [UserRemoved], [StreamRemoved],
// [StreamChanged], [StreamAbsent], [SoundLevels].
type Event interface{ event() }

type (
	// StateChanged tells the state of the login. Err says why when it is not
	// Connected.
	StateChanged struct {
		State State
		Err   error
	}
	// Present tells all that is there, by their IDs: users and streams that
	// were told of earlier and are not in it are gone. It is for systems to say
	// after a time in which they heard nothing; a [Participant] tells its Room
	// what that means.
	Present struct{ Users, Streams []string }
	// UserAdded and UserRemoved follow roomUserUpdate.
	UserAdded struct{ User User }
	// UserRemoved tells that a user left.
	UserRemoved struct{ User User }
	// StreamRemoved tells that a stream ended; its Receiver gets nothing more.
	StreamRemoved struct {
		StreamID string
		Reason   string
	}
	// StreamChanged tells a stream's new extra info.
	StreamChanged struct{ Stream Stream }
	// StreamAbsent tells that a stream of Login.Streams is not there, and why.
	StreamAbsent struct{ StreamID, Reason string }
	// SoundLevels tells how loud the room service itself hears the streams,
	// in dBov, -127 to 0, about once a second. Not every system tells it.
	SoundLevels struct{ Levels map[string]int }
)

func (StateChanged) event()  {}
func (Present) event()       {}
func (UserAdded) event()     {}
func (UserRemoved) event()   {}
func (StreamRemoved) event() {}
func (StreamChanged) event() {}
func (StreamAbsent) event()  {}
func (SoundLevels) event()   {}

// State is the state of a login as the tutorial names it.
type State string

// The states of a login:
//
//	DISCONNECTED ──► CONNECTING ──► CONNECTED
//	      ▲               ▲  │          │
//	      └───────────────┼──┘          │  cut link: CONNECTING again
//	      (permanent)     └─────────────┘
const (
	Disconnected State = "DISCONNECTED"
	Connecting   State = "CONNECTING"
	Connected    State = "CONNECTED"
)
