// Package joinertest is the contract of a room system, as tests: what
// [joiner.System] and [joiner.Participant] together promise a capture, whatever
// the room is made of.
//
// It stands beside the line: the tests of joiner/native, joiner/livekit and
// joiner/whep give the [Suite] a [Bed] of theirs, each case gets a fresh one,
// and all cases look at packets only, by the numbers that a [Voice] puts into
// them. Its parts, the [Ear], the [Recorder] and the Voice, serve those
// packages' own tests, too. It checks nothing about how a system does it.
//
// A case that a system by its nature does not have is named in Suite.Lacks with
// the reason, which is printed; a case that a bed cannot do and that is not
// named fails.
package joinertest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"mixdown/joiner"
)

// Suite is a room system under test.
type Suite struct {
	// Bed opens an empty room for one case. It ends with the test.
	Bed func(t *testing.T) Bed
	// Bubble runs a case; synctest.Test gives it virtual time. nil: it runs as
	// it is.
	Bubble func(t *testing.T, f func(t *testing.T))
	// Patience is how long a step may take, such as a login; 0 is 10 s.
	Patience time.Duration
	// Settle is how long after CONNECTED a stream may be unheard; 0 is 500 ms.
	Settle time.Duration
	// Lacks says, by the name of a case, why the system has no such thing.
	Lacks map[string]string
}

// Bed is one room.
type Bed interface {
	// Recorder is the system under test with a login to the room.
	Recorder() (joiner.System, joiner.Login)
	// Speaker brings a user with one stream into the room. It returns when the
	// stream can be heard.
	Speaker(userID string) Speaker
}

// Speaker is a user who publishes one stream. A [Voice] does what Say and Sent
// ask for.
type Speaker interface {
	// Stream is the stream's ID and user as a recorder is told of them.
	Stream() joiner.Stream
	// Say sends a packet every 20 ms; each carries the number of its frame,
	// counted from the speaker's beginning, whether those before were sent.
	Say(d time.Duration)
	// Sent lists the numbers of the packets that were sent.
	Sent() []int64
	// Leave takes the user out of the room.
	Leave()
}

// What a Bed can do besides; each is what one case needs.
type (
	// Breaker cuts the recorder off from the room, and mends it. The speakers
	// stay in the room.
	Breaker interface {
		Break()
		Mend()
	}
	// Kicker throws the recorder out of the room for good.
	Kicker interface{ Kick() }
	// Ender ends the room as its owner would.
	Ender interface{ EndRoom() }
	// Refuser is a login with a token that is no good.
	Refuser interface{ WrongToken() joiner.Login }
	// Listener plays a stream of the room as one of its users would, and
	// returns what lists the numbers that were heard so far.
	Listener interface {
		Listen(streamID string) (heard func() []int64)
	}
)

// cases are those of the contract, by name.
var cases = map[string]func(c *room){
	"Login":      (*room).login,
	"LateJoin":   (*room).lateJoin,
	"PacketOne":  (*room).packetOne,
	"Leave":      (*room).leave,
	"Mute":       (*room).mute,
	"ComeBack":   (*room).comeBack,
	"Rejoin":     (*room).rejoin,
	"Kick":       (*room).kick,
	"RoomEnd":    (*room).roomEnd,
	"WrongToken": (*room).wrongToken,
	"Publish":    (*room).publish,
	"50Streams":  (*room).manyStreams,
}

// Run runs every case as a subtest.
func (s Suite) Run(t *testing.T) {
	if s.Patience == 0 {
		s.Patience = 10 * time.Second
	}
	if s.Settle == 0 {
		s.Settle = 500 * time.Millisecond
	}
	if s.Bubble == nil {
		s.Bubble = func(t *testing.T, f func(t *testing.T)) { f(t) }
	}
	for name := range s.Lacks {
		if cases[name] == nil {
			t.Errorf("the contract has no case %q", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if why, lacks := s.Lacks[name]; lacks {
			t.Logf("%s: this system has no such thing: %s", name, why)
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.Bubble(t, func(t *testing.T) { cases[name](&room{T: t, Bed: s.Bed(t), patience: s.Patience, settle: s.Settle}) })
		})
	}
}

// room is what one case has.
type room struct {
	*testing.T
	Bed
	patience time.Duration
	settle   time.Duration
}

// can is what the bed can do besides, or the end of the test.
func can[I any](c *room) I {
	c.Helper()
	able, ok := c.Bed.(I)
	if !ok {
		c.Fatalf("the bed cannot do this, and Suite.Lacks does not say why")
	}
	return able
}
