package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/servertest"
)

// spec is a capture of a room, as a body.
func spec(room string) map[string]any {
	return map[string]any{
		"room":   map[string]any{"roomID": room},
		"record": []any{map[string]any{"what": "mix", "segmentSeconds": 2}, map[string]any{"what": "streams", "segmentSeconds": 2}},
	}
}

func with(body map[string]any, key string, value any) map[string]any {
	body[key] = value
	return body
}

// TestStartIsIdempotent: one id is one capture, whoever asks how often.
func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	first := decode[capture.Status](h.ask("PUT", "/v1/captures/a", spec("r")).ok(201))
	// The same meaning in other words: defaults spelled out.
	same := spec("r")
	same["room"] = map[string]any{"roomID": "r", "system": "mixdown"}
	same["limits"] = map[string]any{"maxSeconds": 14400}
	second := decode[capture.Status](h.ask("PUT", "/v1/captures/a", same).ok(200))
	if first.ID != "a" || second.ID != "a" || !first.Start.Equal(second.Start.Time) {
		t.Errorf("first %s at %s, then %s at %s", first.ID, first.Start, second.ID, second.Start)
	}
	conflict := h.ask("PUT", "/v1/captures/a", with(spec("r"), "mix", map[string]any{"channels": 1})).problem(409, "capture_conflict")
	if !strings.Contains(string(conflict.body), "mix.channels") {
		t.Errorf("the conflict does not name the difference: %s", conflict.body)
	}

	var wg sync.WaitGroup
	statuses := make([]int, 100)
	for i := range statuses {
		wg.Go(func() {
			a := h.ask("PUT", "/v1/captures/many", spec("r2"))
			statuses[i] = a.status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if statuses[0] != 200 || statuses[98] != 200 || statuses[99] != 201 {
		t.Errorf("100 starts at once: %v, want 99 times 200 and once 201", statuses)
	}
	posted := decode[capture.Status](h.ask("POST", "/v1/captures", spec("r")).ok(201))
	again := decode[capture.Status](h.ask("POST", "/v1/captures", spec("r")).ok(201))
	if posted.ID == "" || posted.ID == again.ID {
		t.Errorf("POST made the ids %q and %q", posted.ID, again.ID)
	}
	list := decode[struct{ Captures []capture.Status }](h.ask("GET", "/v1/captures", nil).ok(200))
	if len(list.Captures) != 4 {
		t.Errorf("there are %d captures, want 4", len(list.Captures))
	}
	for range 2 {
		st := decode[capture.Status](h.ask("POST", "/v1/captures/a/stop", nil).ok(200))
		if st.State != capture.Complete || st.End == nil || !st.Start.Equal(first.Start.Time) {
			t.Errorf("stopped: %s, end %v", st.State, st.End)
		}
	}
	if st := decode[capture.Status](h.ask("PUT", "/v1/captures/a", spec("r")).ok(200)); st.State != capture.Complete {
		t.Errorf("a start of an ended capture: %s", st.State)
	}
}

// TestBadRequests: every error is a problem with a stable code that names the
// field.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	deep := strings.Repeat(`{"room":`, 20000) + "1" + strings.Repeat("}", 20000)
	huge := `{"room":{"roomID":"` + strings.Repeat("x", 3<<20) + `"}}`
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		code, names  string
	}{
		{"PUT", "/v1/captures/b", with(spec("r"), "recrod", []any{}), 422, "invalid_request", "recrod"},
		{"PUT", "/v1/captures/b", with(spec("r"), "mix", map[string]any{"chanels": 1}), 422, "invalid_request", "chanels"},
		{"PUT", "/v1/captures/b", with(spec("r"), "record", []any{map[string]any{"what": "video"}}), 422, "invalid_request", "what"},
		{"PUT", "/v1/captures/b", with(spec("r"), "record", []any{map[string]any{"what": "mix", "storage": "nowhere"}}), 422, "invalid_capture", "record[0].storage"},
		{"PUT", "/v1/captures/b", with(spec("r"), "room", map[string]any{"roomID": "r", "system": "carrier-pigeon"}), 422, "invalid_capture", "room.system"},
		{"PUT", "/v1/captures/b", with(spec(""), "labels", map[string]string{}), 422, "invalid_capture", "room.roomID"},
		{"PUT", "/v1/captures/b", with(spec("r"), "republish", []any{map[string]any{"streamID": "no spaces"}}), 422, "invalid_capture", "republish[0].streamID"},
		{"PUT", "/v1/captures/b", map[string]any{"room": map[string]any{"roomID": "r"}}, 422, "invalid_capture", "record"},
		{"PUT", "/v1/captures/b", map[string]any{}, 422, "invalid_request", "room"},
		{"PUT", "/v1/captures/b", `{"room": `, 400, "bad_request", ""},
		{"PUT", "/v1/captures/b", `[]`, 422, "invalid_request", ""},
		{"PUT", "/v1/captures/b", `null`, 422, "invalid_request", ""},
		{"PUT", "/v1/captures/b", ``, 400, "bad_request", ""},
		{"PUT", "/v1/captures/b", `{"room":{"roomID":7},"record":[{"what":"mix"}]}`, 422, "invalid_request", "roomID"},
		{"PUT", "/v1/captures/b", huge, 413, "too_large", ""},
		{"PUT", "/v1/captures/b", deep, 400, "bad_request", ""},
		{"PUT", "/v1/captures/b%20c", spec("r"), 422, "invalid_id", ""},
		{"PUT", "/v1/captures/" + strings.Repeat("x", 65), spec("r"), 422, "invalid_request", "id"},
		{"PUT", "/v1/captures/%2e%2e%2fx", spec("r"), 422, "invalid_id", ""},
		{"GET", "/v1/captures/none", nil, 404, "capture_not_found", "none"},
		{"POST", "/v1/captures/none/stop", nil, 404, "capture_not_found", "none"},
		{"GET", "/v1/captures/none/live", nil, 404, "capture_not_found", "none"},
		{"GET", "/v1/captures/a/live?stream=none", nil, 404, "stream_not_found", "none"},
		{"GET", "/v1/captures?cursor=none", nil, 400, "bad_cursor", "none"},
		{"GET", "/v1/captures?limit=0", nil, 422, "invalid_request", "limit"},
		{"GET", "/v1/captures?rooom=r", nil, 422, "invalid_request", "rooom"},
		{"GET", "/v1/captures?limit=x", nil, 422, "invalid_request", "limit"},
		{"GET", "/v1/captures?state=asleep", nil, 422, "invalid_request", "state"},
		{"GET", "/v1/recordings/none", nil, 404, "recording_not_found", "none"},
		{"POST", "/v1/recordings/none/verify", nil, 404, "recording_not_found", "none"},
		{"GET", "/v1/recordings/none/files/manifest.json", nil, 404, "recording_not_found", "none"},
		{"GET", "/v1/recordings/a/files/none.ogg", nil, 404, "file_not_found", "none.ogg"},
		{"GET", "/v1/recordings?cursor=none", nil, 400, "bad_cursor", "none"},
		{"GET", "/v1/recordings?from=yesterday", nil, 422, "invalid_request", "from"},
		{"GET", "/v1/rooms/none", nil, 404, "room_not_found", "none"},
		{"DELETE", "/v1/rooms/none/users/ann", nil, 404, "room_not_found", "none"},
		{"DELETE", "/v1/rooms/none/streams/s", nil, 404, "room_not_found", "none"},
		{"POST", "/v1/tokens", map[string]any{"roomID": "r"}, 422, "invalid_request", "userID"},
		{"POST", "/v1/tokens", map[string]any{"roomID": "r", "userID": "u", "ttlSeconds": -1}, 422, "invalid_request", "ttlSeconds"},
		{"POST", "/v1/tokens", map[string]any{"roomID": "r", "userID": "u", "streamIDs": []string{"no spaces"}}, 422, "invalid_token", ""},
		{"POST", "/v1/tokens", map[string]any{"roomID": "r/1", "userID": "u"}, 422, "invalid_token", "roomID"},
		{"POST", "/v1/tokens", map[string]any{"roomID": "r", "userID": "ü"}, 422, "invalid_token", "userID"},
		{"GET", "/v1/nothing", nil, 404, "not_found", ""},
		{"GET", "/v1", nil, 404, "not_found", ""},
		{"GET", "/v1/", nil, 404, "not_found", ""},
		{"GET", "/v1/captures/", nil, 404, "not_found", ""},
		{"PUT", "/v1/recordings/a", nil, 405, "method_not_allowed", ""},
		{"DELETE", "/v1/captures/a", nil, 405, "method_not_allowed", ""},
	} {
		a := h.ask(c.method, c.path, c.body).problem(c.status, c.code)
		if !strings.Contains(string(a.body), c.names) {
			t.Errorf("%s does not name %s: %s", a.call, c.names, a.body)
		}
		if len(a.body) > 8<<10 {
			t.Errorf("%s: an answer of %d bytes to an error", a.call, len(a.body))
		}
	}
	h.ask("PUT", "/v1/captures/b", "<x/>", "Content-Type", "text/xml").problem(415, "unsupported_media_type")
	if list := decode[struct{ Captures []capture.Status }](h.ask("GET", "/v1/captures", nil).ok(200)); len(list.Captures) != 1 {
		t.Errorf("bad requests left %d captures", len(list.Captures))
	}
}

