package livekit

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/livekit/protocol/auth"

	"mixdown/joiner"
)

// tokenLife is how long a token can be used to log in; who is in stays.
const tokenLife = 10 * time.Minute

// Credentials are an API key of a LiveKit server and its secret.
type Credentials struct{ Key, Secret string }

// LogValue implements slog.LogValuer: the secret is not shown.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.Key) }

// String implements fmt.Stringer, likewise.
func (c Credentials) String() string { return c.Key }

// speakerSuffix marks the user that publishes what a hidden recorder mixes.
const speakerSuffix = "-mix"

// Token makes the token of a login.
func (c Credentials) Token(l joiner.Login) (string, error) {
	g := &auth.VideoGrant{RoomJoin: true, Room: l.RoomID, Hidden: l.Hidden, Recorder: true}
	g.SetCanSubscribe(true)
	g.SetCanPublish(!l.Hidden)
	g.SetCanPublishData(false)
	g.SetCanUpdateOwnMetadata(!l.Hidden)
	return c.sign(g, l.UserID, l.UserName)
}

// speaker makes the token of who publishes what a hidden login mixes.
func (c Credentials) speaker(l joiner.Login) (string, error) {
	g := &auth.VideoGrant{RoomJoin: true, Room: l.RoomID, Recorder: true}
	g.SetCanSubscribe(false)
	g.SetCanPublish(true)
	g.SetCanPublishData(false)
	g.SetCanUpdateOwnMetadata(true)
	return c.sign(g, l.UserID+speakerSuffix, l.UserName)
}

func (c Credentials) sign(g *auth.VideoGrant, identity, name string) (string, error) {
	token, err := auth.NewAccessToken(c.Key, c.Secret).SetIdentity(identity).SetName(name).
		SetVideoGrant(g).SetValidFor(tokenLife).ToJWT()
	if err != nil {
		return "", fmt.Errorf("make token for LiveKit room %s: %w", g.Room, err)
	}
	return token, nil
}
