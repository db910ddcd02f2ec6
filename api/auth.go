package api

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/access"
)

// sessionCookie carries a browser's session. It is good for reading only, so
// no other site can make a browser change something.
const sessionCookie = "mixdown_session"

// who finds out who makes a request: by the key, or by the session of a
// browser that only reads.
func (s *server) who(r *http.Request) (access.Principal, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		secret, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return access.Principal{}, false
		}
		return s.Keys.Find(secret)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return access.Principal{}, false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return access.Principal{}, false
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return access.Principal{}, false
	}
	return s.sessions.Find(c.Value)
}

// keyed says that a request carries a good key.
func (s *server) keyed(r *http.Request) bool {
	_, ok := s.who(r)
	return ok
}

// identify is who, and answers a request without a good key; one who tries many
// has to wait.
func (s *server) identify(w http.ResponseWriter, r *http.Request) (access.Principal, bool) {
	from := remoteAddr(r)
	if wait := s.throttle.Wait(from); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		newProblem(http.StatusTooManyRequests, "too_many_wrong_keys", "too many wrong keys from %s; wait %s", from, wait.Round(1e9)).serve(w)
		return access.Principal{}, false
	}
	p, ok := s.who(r)
	if !ok {
		if r.Header.Get("Authorization") != "" {
			s.throttle.Denied(from)
		}
		refuse(w, "this needs an API key: Authorization: Bearer <key>; the daemon keeps its key in <data>/api-key")
		return access.Principal{}, false
	}
	s.throttle.Allowed(from)
	return p, true
}

// authorize lets a request through that carries a key with the right that its
// operation needs, for the room that it is about.
func (s *server) authorize(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	p, ok := s.identify(w, r)
	if !ok {
		return
	}
	op := ctx.Operation().OperationID
	if right := operationRights[op]; right == "" && !p.Has(access.SetKeys) || right != "" && !p.Has(right) {
		forbid(p, right).serve(w)
		return
	}
	if err := s.scope(ctx, p); err != nil {
		err.serve(w)
		return
	}
	known := access.With(ctx.Context(), p)
	if lasting[op] {
		good, end := s.whileGood(known, r)
		defer end()
		known = good
	}
	next(huma.WithContext(ctx, known))
}

// stillGood is how often what lasts asks whether it may go on.
const stillGood = time.Second

// whileGood ends with the key or the session that a request came with.
func (s *server) whileGood(ctx context.Context, r *http.Request) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	tick := time.NewTicker(stillGood)
	go func() { // ends with ctx
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !s.keyed(r) {
					end()
				}
			}
		}
	}()
	return ctx, end
}

// lasting are the operations that go on until somebody has enough. Their bodies
// end with the context that they get.
var lasting = map[string]bool{"listen": true, "listen-ws": true, "list-events": true, "capture-events": true, "follow-meters": true}

func forbid(p access.Principal, right access.Right) *problem {
	return newProblem(http.StatusForbidden, "forbidden", "key %s (roles %s) has no right %s; an admin can make a key that has it", p.ID, roleNames(p.Roles), right)
}

func roleNames(roles []access.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// scope keeps a key for some rooms away from the others: what it may not see
// is not there.
func (s *server) scope(ctx huma.Context, p access.Principal) *problem {
	if p.Everywhere() {
		return nil
	}
	op := ctx.Operation()
	switch id := ctx.Param("id"); {
	case wholeDaemon[op.OperationID]:
		return newProblem(http.StatusForbidden, "foreign_room", "this call concerns all rooms; key %s is for %s only", p.ID, strings.Join(p.Rooms, ", "))
	case ctx.Param("roomID") != "" && !p.In(ctx.Param("roomID")):
		return newProblem(http.StatusNotFound, "room_not_found", "nobody is in room %q", ctx.Param("roomID"))
	case strings.HasPrefix(op.Path, "/v1/captures/{id}") || strings.HasPrefix(op.Path, "/v1/recordings/{id}"):
		c, err := s.Captures.Get(id)
		if known := err == nil; !known || p.In(c.Status().Room.RoomID) {
			return nil // what is not known, the call itself says
		}
		if strings.HasPrefix(op.Path, "/v1/recordings") {
			return newProblem(http.StatusNotFound, "recording_not_found", "there is no recording %q", id)
		}
		return newProblem(http.StatusNotFound, "capture_not_found", "%q: no such capture", id)
	}
	return nil
}

// inRoom refuses what a request's body says of a room that its key is not for.
func inRoom(ctx context.Context, roomID string) error {
	if p := access.From(ctx); !p.In(roomID) {
		return newProblem(http.StatusForbidden, "foreign_room", "room %q: key %s is for %s only", roomID, p.ID, strings.Join(p.Rooms, ", "))
	}
	return nil
}

func remoteAddr(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv6Loopback() // a test without a network
	}
	return a.Addr()
}