// TestEveryCallNeedsTheKey walks through the description of the API.
func TestEveryCallNeedsTheKey(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	api := decode[struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}](h.askAs("", "GET", "/openapi.json", nil).ok(200))
	if !strings.HasPrefix(api.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %q", api.OpenAPI)
	}
	calls := 0
	for path, methods := range api.Paths {
		at := strings.NewReplacer("{id}", "a", "{roomID}", "r", "{userID}", "u", "{streamID}", "s", "{name}", "n", "{seq}", "1", "{path...}", "manifest.json", "{path}", "manifest.json").Replace(path)
		if strings.Contains(at, "{") {
			t.Errorf("path %s has a parameter that this test does not know", path)
		}
		for method := range methods {
			calls++
			for _, key := range []string{"", "wrong", h.key + "x", h.key[1:], " " + h.key} {
				a := h.askAs(key, strings.ToUpper(method), at, nil).problem(401, "unauthorized")
				if a.header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s: no WWW-Authenticate", a.call)
				}
			}
			a := h.askAs("", strings.ToUpper(method), at, nil, "Authorization", "Basic "+h.key).problem(401, "unauthorized")
			_ = a
		}
	}
	if calls < 15 {
		t.Errorf("the description has %d calls only", calls)
	}
	for _, path := range []string{"/v1/nothing", "/v1/captures/a/nothing"} {
		h.askAs("", "GET", path, nil).problem(401, "unauthorized")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/call", "/client.js", "/openapi.json", "/docs"} {
		h.askAs("", "GET", path, nil).ok(200)
	}
}

