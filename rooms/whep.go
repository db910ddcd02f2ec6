package rooms

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"

	"mixdown/rooms/signal"
)

// whepSession is the resource of a stream played by WHEP. Its listener is no
// user of the room; it hears one feed and ends with it.
type whepSession struct {
	id     string
	roomID string
	userID string
	stream *stream
	media  io.Closer
	ended  bool
}

func (s *Service) serveWHEP(w http.ResponseWriter, r *http.Request) {
	e, ok := s.accept(w, r)
	if !ok {
		return
	}
	session, answer, f := s.playWHEP(r.Context(), e)
	if f != nil {
		refuse(w, statusOf(f), f)
		return
	}
	created(w, r, session, answer)
}

func (s *Service) playWHEP(ctx context.Context, e errand) (session, answer string, f *signal.Error) {
	if e.offer == "" {
		return "", "", fault(signal.CodePlayBadSDP, "the offer is empty")
	}
	var st *stream
	var fd *feed
	s.locked(func() {
		switch st = s.streams[e.streamID]; {
		case st == nil || st.room().id != e.roomID || st.feed.dead:
			f = fault(signal.CodePlayNoSuchStream, "there is no such stream in the room")
		case len(s.whips)+len(s.wheps) >= s.cfg.MaxSessions:
			f = fault(signal.CodeInternal, "too many sessions")
		default:
			fd = st.feed
		}
	})
	if f != nil {
		return "", "", f
	}
	ws := &whepSession{id: rand.Text(), roomID: e.roomID, userID: e.claims.UserID, stream: st}
	answer, media, err := s.cfg.Media.Whep(ctx, e.offer, fd.up, func(error) {
		s.events.add(func() { s.update(func() { s.closeWHEP(ws) }) })
	})
	if err != nil {
		return "", "", mediaFault(err, signal.CodePlayBadSDP, signal.CodePlayFailed)
	}
	s.update(func() {
		ws.media = media
		if ws.ended || s.closed || st.ended || st.feed != fd {
			ws.ended = false
			s.closeWHEP(ws)
			f = fault(signal.CodePlayNoSuchStream, "the stream ended meanwhile")
			return
		}
		s.wheps[ws.id] = ws
		st.wheps[ws] = struct{}{}
	})
	return ws.id, answer, f
}

// closeWHEP ends a session. If its media ended before the session was known,
// ended is all that is noted.
func (s *Service) closeWHEP(w *whepSession) {
	if w.ended {
		return
	}
	w.ended = true
	delete(s.wheps, w.id)
	delete(w.stream.wheps, w)
	if media := w.media; media != nil {
		s.graves.add(func() {
			if err := media.Close(); err != nil {
				s.log.Warn("close WHEP session", "error", err)
			}
		})
	}
}

func (s *Service) serveWHEPSession(w http.ResponseWriter, r *http.Request) {
	found, remove := false, r.Method == http.MethodDelete
	s.update(func() {
		session := s.wheps[r.PathValue("session")]
		if session == nil || session.stream.id != r.PathValue("streamID") || session.roomID != r.PathValue("roomID") {
			return
		}
		found = true
		if remove {
			s.closeWHEP(session)
		}
	})
	switch {
	case !found: // whatever the method: a client may want to know no more
		refuse(w, http.StatusNotFound, fault(signal.CodePlayNoSuchStream, "there is no such session"))
	case !remove:
		methodNotAllowed(w, "OPTIONS, DELETE")
	default:
		w.WriteHeader(http.StatusOK)
	}
}
