package livekit

import (
	"log/slog"
	"slices"
	"testing"

	lk "github.com/livekit/protocol/livekit"

	"mixdown/joiner/joinertest"
	"mixdown/joiner/track"
)

// TestNewsOfAResumption: after signalling was away the server tells who left,
// then who is there, then of the room. Nobody who is there leaves by that, in
// whatever pieces it comes, and who is missing does.
func TestNewsOfAResumption(t *testing.T) {
	person := func(identity string) *lk.ParticipantInfo {
		return &lk.ParticipantInfo{Sid: "PA_" + identity, Identity: identity, Tracks: []*lk.TrackInfo{{Sid: "TR_" + identity, Type: lk.TrackType_AUDIO}}}
	}
	left := func(identity string) *lk.ParticipantInfo {
		return &lk.ParticipantInfo{Sid: "PA_" + identity, Identity: identity, State: lk.ParticipantInfo_DISCONNECTED, Version: 9}
	}
	for name, row := range map[string]struct {
		told [][]*lk.ParticipantInfo
		want []string
	}{
		"one left":           {[][]*lk.ParticipantInfo{{left("bob")}, {person("ann")}}, []string{"end TR_bob: ", "- bob"}},
		"one is forgotten":   {[][]*lk.ParticipantInfo{{person("ann")}}, []string{"end TR_bob: gone while signalling was away", "- bob"}},
		"all left":           {[][]*lk.ParticipantInfo{{left("ann"), left("bob")}}, []string{"end TR_ann: ", "- ann", "end TR_bob: ", "- bob"}},
		"nothing is told":    {nil, nil},
		"one came, one left": {[][]*lk.ParticipantInfo{{left("bob")}, {person("ann"), person("cat")}}, []string{"end TR_bob: ", "- bob", "+ cat", "stream TR_cat"}},
	} {
		t.Run(name, func(t *testing.T) {
			ear := joinertest.NewEar()
			ear.Refuse = true
			c := &connection{room: ear, log: slog.New(slog.DiscardHandler), self: &lk.ParticipantInfo{Identity: "recorder"}}
			c.player = newPlayer(track.Source{}, nil, c.log, func(error) {})
			c.people = newPeople(c)
			c.people.all([]*lk.ParticipantInfo{person("ann"), person("bob")})
			ear.Take()
			c.people.resumed()
			for _, list := range row.told {
				if err := c.message(&lk.SignalResponse{Message: &lk.SignalResponse_Update{Update: &lk.ParticipantUpdate{Participants: list}}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.message(&lk.SignalResponse{Message: &lk.SignalResponse_RoomUpdate{}}); err != nil {
				t.Fatal(err)
			}
			if told := ear.Take(); !slices.Equal(told, row.want) {
				t.Errorf("told %q, want %q", told, row.want)
			}
			// Later news of one is not about everybody.
			c.people.update([]*lk.ParticipantInfo{person("dan")})
			_ = c.message(&lk.SignalResponse{Message: &lk.SignalResponse_RoomUpdate{}})
			if told := ear.Take(); !slices.Equal(told, []string{"+ dan", "stream TR_dan"}) {
				t.Errorf("later told %q", told)
			}
		})
	}
}
