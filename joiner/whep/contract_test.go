package whep_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/whep"
	"mixdown/rooms/roomstest"
)

// TestContract: streams played by WHEP keep what package joinertest asks of
// every room system. Their server is our own room service.
func TestContract(t *testing.T) {
	joinertest.Suite{
		Bubble: synctest.Test,
		Bed:    func(t *testing.T) joinertest.Bed { return newBed(t) },
		Lacks: map[string]string{
			"Kick":    "who plays by WHEP is no user that could be thrown out; a server refuses the next session instead (WrongToken)",
			"Publish": "WHEP only plays; what is published goes to a WHIP endpoint, see TestPush",
		},
	}.Run(t)
}

// bed is a room service whose streams are played by WHEP.
type bed struct {
	*roomstest.Bed
	t      *testing.T
	host   *roomstest.Host // the recorder's
	system *whep.System
}

func newBed(t *testing.T) *bed {
	rooms := roomstest.New(t)
	host := rooms.Host()
	return &bed{rooms, t, host, systemOn(rooms, host)}
}

// systemOn is a System on a host of a room service's.
func systemOn(rooms *roomstest.Bed, host *roomstest.Host) *whep.System {
	return whep.New(whep.Config{Listen: host.Listen, Net: rooms.Net(), Transport: host.HTTP.Transport, Log: rooms.Log})
}

// login is a login to the voices of these users.
func (b *bed) login(users ...string) joiner.Login {
	l := joiner.Login{RoomID: "stage", UserID: "recorder", Token: func() (string, error) { return "", nil }}
	token, err := b.Token("standup", "recorder", true)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, u := range users {
		l.Streams = append(l.Streams, joiner.Endpoint{StreamID: u + "-voice", URL: "http://room.test/whep/standup/" + u + "-voice", Token: token})
	}
	return l
}

func (b *bed) Recorder() (joiner.System, joiner.Login) {
	users := []string{"ann", "bob"}
	if strings.Contains(b.t.Name(), "50Streams") {
		users = nil
		for i := range 50 {
			users = append(users, fmt.Sprint("user", i))
		}
	}
	return b.system, b.login(users...)
}

func (b *bed) Speaker(userID string) joinertest.Speaker {
	return speaker{b.Bed.Speaker("standup", userID)}
}

func (b *bed) Break() { b.host.Link.Cut(true) }
func (b *bed) Mend()  { b.host.Link.Cut(false) }

// EndRoom throws everybody out.
func (b *bed) EndRoom() {
	room, _ := b.Service().Room("standup")
	for _, u := range room.Users {
		if err := b.Service().KickUser("standup", u.ID); err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bed) WrongToken() joiner.Login {
	l := b.login("ann", "bob")
	for i := range l.Streams {
		l.Streams[i].Token = "04nonsense"
	}
	l.Token = func() (string, error) { return "04nonsense", nil } // that no error may show
	return l
}

type speaker struct{ *roomstest.Speaker }

func (s speaker) Stream() joiner.Stream {
	return joiner.Stream{ID: s.StreamID, User: joiner.User{ID: s.StreamID}}
}
