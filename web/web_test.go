package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"mixdown/web"
)

// serve asks the package for one path.
func serve(method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "mixdown.test:8080"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	check(t, err)
	return string(b)
}

// built fails a test that needs the pages where there are none.
func built(t testing.TB) {
	t.Helper()
	if !web.Built() {
		t.Fatal("the pages are not built; make web does it (make test, too)")
	}
}

// TestHandler checks what is served, and how.
func TestHandler(t *testing.T) {
	built(t)
	types := map[string]string{"/": "text/html; charset=utf-8", "/call": "text/html; charset=utf-8", "/client.js": "text/javascript; charset=utf-8"}
	page := body(t, serve("GET", "/call").Body)
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+\.(\w+))"`).FindAllStringSubmatch(page, -1) {
		types[m[1]] = map[string]string{"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}[m[2]]
	}
	if len(types) < 5 {
		t.Errorf("the page names %v only", types)
	}
	for path, want := range types {
		r := serve("GET", path)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != want {
			t.Errorf("%s: %s, %s", path, r.Status, r.Header.Get("Content-Type"))
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'self'; connect-src 'self' ws://mixdown.test:8080 wss://mixdown.test:8080;") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "ETag"} {
			if r.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
		if cached := strings.Contains(r.Header.Get("Cache-Control"), "immutable"); cached != strings.HasPrefix(path, "/assets/") {
			t.Errorf("%s: Cache-Control %s", path, r.Header.Get("Cache-Control"))
		}
	}
	if p := serve("GET", "/call", "Host", "a.test; script-src *").Header.Get("Content-Security-Policy"); strings.Contains(p, "script-src") {
		t.Errorf("the Host header reached the policy: %q", p)
	}
	if got := serve("GET", "/client.js").Header.Get("Cross-Origin-Resource-Policy"); got != "cross-origin" {
		t.Errorf("client.js is %q to other origins", got)
	}
	for path, want := range map[string]int{
		"/nothing": 404, "/call/index.html": 404, "/client/client.js": 404, "/assets/": 404, "/dist/.gitkeep": 404, "/": 200, "/call/": 302, "/tutorial": 200,
	} {
		if r := serve("GET", path); r.StatusCode != want {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if r := serve("POST", "/call"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s", r.Status)
	}
	if r := serve("HEAD", "/call"); r.StatusCode != http.StatusOK || r.ContentLength == 0 {
		t.Errorf("HEAD: %s", r.Status)
	}
}

// TestTransfer: what has not changed is not sent, and what is sent is small.
func TestTransfer(t *testing.T) {
	plain := serve("GET", "/client.js")
	zipped := serve("GET", "/client.js", "Accept-Encoding", "gzip, br")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Errorf("zipped: %v", zipped.Header)
	}
	z, err := gzip.NewReader(zipped.Body)
	check(t, err)
	if body(t, z) != body(t, plain.Body) {
		t.Error("the zipped client is another one")
	}
	for _, r := range []*http.Response{plain, zipped} {
		again := serve("GET", "/client.js", "If-None-Match", r.Header.Get("ETag"), "Accept-Encoding", r.Header.Get("Content-Encoding"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("an unchanged file: %s", again.Status)
		}
	}
}
