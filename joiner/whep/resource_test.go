package whep

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mixdown/joiner"
	"mixdown/netguard"
)

const canary = "bearer-canary-4b1d"

// endpoint is a server that redirects as a test says and answers "yes" to an
// offer at /end.
func endpoint(t *testing.T, redirect func(w http.ResponseWriter, r *http.Request) bool) (*httptest.Server, *[]string) {
	t.Helper()
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type")+" "+string(body))
		if redirect(w, r) {
			return
		}
		w.Header().Set("Location", "../session/1?x=y")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "yes")
	}))
	t.Cleanup(s.Close)
	return s, &seen
}

func loopback(t *testing.T, allow ...string) *client {
	t.Helper()
	guard, err := netguard.New(allow)
	if err != nil {
		t.Fatal(err)
	}
	transport := guard.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(transport, guard, slog.New(slog.DiscardHandler))
}

// TestPost: the offer arrives with its token, also where 307 and 308 lead, and
// the session is what Location says from there.
func TestPost(t *testing.T) {
	s, seen := endpoint(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/one/whep":
			http.Redirect(w, r, "/two", http.StatusTemporaryRedirect)
		case "/two":
			w.Header().Set("Location", "three/whep") // relative
			w.WriteHeader(http.StatusPermanentRedirect)
		default:
			return false
		}
		return true
	})
	c := loopback(t, "127.0.0.1")
	answer, session, err := c.post(t.Context(), joiner.Endpoint{StreamID: "s", URL: s.URL + "/one/whep", Token: canary}, "offer")
	if err != nil || answer != "yes" {
		t.Fatalf("%q, %v", answer, err)
	}
	if got := strings.TrimPrefix(session.url.String(), s.URL); got != "/session/1?x=y" {
		t.Errorf("the session is %s", got)
	}
	if status := session.status(t.Context()); status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if !session.delete() {
		t.Error("the session is not deleted")
	}
	want := []string{
		"POST /one/whep Bearer " + canary + " application/sdp offer", "POST /two Bearer " + canary + " application/sdp offer",
		"POST /three/whep Bearer " + canary + " application/sdp offer",
		"HEAD /session/1 Bearer " + canary + "  ", "DELETE /session/1 Bearer " + canary + "  ",
	}
	if got := strings.Join(*seen, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the server saw\n%s", got)
	}
}

// TestPostRefused: what each answer means, and that none shows a token or a
// path.
func TestPostRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer             func(w http.ResponseWriter, r *http.Request)
		permanent, unreach bool
		after              time.Duration
		status             int
		guard              bool
	}{
		"not live":     {answer: status(404), status: 404},
		"conflict":     {answer: status(409), status: 409},
		"bad offer":    {answer: status(400), status: 400},
		"no token":     {answer: status(401), status: 401, permanent: true},
		"wrong token":  {answer: status(403), status: 403, permanent: true},
		"broken":       {answer: status(500), status: 500, unreach: true},
		"gateway":      {answer: status(502), status: 502, unreach: true},
		"busy":         {answer: status(503, "Retry-After", "7"), status: 503, unreach: true, after: 7 * time.Second},
		"later":        {answer: status(429, "Retry-After", "86400"), status: 429, after: maxRetryAfter},
		"no date":      {answer: status(429, "Retry-After", "soon"), status: 429},
		"303":          {answer: status(303, "Location", "/end"), status: 303},
		"200":          {answer: status(200), status: 200},
		"loop":         {answer: status(307, "Location", "/"+canary)},
		"nowhere":      {answer: status(307)},
		"into the net": {answer: status(307, "Location", "http://169.254.169.254/latest"), guard: true},
		"other scheme": {answer: status(307, "Location", "file:///etc/passwd")},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := endpoint(t, func(w http.ResponseWriter, r *http.Request) bool { c.answer(w, r); return true })
			_, _, err := loopback(t, "127.0.0.1").post(t.Context(), joiner.Endpoint{StreamID: "s", URL: s.URL + "/" + canary + "/whep", Token: canary}, "offer")
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Fatalf("told %v", err)
			}
			r, _ := errors.AsType[*refusal](err)
			if (r != nil) != (c.status != 0) || r != nil && (r.status != c.status || r.after != c.after) {
				t.Errorf("refusal %+v", r)
			}
			if errors.Is(err, joiner.ErrPermanent) != c.permanent || errors.Is(err, errUnreachable) != c.unreach || errors.Is(err, netguard.ErrForbidden) != c.guard {
				t.Errorf("%v: permanent %v, not reached %v, forbidden %v", err, errors.Is(err, joiner.ErrPermanent), errors.Is(err, errUnreachable), errors.Is(err, netguard.ErrForbidden))
			}
		})
	}
}

// status answers with a status and a text that shows what it was asked.
func status(code int, header ...string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "no, not with "+r.Header.Get("Authorization"))
	}
}

