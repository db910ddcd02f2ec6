package livekit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/livekit/protocol/auth"

	"mixdown/joiner"
)

// TestTokens: the recorder is hidden and may not publish, who publishes for it
// is seen and may not listen; both are recorders. The secret is never shown.
func TestTokens(t *testing.T) {
	c := Credentials{Key: "key", Secret: "the-secret-canary-0123456789abcdef"}
	l := joiner.Login{RoomID: "r", UserID: "recorder-7", UserName: "Recorder", Hidden: true}
	for name, make := range map[string]func(joiner.Login) (string, error){"recorder-7": c.Token, "recorder-7-mix": c.speaker} {
		token, err := make(l)
		if err != nil {
			t.Fatal(err)
		}
		v, err := auth.ParseAPIToken(token)
		if err != nil {
			t.Fatal(err)
		}
		_, grants, err := v.Verify(c.Secret)
		if err != nil {
			t.Fatal(err)
		}
		g, listens := grants.Video, name == "recorder-7"
		if grants.Identity != name || g.Room != "r" || !g.RoomJoin || !g.Recorder || g.RoomAdmin || g.Hidden != listens ||
			g.GetCanSubscribe() != listens || g.GetCanPublish() == listens || g.GetCanPublishData() {
			t.Errorf("%s: %+v, %+v", name, grants, g)
		}
	}
	if shown := fmt.Sprintf("%v %+v %s", c, c, c); strings.Contains(shown, "canary") {
		t.Errorf("shown as %s", shown)
	}
}

// TestRefreshedToken: a login by a given token comes back with the one that the
// server replaced it by.
func TestRefreshedToken(t *testing.T) {
	s := New(Config{})
	if got := s.latest("given"); got != "given" {
		t.Errorf("at first %q", got)
	}
	s.refresh("given", "second")
	s.refresh("given", "third")
	s.refresh("other", "else")
	if got := s.latest("given"); got != "third" {
		t.Errorf("then %q", got)
	}
}