// TestLists: pages hold everything once, newest first, and filters choose.
func TestLists(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	for i := range 7 {
		body := with(spec(fmt.Sprintf("room-%d", i%2)), "labels", map[string]string{"case": fmt.Sprint("A-", i)})
		h.ask("PUT", fmt.Sprint("/v1/captures/c", i), body).ok(201)
	}
	for _, id := range []string{"c0", "c3"} {
		h.ask("POST", "/v1/captures/"+id+"/stop", nil).ok(200)
	}
	ids := func(kind, query string) (all []string) {
		t.Helper()
		for cursor := ""; ; {
			page := decode[map[string]json.RawMessage](h.ask("GET", "/v1/"+kind+"?limit=2&"+query+"&cursor="+url.QueryEscape(cursor), nil).ok(200))
			var entries []struct{ ID string }
			if err := json.Unmarshal(page[kind], &entries); err != nil || len(entries) > 2 {
				t.Fatalf("%s: a page of %d: %v", query, len(entries), err)
			}
			for _, e := range entries {
				all = append(all, e.ID)
			}
			if page["nextCursor"] == nil {
				return all
			}
			if err := json.Unmarshal(page["nextCursor"], &cursor); err != nil || len(entries) == 0 {
				t.Fatalf("%s: cursor %s after %d: %v", query, page["nextCursor"], len(entries), err)
			}
		}
	}
	now := url.QueryEscape(time.Now().Add(time.Minute).Format(time.RFC3339))
	for _, c := range []struct{ kind, query, want string }{
		{"captures", "", "c6 c5 c4 c3 c2 c1 c0"},
		{"captures", "room=room-1", "c5 c3 c1"},
		{"captures", "state=complete", "c3 c0"},
		{"captures", "state=complete&room=room-0", "c0"},
		{"captures", "room=none", ""},
		{"recordings", "", "c6 c5 c4 c3 c2 c1 c0"},
		{"recordings", "room=room-0", "c6 c4 c2 c0"},
		{"recordings", "label=case", "c6 c5 c4 c3 c2 c1 c0"},
		{"recordings", "label=" + url.QueryEscape("case=A-4"), "c4"},
		{"recordings", "label=" + url.QueryEscape("case=A"), ""},
		{"recordings", "user=ann", ""},
		{"recordings", "from=" + now, "c6 c5 c4 c2 c1"}, // those that still run
		{"recordings", "to=2020-01-01T00:00:00Z", ""},
	} {
		if got := strings.Join(ids(c.kind, c.query), " "); got != c.want {
			t.Errorf("%s?%s: %q, want %q", c.kind, c.query, got, c.want)
		}
	}
	// The cursor of a page stays good when more captures are started.
	page := decode[struct{ NextCursor string }](h.ask("GET", "/v1/captures?limit=3", nil).ok(200))
	h.ask("PUT", "/v1/captures/new", spec("r")).ok(201)
	next := decode[struct{ Captures []struct{ ID string } }](h.ask("GET", "/v1/captures?limit=1&cursor="+page.NextCursor, nil).ok(200))
	if len(next.Captures) != 1 || next.Captures[0].ID != "c3" {
		t.Errorf("the page after c4: %v", next.Captures)
	}
	// And when the last one on it is gone.
	list := decode[struct{ NextCursor string }](h.ask("GET", "/v1/recordings?limit=5", nil).ok(200))
	must(t, h.captures.Forget("c3"))
	rest := decode[struct{ Recordings []struct{ ID string } }](h.ask("GET", "/v1/recordings?cursor="+list.NextCursor, nil).ok(200))
	if len(rest.Recordings) != 3 || rest.Recordings[0].ID != "c2" {
		t.Errorf("the page after c3, which is gone: %v", rest.Recordings)
	}
}