// TestUnreachable: no answer, and an address that must not be reached.
func TestUnreachable(t *testing.T) {
	s, _ := endpoint(t, nil)
	s.Close()
	to := joiner.Endpoint{StreamID: "s", URL: s.URL + "/" + canary, Token: canary}
	_, _, err := loopback(t, "127.0.0.1").post(t.Context(), to, "offer")
	if !errors.Is(err, errUnreachable) || errors.Is(err, joiner.ErrPermanent) || strings.Contains(err.Error(), "canary") {
		t.Errorf("told %v", err)
	}
	_, _, err = loopback(t).post(t.Context(), to, "offer")
	if !errors.Is(err, netguard.ErrForbidden) || strings.Contains(err.Error(), "canary") {
		t.Errorf("told %v", err)
	}
	to.URL = strings.Replace(to.URL, "127.0.0.1", "localhost", 1) // only the dialler sees where it leads
	_, _, err = loopback(t).post(t.Context(), to, "offer")
	if !errors.Is(err, netguard.ErrForbidden) || strings.Contains(err.Error(), "canary") {
		t.Errorf("told %v", err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, _, err = loopback(t, "127.0.0.1").post(ctx, to, "offer"); !errors.Is(err, enough) {
		t.Errorf("told %v", err)
	}
}

// TestDowngrade: what was asked for over TLS is not told in the open.
func TestDowngrade(t *testing.T) {
	open, seen := endpoint(t, func(http.ResponseWriter, *http.Request) bool { return false })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", open.URL+"/session")
		w.WriteHeader(map[string]int{"/redirect": 307, "/whip": 201}[r.URL.Path])
	}))
	t.Cleanup(secure.Close)
	c := newClient(secure.Client().Transport, nil, slog.New(slog.DiscardHandler))
	if _, _, err := c.post(t.Context(), joiner.Endpoint{URL: secure.URL + "/redirect", Token: canary}, "offer"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("told %v", err)
	}
	_, session, err := c.post(t.Context(), joiner.Endpoint{URL: secure.URL + "/whip", Token: canary}, "offer")
	if err != nil {
		t.Fatal(err)
	}
	session.delete()
	if len(*seen) != 0 {
		t.Errorf("in the open: %q", *seen)
	}
}

// TestAdmit: candidates that must not be reached are taken out; if that leaves
// none, it is said.
func TestAdmit(t *testing.T) {
	guard, err := netguard.New([]string{"10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		head    = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
		public  = "a=candidate:1 1 udp 2130706431 8.8.8.8 8443 typ host\r\n"
		allowed = "a=candidate:1 1 udp 2130706431 10.1.2.3 8443 typ host\r\n"
		private = "a=candidate:2 1 udp 2130706431 192.168.1.1 53 typ host\r\n"
		local   = "a=candidate:2 1 udp 2130706431 ::1 53 typ host\r\n"
		name    = "a=candidate:3 1 udp 2130706431 8f1b.local 53 typ host\r\n"
		broken  = "a=candidate:4 1 udp\r\n"
	)
	for in, want := range map[string]string{
		head: head, head + public: head + public, head + private + allowed + local: head + allowed, head + name + broken + public: head + public,
		head + private: "", head + local + name: "", head + broken: "",
	} {
		got, err := admit(in, guard)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	if got, err := admit(head+private, nil); err != nil || got != head+private {
		t.Errorf("without a guard: %q, %v", got, err)
	}
}

func FuzzAdmit(f *testing.F) {
	guard, err := netguard.New(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("v=0\r\na=candidate:1 1 udp 1 127.0.0.1 1 typ host\r\n")
	f.Add("a=candidate:\n\na=candidate:1 1 udp 1 ::ffff:10.0.0.1 1 typ host")
	f.Fuzz(func(t *testing.T, sdp string) {
		got, err := admit(sdp, guard)
		if err == nil && strings.Contains("\n"+got, "\na=candidate:") && !strings.Contains("\n"+sdp, "\na=candidate:") {
			t.Fatalf("%q became %q", sdp, got)
		}
		for line := range strings.Lines(got) {
			if rest, ok := strings.CutPrefix(line, "a=candidate:"); ok && reachable(rest, guard) != nil {
				t.Fatalf("%q is left of %q", line, sdp)
			}
		}
	})
}

// TestPause: half a second, doubling, and what the server asks for.
func TestPause(t *testing.T) {
	for attempt, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		for range 50 {
			if d := pause(attempt, pollMax, nil); d < most/2 || d > most {
				t.Errorf("attempt %d waits %v", attempt, d)
			}
		}
	}
	if d := pause(1000, pollMax, &refusal{after: 40 * time.Second}); d != 40*time.Second {
		t.Errorf("waits %v", d)
	}
}
