package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mixdown/rooms"
	"mixdown/rooms/token"
	"mixdown/storage"
)

type roomList struct {
	Body struct {
		Rooms []rooms.Room `json:"rooms"`
	}
}

type roomID struct {
	RoomID string `path:"roomID" maxLength:"128"`
}

type roomOutput struct{ Body rooms.Room }

type roomUser struct {
	RoomID string `path:"roomID" maxLength:"128"`
	UserID string `path:"userID" maxLength:"64"`
}

type roomStream struct {
	RoomID   string `path:"roomID" maxLength:"128"`
	StreamID string `path:"streamID" maxLength:"256"`
}

type tokenInput struct {
	Body struct {
		RoomID     string   `json:"roomID" minLength:"1" maxLength:"128"`
		UserID     string   `json:"userID" minLength:"1" maxLength:"64"`
		Publish    *bool    `json:"publish,omitempty" doc:"May publish; true unless set to false."`
		Hidden     bool     `json:"hidden,omitempty" doc:"A recorder: not listed, not counted."`
		StreamIDs  []string `json:"streamIDs,omitempty" doc:"The streams that may be published; empty means any."`
		TTLSeconds int      `json:"ttlSeconds,omitempty" minimum:"1" maximum:"31536000" default:"3600"`
	}
}

type tokenOutput struct {
	Body struct {
		Token     string       `json:"token"`
		AppID     uint32       `json:"appID"`
		ExpiresAt storage.Time `json:"expiresAt"`
	}
}

func (s *server) roomRoutes() {
	register(s, http.MethodGet, "/v1/rooms", "list-rooms", "List the open rooms", s.listRooms)
	register(s, http.MethodGet, "/v1/rooms/{roomID}", "get-room", "Show a room", s.getRoom)
	register(s, http.MethodDelete, "/v1/rooms/{roomID}/users/{userID}", "kick-user", "Throw a user out", s.kickUser)
	register(s, http.MethodDelete, "/v1/rooms/{roomID}/streams/{streamID}", "remove-stream", "End a stream", s.removeStream)
	register(s, http.MethodPost, "/v1/tokens", "make-token", "Make a room login token", s.makeToken)
}

func (s *server) listRooms(context.Context, *struct{}) (*roomList, error) {
	out := &roomList{}
	out.Body.Rooms = s.Rooms.Rooms()
	return out, nil
}

func (s *server) getRoom(_ context.Context, in *roomID) (*roomOutput, error) {
	r, ok := s.Rooms.Room(in.RoomID)
	if !ok {
		return nil, newProblem(http.StatusNotFound, "room_not_found", "nobody is in room %q", in.RoomID)
	}
	return &roomOutput{r}, nil
}

func (s *server) kickUser(_ context.Context, in *roomUser) (*struct{}, error) {
	return nil, roomProblem(s.Rooms.KickUser(in.RoomID, in.UserID))
}

func (s *server) removeStream(_ context.Context, in *roomStream) (*struct{}, error) {
	return nil, roomProblem(s.Rooms.RemoveStream(in.RoomID, in.StreamID))
}

func roomProblem(err error) error {
	switch {
	case errors.Is(err, rooms.ErrNoRoom):
		return newProblem(http.StatusNotFound, "room_not_found", "%s", err)
	case errors.Is(err, rooms.ErrNoUser):
		return newProblem(http.StatusNotFound, "user_not_found", "%s", err)
	case errors.Is(err, rooms.ErrNoStream):
		return newProblem(http.StatusNotFound, "stream_not_found", "%s", err)
	}
	return problemOf(err)
}

func (s *server) makeToken(_ context.Context, in *tokenInput) (*tokenOutput, error) {
	b := in.Body
	now := time.Now()
	expires := now.Add(time.Duration(b.TTLSeconds) * time.Second)
	t, err := s.Rooms.MintToken(token.Claims{
		UserID: b.UserID, RoomID: b.RoomID, Login: true, Publish: b.Publish == nil || *b.Publish,
		Hidden: b.Hidden, StreamIDs: b.StreamIDs, Created: now, Expires: expires,
	})
	if err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, "invalid_token", "%s", err)
	}
	out := &tokenOutput{}
	out.Body.Token, out.Body.AppID, out.Body.ExpiresAt = t, s.Rooms.AppID(), storage.At(expires.Truncate(time.Second))
	return out, nil
}
