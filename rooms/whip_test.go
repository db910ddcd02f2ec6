package rooms_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/rooms"
	"mixdown/rooms/signal"
)

// reply is what an HTTP request got.
type reply struct {
	status int
	header http.Header
	body   string
}

func (w *world) send(method, path, bearer, body string, header ...string) reply {
	w.Helper()
	r, err := http.NewRequest(method, "http://rooms"+path, strings.NewReader(body))
	check(w, err)
	r.Header.Set("Content-Type", "application/sdp")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := w.http.Do(r)
	check(w, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(w, err)
	return reply{answer.StatusCode, answer.Header, string(text)}
}

// whip publishes with media.
func (w *world) whip(path, bearer string) (p *publisher, location string) {
	w.Helper()
	p = w.publisher()
	r := w.send("POST", path, bearer, p.offer())
	if r.status != 201 || r.header.Get("Content-Type") != "application/sdp" || !strings.HasPrefix(r.header.Get("Location"), path+"/") {
		w.Fatalf("POST %s: %+v", path, r)
	}
	p.accept(r.body)
	w.connected(p)
	return p, r.header.Get("Location")
}

func TestWHIP(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		p, location := w.whip("/whip/r/s", w.token("obs"))
		a.userNews("r ADD obs")
		a.streams("r ADD s/obs")
		e := a.ear()
		a.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		p.talk(10, "whip", 20)
		if n := e.hears("whip"); n != 10 {
			t.Errorf("heard %d of 10", n)
		}
		// A second stream of the same user is no second login.
		p2, location2 := w.whip("/whip/r/s2", w.token("obs"))
		a.userNews()
		a.streams("r ADD s2/obs")
		if r := w.send("DELETE", location2, "", ""); r.status != 200 {
			t.Errorf("DELETE: %+v", r)
		}
		a.streams("r DELETE s2/obs [{1}]")
		a.userNews()
		if r := w.send("DELETE", strings.Replace(location, "/s/", "/t/", 1), "", ""); r.status != 404 {
			t.Errorf("DELETE of another stream's session: %+v", r)
		}
		if r := w.send("HEAD", location, "", ""); r.status != 405 {
			t.Errorf("HEAD: %+v", r)
		}
		if r := w.send("DELETE", location, "", ""); r.status != 200 {
			t.Errorf("DELETE: %+v", r)
		}
		if r := w.send("DELETE", location, "", ""); r.status != 404 {
			t.Errorf("second DELETE: %+v", r)
		}
		if r := w.send("HEAD", location, "", ""); r.status != 404 {
			t.Errorf("HEAD of a session that is gone: %+v", r)
		}
		a.streams("r DELETE s/obs [{1}]")
		a.userNews("r DELETE obs")
		// Gone without DELETE: the stream waits 30 s, can be taken up again, and ends.
		p3, location := w.whip("/whip/r/s", w.token("obs"))
		if r := w.send("POST", "/whip/r/s", w.token("obs"), w.offer()); r.status != 409 || !strings.Contains(r.body, "1103056") {
			t.Errorf("second POST of a live stream: %+v", r)
		}
		p3.close()
		time.Sleep(20 * time.Second)
		p4, again := w.whip("/whip/r/s", w.token("obs"))
		if again == location {
			t.Error("the new session has the old one's address")
		}
		time.Sleep(20 * time.Second)
		a.streams("r ADD s/obs")
		a.userNews("r ADD obs")
		p4.close()
		time.Sleep(31 * time.Second)
		a.streams("r DELETE s/obs [{5}]")
		a.userNews("r DELETE obs")
		a.leave()
		for _, p := range []*publisher{p, p2} {
			p.close()
		}
		e.close()
	})
}

