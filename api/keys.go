package api

import (
	"context"
	"errors"
	"net/http"

	"mixdown/access"
	"mixdown/storage"
)

type keyInput struct {
	Body struct {
		Name    string        `json:"name" minLength:"1" maxLength:"100" doc:"What it is for."`
		Roles   []access.Role `json:"roles" minItems:"1" enum:"operator,reviewer,exporter,compliance,auditor,admin"`
		Rooms   []string      `json:"rooms,omitempty" doc:"Patterns of room ids (* and ? as in file names); none means all rooms."`
		Expires *storage.Time `json:"expiresAt,omitempty"`
	}
}

type keyOutput struct {
	Status int
	Body   struct {
		access.Key
		Secret string `json:"key" doc:"The key itself; it is never shown again."`
	}
}

type keyList struct {
	Body struct {
		Keys []access.Key `json:"keys"`
	}
}

type keyID struct {
	ID string `path:"id" maxLength:"64"`
}

type meOutput struct {
	Body struct {
		ID     string         `json:"id"`
		Name   string         `json:"name"`
		Roles  []access.Role  `json:"roles"`
		Rooms  []string       `json:"rooms" doc:"Patterns; none means all rooms."`
		Rights []access.Right `json:"rights"`
	}
}

func (s *server) accessRoutes() {
	register(s, http.MethodGet, "/v1/me", "who-am-i", "Who this key is, and what it may do", s.whoAmI)
	register(s, http.MethodGet, "/v1/api-keys", "list-keys", "List the API keys, without secrets", s.listKeys)
	register(s, http.MethodPost, "/v1/api-keys", "make-key", "Make an API key; its secret is shown once", s.makeKey)
	register(s, http.MethodDelete, "/v1/api-keys/{id}", "revoke-key", "Revoke an API key at once", s.revokeKey)
	register(s, http.MethodPost, "/v1/session", "begin-session", "Begin a browser's session: a cookie that reads as this key does, for twelve hours", s.beginSession)
	register(s, http.MethodDelete, "/v1/session", "end-session", "End the browser's session", s.endSession)
}

func (s *server) whoAmI(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p := access.From(ctx)
	out := &meOutput{}
	out.Body.ID, out.Body.Name, out.Body.Roles, out.Body.Rooms, out.Body.Rights = p.ID, p.Name, p.Roles, p.Rooms, p.Rights()
	if out.Body.Rooms == nil {
		out.Body.Rooms = []string{}
	}
	return out, nil
}

func (s *server) listKeys(context.Context, *struct{}) (*keyList, error) {
	out := &keyList{}
	out.Body.Keys = s.Keys.List()
	return out, nil
}

func (s *server) makeKey(ctx context.Context, in *keyInput) (*keyOutput, error) {
	wanted := access.Key{Name: in.Body.Name, Roles: in.Body.Roles, Rooms: in.Body.Rooms, Expires: in.Body.Expires}
	made, secret, err := s.Keys.Make(wanted, access.From(ctx).Actor())
	if errors.Is(err, access.ErrInvalid) {
		return nil, newProblem(http.StatusUnprocessableEntity, "invalid_key", "%s", err)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	s.Log.Info("API key made", "key", made.ID, "name", made.Name, "roles", roleNames(made.Roles), "by", made.By)
	out := &keyOutput{Status: http.StatusCreated}
	out.Body.Key, out.Body.Secret = made, secret
	return out, nil
}

func (s *server) revokeKey(ctx context.Context, in *keyID) (*struct{}, error) {
	err := s.Keys.Revoke(in.ID)
	if errors.Is(err, access.ErrUnknown) {
		return nil, newProblem(http.StatusNotFound, "key_not_found", "%s; the daemon's own key is revoked by changing it where it is configured", err)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	s.Log.Info("API key revoked", "key", in.ID, "by", access.From(ctx).Actor())
	return nil, nil
}

type sessionOutput struct {
	Cookie http.Cookie `header:"Set-Cookie"`
}

func (s *server) cookie(secret string, age int) *sessionOutput {
	return &sessionOutput{http.Cookie{
		Name: sessionCookie, Value: secret, Path: "/v1", MaxAge: age,
		HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode,
	}}
}

func (s *server) beginSession(ctx context.Context, _ *struct{}) (*sessionOutput, error) {
	secret, ok := s.sessions.Begin(access.From(ctx))
	if !ok {
		return nil, newProblem(http.StatusServiceUnavailable, "too_many_sessions", "too many sessions are open; try again later")
	}
	return s.cookie(secret, int(access.SessionTime.Seconds())), nil
}

type sessionInput struct {
	Cookie string `cookie:"mixdown_session"`
}

func (s *server) endSession(_ context.Context, in *sessionInput) (*sessionOutput, error) {
	s.sessions.End(in.Cookie)
	return s.cookie("", -1), nil
}
