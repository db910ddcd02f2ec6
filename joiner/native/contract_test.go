package native_test

import (
	"testing"
	"testing/synctest"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/roomstest"
)

// TestContract: our own rooms keep what package joinertest asks of every room
// system.
func TestContract(t *testing.T) {
	joinertest.Suite{
		Bubble: synctest.Test,
		Bed: func(t *testing.T) joinertest.Bed {
			bed := roomstest.New(t)
			return contractBed{t, bed, bed.Host()}
		},
	}.Run(t)
}

type contractBed struct {
	t    *testing.T
	bed  *roomstest.Bed
	host *roomstest.Host // the recorder's
}

func (b contractBed) Recorder() (joiner.System, joiner.Login) {
	return b.host.System, b.bed.Login("standup", "recorder", true)
}

func (b contractBed) Speaker(userID string) joinertest.Speaker {
	return contractSpeaker{b.bed.Speaker("standup", userID), userID}
}

func (b contractBed) Break() { b.host.Link.Cut(true) }
func (b contractBed) Mend()  { b.host.Link.Cut(false) }

func (b contractBed) Kick() { b.kick("recorder") }

// EndRoom throws everybody out: a room ends with its last user, and a hidden
// recorder is none.
func (b contractBed) EndRoom() {
	room, _ := b.bed.Service().Room("standup")
	for _, u := range room.Users {
		b.kick(u.ID)
	}
}

func (b contractBed) kick(userID string) {
	if err := b.bed.Service().KickUser("standup", userID); err != nil {
		b.t.Error(err)
	}
}

func (b contractBed) WrongToken() joiner.Login {
	login := b.bed.Login("standup", "recorder", true)
	login.Token = func() (string, error) { return b.bed.Token("standup", "somebody-else", true) }
	return login
}

func (b contractBed) Listen(streamID string) func() []int64 {
	ann := join(b.t, b.bed, b.bed.Host(), b.bed.Login("standup", "ann", true)).connected(b.t)
	return func() []int64 { return ann.Of(streamID).Numbers() }
}

type contractSpeaker struct {
	*roomstest.Speaker
	userID string
}

func (s contractSpeaker) Stream() joiner.Stream {
	return joiner.Stream{ID: s.StreamID, User: joiner.User{ID: s.userID}}
}