func TestWHIPRefusals(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		a.publish("taken")
		good := w.token("obs")
		expired := w.token("obs", lasting(time.Second))
		time.Sleep(2 * time.Second)
		for name, x := range map[string]struct {
			method, path, bearer, body string
			header                     []string
			status, code               int
		}{
			"no token":      {"POST", "/whip/r/s", "", w.offer(), nil, 401, signal.CodeTokenRequired},
			"basic auth":    {"POST", "/whip/r/s", "", w.offer(), []string{"Authorization", "Basic eDp5"}, 401, signal.CodeTokenRequired},
			"bad token":     {"POST", "/whip/r/s", "x", w.offer(), nil, 401, signal.CodeTokenFormat},
			"expired":       {"POST", "/whip/r/s", expired, w.offer(), nil, 401, signal.CodeTokenExpired},
			"other room":    {"POST", "/whip/r/s", w.token("obs", inRoom("q")), w.offer(), nil, 401, signal.CodeTokenAuthFailed},
			"no publishing": {"POST", "/whip/r/s", w.token("obs", listener), w.offer(), nil, 403, signal.CodePublishAuthFailed},
			"stream list":   {"POST", "/whip/r/s", w.token("obs", forStreams("t")), w.offer(), nil, 403, signal.CodePublishAuthFailed},
			"bad stream":    {"POST", "/whip/r/s.t", good, w.offer(), nil, 400, signal.CodeStreamIDBad},
			"bad room":      {"POST", "/whip/r%20/s", good, w.offer(), nil, 400, signal.CodeRoomIDBad},
			"slash in room": {"POST", "/whip/r%2Fx/s", good, w.offer(), nil, 400, signal.CodeRoomIDBad},
			"bad SDP":       {"POST", "/whip/r/s", good, "v=0", nil, 400, signal.CodePublishBadSDP},
			"no SDP":        {"POST", "/whip/r/s", good, "", nil, 400, signal.CodePublishBadSDP},
			"JSON":          {"POST", "/whip/r/s", good, w.offer(), []string{"Content-Type", "application/json"}, 415, signal.CodeInvalidRequest},
			"too long":      {"POST", "/whip/r/s", good, strings.Repeat("x", 65537), nil, 413, signal.CodeInvalidRequest},
			"taken":         {"POST", "/whip/r/taken", good, w.offer(), nil, 409, signal.CodeDuplicateStream},
			"GET":           {"GET", "/whip/r/s", good, "", nil, 405, signal.CodeMethodNotFound},
			"PATCH":         {"PATCH", "/whip/r/s/x", good, "", nil, 404, signal.CodeNotPublishing},
			"no session":    {"DELETE", "/whip/r/s/x", good, "", nil, 404, signal.CodeNotPublishing},
			"WHEP stream":   {"POST", "/whep/r/s", good, w.offer(), nil, 404, signal.CodePlayNoSuchStream},
			"WHEP room":     {"POST", "/whep/q/taken", good, w.offer(), nil, 404, signal.CodePlayNoSuchStream},
			"WHEP SDP":      {"POST", "/whep/r/taken", good, "v=0", nil, 400, signal.CodePlayBadSDP},
			"WHEP no SDP":   {"POST", "/whep/r/taken", good, "", nil, 400, signal.CodePlayBadSDP},
			"WHEP token":    {"POST", "/whep/r/taken", w.token("obs", noLogin), w.offer(), nil, 401, signal.CodeTokenAuthFailed},
			"WHEP PATCH":    {"PATCH", "/whep/r/taken/x", good, "", nil, 404, signal.CodePlayNoSuchStream},
			"WHEP session":  {"DELETE", "/whep/r/taken/x", good, "", nil, 404, signal.CodePlayNoSuchStream},
		} {
			r := w.send(x.method, x.path, x.bearer, x.body, x.header...)
			var problem struct {
				Title, Detail string
				Status, Code  int
			}
			if err := json.Unmarshal([]byte(r.body), &problem); err != nil {
				t.Errorf("%s: %v in %q", name, err, r.body)
			}
			if r.status != x.status || problem.Status != x.status || problem.Code != x.code || problem.Detail == "" || r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %+v, want %d with code %d", name, r, x.status, x.code)
			}
			if r.header.Get("Access-Control-Allow-Origin") != "*" || r.status == 401 != (r.header.Get("WWW-Authenticate") != "") || r.status == 405 != (r.header.Get("Allow") != "") {
				t.Errorf("%s: header %v", name, r.header)
			}
		}
		a.userNews()
		if room, _ := w.service.Room("r"); len(room.Users) != 1 {
			t.Errorf("a refused WHIP user stays: %+v", room.Users)
		}
		a.leave()
	})
}