// operationRights is what each operation needs. One that is missing here needs
// an admin; a test finds it.
var operationRights = map[string]access.Right{
	"put-capture": access.RunCaptures, "post-capture": access.RunCaptures, "stop-capture": access.RunCaptures,
	"patch-capture": access.RunCaptures, "pause-capture": access.RunCaptures, "resume-capture": access.RunCaptures,
	"follow-meters": access.SeeCaptures,
	"list-captures": access.SeeCaptures, "get-capture": access.SeeCaptures, "listen": access.Listen, "listen-ws": access.Listen,
	"list-recordings": access.SeeRecordings, "get-recording": access.SeeRecordings, "verify-recording": access.SeeRecordings,
	"get-file": access.Play, "get-overview": access.Play, "erase-recording": access.Dispose,
	"list-rooms": access.SeeRooms, "get-room": access.SeeRooms, "kick-user": access.Moderate, "remove-stream": access.Moderate,
	"get-spool":  access.Operate,
	"list-holds": access.Dispose, "get-hold": access.Dispose, "put-hold": access.Dispose, "delete-hold": access.Dispose,
	"get-retention": access.SeeRecordings, "patch-recording": access.Dispose, "delete-recording": access.Dispose,
	"get-disposal": access.SeeRecordings, "get-disposal-signature": access.SeeRecordings,
	"list-audit": access.SeeAudit, "export-audit": access.SeeAudit, "note-act": access.Dispose,
	"make-token":  access.MintTokens,
	"list-events": access.SeeEvents, "capture-events": access.SeeEvents,
	"list-webhooks": access.SetWebhooks, "get-webhook": access.SetWebhooks, "put-webhook": access.SetWebhooks, "delete-webhook": access.SetWebhooks,
	"rotate-webhook": access.SetWebhooks, "test-webhook": access.SetWebhooks,
	"list-dead-letters": access.SetWebhooks, "resend-dead-letters": access.SetWebhooks, "resend-dead-letter": access.SetWebhooks,
	"list-rules": access.SeeRules, "get-rule": access.SeeRules, "explain-rules": access.SeeRules,
	"capacity":     access.Operate,
	"completeness": access.SeeAudit, "completeness-page": access.SeeAudit,
	"put-rule": access.SetRules, "delete-rule": access.SetRules,
	"list-keys": access.SetKeys, "make-key": access.SetKeys, "revoke-key": access.SetKeys,
	"list-signing-keys": access.Any, "who-am-i": access.Any, "begin-session": access.Any, "end-session": access.Any,
}

// wholeDaemon are the operations that a key for some rooms cannot have: they
// concern what all rooms share.
var wholeDaemon = map[string]bool{
	"list-holds": true, "get-hold": true, "put-hold": true, "delete-hold": true, "list-audit": true, "export-audit": true, "note-act": true,
	"completeness": true, "completeness-page": true,
	"list-webhooks": true, "get-webhook": true, "put-webhook": true, "delete-webhook": true, "rotate-webhook": true, "test-webhook": true,
	"list-dead-letters": true, "resend-dead-letters": true, "resend-dead-letter": true,
	"list-rules": true, "get-rule": true, "explain-rules": true, "put-rule": true, "delete-rule": true,
}
