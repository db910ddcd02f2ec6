package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mixdown/access"
	"mixdown/rooms"
	"mixdown/rooms/token"
	"mixdown/storage"
)

// room is a room as the API shows it: with times to the millisecond.
type room struct {
	ID        string       `json:"roomID"`
	Created   storage.Time `json:"createdAt"`
	Online    int          `json:"onlineUsers"`
	Recording indicator    `json:"recording"`
	Users     []roomLogin  `json:"users"`
	Streams   []roomStream `json:"streams"`
}

type roomLogin struct {
	ID        string       `json:"userID"`
	Name      string       `json:"userName"`
	Since     storage.Time `json:"loggedInAt"`
	Connected bool         `json:"connected" doc:"False while the user dropped and may still come back."`
}

type roomStream struct {
	ID        string       `json:"streamID"`
	UserID    string       `json:"userID"`
	UserName  string       `json:"userName"`
	ExtraInfo string       `json:"extraInfo"`
	Since     storage.Time `json:"publishedAt"`
	Live      bool         `json:"live" doc:"Media flows."`
	Level     int          `json:"level" doc:"In dBov, -127 to 0."`
}

// indicator is true, false or "paused".
type indicator struct{ rooms.Indicator }

// Schema implements huma.SchemaProvider.
func (indicator) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "Whether the room is being recorded.",
		OneOf:       []*huma.Schema{{Type: huma.TypeBoolean}, {Type: huma.TypeString, Enum: []any{"paused"}}},
	}
}

func describe(r rooms.Room) room {
	out := room{
		ID: r.ID, Created: storage.At(r.Created), Online: r.Online, Recording: indicator{r.Recording},
		Users: []roomLogin{}, Streams: []roomStream{},
	}
	for _, u := range r.Users {
		out.Users = append(out.Users, roomLogin{u.ID, u.Name, storage.At(u.Since), u.Connected})
	}
	for _, s := range r.Streams {
		out.Streams = append(out.Streams, roomStream{s.ID, s.UserID, s.UserName, s.ExtraInfo, storage.At(s.Since), s.Live, s.Level})
	}
	return out
}

type roomFilter struct {
	Unrecorded bool   `query:"unrecorded" doc:"Only rooms that nobody records."`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor     string `query:"cursor" doc:"nextCursor of the page before."`
}

type roomList struct {
	Body struct {
		Rooms      []room `json:"rooms"`
		NextCursor string `json:"nextCursor,omitempty" doc:"Missing on the last page."`
	}
}

type roomID struct {
	RoomID string `path:"roomID" maxLength:"128"`
}

type roomOutput struct{ Body room }

type userOfRoom struct {
	RoomID string `path:"roomID" maxLength:"128"`
	UserID string `path:"userID" maxLength:"64"`
}

type streamOfRoom struct {
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
	register(s, http.MethodGet, "/v1/rooms", "list-rooms", "List the open rooms by id", s.listRooms)
	register(s, http.MethodGet, "/v1/rooms/{roomID}", "get-room", "Show a room", s.getRoom)
	register(s, http.MethodDelete, "/v1/rooms/{roomID}/users/{userID}", "kick-user", "Throw a user out", s.kickUser)
	register(s, http.MethodDelete, "/v1/rooms/{roomID}/streams/{streamID}", "remove-stream", "End a stream", s.removeStream)
	register(s, http.MethodPost, "/v1/tokens", "make-token", "Make a room login token", s.makeToken)
}

// listRooms pages by the rooms' ids: rooms come and go between two pages.
func (s *server) listRooms(ctx context.Context, in *roomFilter) (*roomList, error) {
	out := &roomList{}
	out.Body.Rooms = []room{}
	for _, r := range s.Rooms.Rooms() {
		if r.ID <= in.Cursor || !access.From(ctx).In(r.ID) || in.Unrecorded && r.Recording != rooms.NotRecording {
			continue
		}
		if len(out.Body.Rooms) == in.Limit {
			out.Body.NextCursor = out.Body.Rooms[in.Limit-1].ID
			break
		}
		out.Body.Rooms = append(out.Body.Rooms, describe(r))
	}
	return out, nil
}

func (s *server) getRoom(_ context.Context, in *roomID) (*roomOutput, error) {
	r, ok := s.Rooms.Room(in.RoomID)
	if !ok {
		return nil, newProblem(http.StatusNotFound, "room_not_found", "nobody is in room %q", in.RoomID)
	}
	return &roomOutput{describe(r)}, nil
}

func (s *server) kickUser(_ context.Context, in *userOfRoom) (*struct{}, error) {
	return nil, roomProblem(s.Rooms.KickUser(in.RoomID, in.UserID))
}

func (s *server) removeStream(_ context.Context, in *streamOfRoom) (*struct{}, error) {
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

func (s *server) makeToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	b := in.Body
	if err := inRoom(ctx, b.RoomID); err != nil {
		return nil, err
	}
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