func TestCrossOrigin(t *testing.T) {
	virtual(t, nil, func(w *world) {
		for _, path := range []string{"/whip/r/s", "/whep/r/s", "/whip/r/s/x", "/whep/r/s/x"} {
			r := w.send("OPTIONS", path, "", "", "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "POST")
			h := r.header
			if r.status != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
				!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Location") ||
				h.Get("Accept-Post") != "application/sdp" {
				t.Errorf("OPTIONS %s: %+v", path, r)
			}
		}
	})
}

// TestWHIPKicks: WHIP is a login like any other.
func TestWHIPKicks(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "u")
		p, location := w.whip("/whip/r/s", w.token("u"))
		a.states("r CONNECTED 0", "r DISCONNECTED 1002050")
		b := w.login("r", "b")
		b.streams("r ADD s/u")
		if err := w.service.KickUser("r", "u"); err != nil {
			t.Error(err)
		}
		b.streams("r DELETE s/u [{4}]")
		if r := w.send("DELETE", location, "", ""); r.status != 404 {
			t.Errorf("DELETE after the kick: %+v", r)
		}
		p.close()
		p, _ = w.whip("/whip/r/s", w.token("u"))
		if err := w.service.RemoveStream("r", "s"); err != nil {
			t.Error(err)
		}
		b.streams("r ADD s/u", "r DELETE s/u [{6}]")
		b.userNews("r DELETE u", "r ADD u", "r DELETE u")
		b.leave()
		a.cut()
		p.close()
	})
}

// whep plays with media.
func (c *client) whep(path, bearer string) (e *ear, location string) {
	c.Helper()
	e = c.ear()
	_, err := e.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	check(c, err)
	offer, err := e.pc.CreateOffer(nil)
	check(c, err)
	gathered := webrtc.GatheringCompletePromise(e.pc)
	check(c, e.pc.SetLocalDescription(offer))
	<-gathered
	r := c.send("POST", path, bearer, e.pc.LocalDescription().SDP)
	if r.status != 201 {
		c.Fatalf("POST %s: %+v", path, r)
	}
	check(c, e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.body}))
	time.Sleep(2 * time.Second)
	return e, r.header.Get("Location")
}

func TestWHEP(t *testing.T) {
	virtual(t, func(c *rooms.Config) { c.MaxSessions = 2 }, func(w *world) {
		a := w.login("r", "a")
		p := a.speak("s")
		a.forget()
		e1, location1 := a.whep("/whep/r/s", w.token("l1"))
		e2, _ := a.whep("/whep/r/s", w.token("l2", listener))
		if r := w.send("POST", "/whep/r/s", w.token("l3"), w.offer()); r.status != 503 {
			t.Errorf("a session too many: %+v", r)
		}
		a.userNews() // listeners are no users
		p.talk(10, "one", 20)
		if e1.hears("one") != 10 || e2.hears("one") != 10 {
			t.Errorf("heard %v and %v", e1.count, e2.count)
		}
		if r := w.send("DELETE", location1, "", ""); r.status != 200 {
			t.Errorf("DELETE: %+v", r)
		}
		if r := w.send("DELETE", location1, "", ""); r.status != 404 {
			t.Errorf("second DELETE: %+v", r)
		}
		synctest.Wait()
		p.talk(10, "two", 20)
		if e1.hears("two") != 0 || e2.hears("two") != 10 {
			t.Errorf("heard %v and %v", e1.count, e2.count)
		}
		if err := w.service.KickUser("r", "l2"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		p.talk(10, "three", 20)
		if e2.hears("three") != 0 {
			t.Error("a kicked listener hears on")
		}
		e3, location3 := a.whep("/whep/r/s", w.token("l3"))
		a.do(signal.StopPublishing, signal.StreamParams{StreamID: "s"}, nil)
		if r := w.send("DELETE", location3, "", ""); r.status != 404 {
			t.Errorf("DELETE after the stream's end: %+v", r)
		}
		a.leave()
		p.close()
		for _, e := range []*ear{e1, e2, e3} {
			e.close()
		}
	})
}

// TestRoomIDInPath: room IDs may need escaping in a path.
func TestRoomIDInPath(t *testing.T) {
	virtual(t, nil, func(w *world) {
		p, location := w.whip("/whip/a+b&c=%40%23$/s", w.token("u", inRoom("a+b&c=@#$")))
		if _, ok := w.service.Room("a+b&c=@#$"); !ok {
			t.Errorf("rooms: %+v", w.service.Rooms())
		}
		if r := w.send("DELETE", location, "", ""); r.status != 200 {
			t.Error(fmt.Sprint(r))
		}
		p.close()
	})
}
