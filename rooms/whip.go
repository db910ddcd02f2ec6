package rooms

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

const (
	sdpType  = "application/sdp"
	maxOffer = 64 << 10
)

// whipSession is the resource of a stream published by WHIP (RFC 9725).
type whipSession struct {
	owner  *login
	stream *stream
}

// problem is a refusal as RFC 9457 has it; code is one of package signal's.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   int    `json:"code"`
}

// crossOrigin lets pages from anywhere use an endpoint: what authorizes a
// request is the token in it, never a cookie.
func (s *Service) crossOrigin(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "OPTIONS, POST, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Accept-Post, WWW-Authenticate")
		h.Set("Access-Control-Max-Age", "86400")
		if r.Method == http.MethodOptions {
			h.Set("Accept-Post", sdpType)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if !s.enter() {
			refuse(w, http.StatusServiceUnavailable, fault(signal.CodeInternal, "the room service is ending"))
			return
		}
		defer s.visitors.Done()
		if !s.guard(r.Method+" "+r.URL.Path, func() { serve(w, r) }) {
			refuse(w, http.StatusInternalServerError, fault(signal.CodeInternal, "internal error"))
		}
	}
}

func refuse(w http.ResponseWriter, status int, f *signal.Error) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="room"`)
	case http.StatusUnsupportedMediaType:
		w.Header().Set("Accept-Post", sdpType)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// The client is gone if this cannot be written.
	_ = json.NewEncoder(w).Encode(problem{Title: http.StatusText(status), Status: status, Detail: f.Message, Code: f.Code})
}

// statusOf is the HTTP status of a refusal.
func statusOf(f *signal.Error) int {
	switch f.Code {
	case signal.CodeTokenRequired, signal.CodeTokenFormat, signal.CodeTokenExpired, signal.CodeTokenAuthFailed:
		return http.StatusUnauthorized
	case signal.CodePublishAuthFailed, signal.CodePublishForbidden, signal.CodeRoomFull:
		return http.StatusForbidden
	case signal.CodeDuplicateStream, signal.CodeAlreadyPublishing, signal.CodeNotLoggedIn:
		return http.StatusConflict
	case signal.CodePlayNoSuchStream:
		return http.StatusNotFound
	case signal.CodePublishMediaFailed, signal.CodePlayFailed, signal.CodeInternal:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

func methodNotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	refuse(w, http.StatusMethodNotAllowed, fault(signal.CodeMethodNotFound, "only %s", allow))
}

// errand is what a WHIP or WHEP client asks for: the checked parts of its POST.
type errand struct {
	roomID, streamID string
	offer            string
	claims           token.Claims
}

// accept reads the POST of a WHIP or WHEP client. It has answered if not ok.
func (s *Service) accept(w http.ResponseWriter, r *http.Request) (e errand, ok bool) {
	if r.Method != http.MethodPost {
		methodNotAllowed(w, "OPTIONS, POST")
		return e, false
	}
	e.roomID, e.streamID = r.PathValue("roomID"), r.PathValue("streamID")
	f := checkRoomID(e.roomID)
	if f == nil {
		f = checkStreamID(e.streamID)
	}
	if f == nil {
		e.claims, f = s.admit(r.Context(), bearer(r), e.roomID, "")
	}
	if f != nil {
		refuse(w, statusOf(f), f)
		return e, false
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != sdpType {
		refuse(w, http.StatusUnsupportedMediaType, fault(signal.CodeInvalidRequest, "the body must be %s", sdpType))
		return e, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, fault(signal.CodeInvalidRequest, "the offer is longer than %d bytes", maxOffer))
		return e, false
	}
	e.offer = string(body)
	return e, true
}

func bearer(r *http.Request) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}

// created answers a POST with the SDP answer and the session's own address.
func created(w http.ResponseWriter, r *http.Request, session, answer string) {
	w.Header().Set("Content-Type", sdpType)
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+session)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func (s *Service) serveWHIP(w http.ResponseWriter, r *http.Request) {
	e, ok := s.accept(w, r)
	if !ok {
		return
	}
	session, answer, f := s.publishWHIP(r.Context(), e)
	if f != nil {
		refuse(w, statusOf(f), f)
		return
	}
	created(w, r, session, answer)
}

func (s *Service) publishWHIP(ctx context.Context, e errand) (session, answer string, f *signal.Error) {
	var l *login
	s.update(func() { l, f = s.openWHIP(e) })
	if f != nil {
		return "", "", f
	}
	f = s.publish(ctx, l, signal.PublishParams{StreamID: e.streamID, SDP: e.offer}, func(a string) {
		answer = a
		l.room.announce(l) // not before: a refused offer is no visit
	})
	s.update(func() {
		if f != nil {
			s.leaveIfIdle(l)
			return
		}
		st := l.streams[e.streamID]
		if st == nil {
			f = fault(signal.CodeNotLoggedIn, "the login ended meanwhile")
			return
		}
		delete(s.whips, st.whip)
		session = rand.Text()
		st.whip = session
		s.whips[session] = &whipSession{owner: l, stream: st}
	})
	return session, answer, f
}

// openWHIP finds the user's WHIP login in the room or makes it. As any login it
// ends one of the same user elsewhere.
func (s *Service) openWHIP(e errand) (*login, *signal.Error) {
	user := signal.User{UserID: e.claims.UserID, UserName: e.claims.UserID}
	if f := checkUser(user); f != nil {
		return nil, f
	}
	if !e.claims.MayPublish(e.streamID) {
		return nil, fault(signal.CodePublishAuthFailed, "the token does not allow to publish this stream")
	}
	if st := s.streams[e.streamID]; st != nil && st.owner.user.UserID != user.UserID {
		return nil, fault(signal.CodeDuplicateStream, "another user is publishing a stream of this streamID")
	}
	if len(s.whips)+len(s.wheps) >= s.cfg.MaxSessions {
		return nil, fault(signal.CodeInternal, "too many sessions")
	}
	if l := s.users[userKey(user.UserID, e.roomID, e.claims.Hidden)]; l != nil && l.whip && l.room.id == e.roomID && l.hidden == e.claims.Hidden {
		l.claims = e.claims
		return l, nil
	}
	l, f := s.open(signal.LoginParams{RoomID: e.roomID, User: user}, e.claims)
	if f != nil {
		return nil, f
	}
	l.whip = true
	return l, nil
}

// leaveIfIdle ends a WHIP login that publishes nothing any more.
func (s *Service) leaveIfIdle(l *login) {
	if !l.whip || len(l.streams) > 0 {
		return
	}
	for _, claimant := range s.claims {
		if claimant == l {
			return
		}
	}
	s.end(l, signal.DeletedByUser)
}

func (s *Service) serveWHIPSession(w http.ResponseWriter, r *http.Request) {
	found, remove := false, r.Method == http.MethodDelete
	s.update(func() {
		session := s.whips[r.PathValue("session")]
		if session == nil || session.stream.id != r.PathValue("streamID") || session.owner.room.id != r.PathValue("roomID") {
			return
		}
		found = true
		if remove {
			s.deleteStreams(session.owner.room, signal.DeletedByUser, session.stream)
			s.leaveIfIdle(session.owner)
		}
	})
	switch {
	case !found:
		refuse(w, http.StatusNotFound, fault(signal.CodeNotPublishing, "there is no such session"))
	case !remove:
		// RFC 9725, section 4.3: a server with neither trickle ICE nor ICE
		// restart, which ICE-lite does not need, refuses PATCH.
		methodNotAllowed(w, "OPTIONS, DELETE")
	default:
		w.WriteHeader(http.StatusOK)
	}
}