// TestRoomsAndTokens: a token lets a user in, the API shows them and throws
// them out.
func TestRoomsAndTokens(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	mint := func(user string) (string, error) {
		out := decode[struct {
			Token, ExpiresAt string
			AppID            uint32
		}](h.ask("POST", "/v1/tokens", map[string]any{"roomID": "r#1", "userID": user, "publish": true, "ttlSeconds": 60}).ok(200))
		expires, err := time.Parse(time.RFC3339, out.ExpiresAt)
		if left := time.Until(expires); err != nil || left < 50*time.Second || left > 61*time.Second {
			t.Errorf("a token of a minute expires in %s (%v)", left, err)
		}
		if out.AppID != h.rooms.AppID() || !strings.HasPrefix(out.Token, "04") {
			t.Errorf("token %.4s… of app %d", out.Token, out.AppID)
		}
		return out.Token, nil
	}
	join(t, h.at.HTTP, "r#1", "ann", tone(t, 3000), mint)
	type roomView struct {
		RoomID, CreatedAt string
		OnlineUsers       int
		Users             []struct{ UserID, UserName string }
		Streams           []struct {
			StreamID, UserID, PublishedAt string
			Live                          bool
		}
		Recording any
	}
	room := func() roomView { return decode[roomView](h.ask("GET", "/v1/rooms/r%231", nil)) }
	eventually(t, "ann publishes", 20*time.Second, func() bool {
		r := room()
		return len(r.Streams) == 1 && r.Streams[0].Live
	})
	r := room()
	if r.RoomID != "r#1" || r.OnlineUsers != 1 || r.Users[0].UserID != "ann" || r.Streams[0].StreamID != "ann-mic" || r.Streams[0].UserID != "ann" || r.Recording != false {
		t.Errorf("the room: %+v", r)
	}
	for _, at := range []string{r.CreatedAt, r.Streams[0].PublishedAt} {
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", at); err != nil {
			t.Errorf("a time is not in UTC with milliseconds: %v", err)
		}
	}
	list := decode[struct{ Rooms []roomView }](h.ask("GET", "/v1/rooms?limit=1", nil).ok(200))
	if len(list.Rooms) != 1 || list.Rooms[0].RoomID != "r#1" {
		t.Errorf("rooms: %+v", list.Rooms)
	}
	h.ask("DELETE", "/v1/rooms/r%231/users/bob", nil).problem(404, "user_not_found")
	h.ask("DELETE", "/v1/rooms/r%231/streams/bob-mic", nil).problem(404, "stream_not_found")
	h.ask("DELETE", "/v1/rooms/r%231/streams/ann-mic", nil).ok(204)
	h.ask("DELETE", "/v1/rooms/r%231/users/ann", nil).ok(204)
	eventually(t, "the room is gone", 10*time.Second, func() bool { return h.ask("GET", "/v1/rooms/r%231", nil).status == 404 })
}

// TestUnreachableStorage: a recording that is only in a bucket that does not
// answer is a problem of its own, not an internal error.
func TestUnreachableStorage(t *testing.T) {
	t.Parallel()
	h := startHere(t, func(c *configs.Config) {
		c.Storages = map[string]configs.Storage{"far": {
			Type: "s3", Endpoint: "http://" + servertest.FreeAddress(t, "tcp"), Bucket: "bucket", AccessKey: "k", SecretKey: "secret-canary", PathStyle: true,
		}}
	})
	body := with(spec("r"), "record", []any{map[string]any{"what": "mix", "storage": "far"}})
	h.ask("PUT", "/v1/captures/a", body).ok(201)
	h.ask("POST", "/v1/captures/a/stop", nil).ok(200)
	h.ask("GET", "/v1/recordings/a", nil).problem(503, "storage_unavailable")
	h.ask("GET", "/v1/recordings/a/files/manifest.json", nil).problem(503, "storage_unavailable")
	out := decode[struct {
		Intact bool
		Notes  []string
	}](h.ask("POST", "/v1/recordings/a/verify", nil).ok(200))
	if out.Intact || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "wait in the spool") {
		t.Errorf("verify while nothing has arrived: %+v", out)
	}
}
