// Package web is what the daemon shows to a browser besides the console: the
// call page at / and the JavaScript client at /client.js (also the npm package
// @mixdown/client, folder client).
//
// It stands beside the room service: the page speaks to /ws of the same
// origin. cmd mounts [Handler] at / next to the handlers of rooms and api. All
// files are in the binary; a page made of them asks no other machine for
// anything, and the policy it is served with would not let it. The package
// knows no rooms, keeps no state and serves no data.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"time"
)

//go:embed call/index.html call/page.css call/page.js call/people.js call/texts.js call/icon.svg client/client.js
var files embed.FS

// asset is one file with what it is served as.
type asset struct {
	name    string // for the content type
	content []byte
	etag    string
	shared  bool // other origins may load it
}

// paths are all that the package serves.
var paths = map[string]struct {
	file   string
	shared bool
}{
	"/":               {file: "call/index.html"},
	"/call/page.css":  {file: "call/page.css"},
	"/call/page.js":   {file: "call/page.js"},
	"/call/people.js": {file: "call/people.js"},
	"/call/texts.js":  {file: "call/texts.js"},
	"/call/icon.svg":  {file: "call/icon.svg"},
	"/client.js":      {file: "client/client.js", shared: true},
}

// contentTypes are fixed here, so that no table of the machine changes them.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Handler serves the call page at /, its files under /call/ and the client at
// /client.js, by GET and HEAD. Every other path below its mount point is 404.
func Handler() http.Handler {
	assets := make(map[string]asset, len(paths))
	for at, p := range paths {
		content, err := files.ReadFile(p.file)
		if err != nil {
			panic(fmt.Sprintf("embedded file %s: %v", p.file, err)) // the compiler embeds what the directive names
		}
		sum := sha256.Sum256(content)
		assets[at] = asset{p.file, content, `"` + hex.EncodeToString(sum[:16]) + `"`, p.shared}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header(), r.Host)
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", contentTypes[path.Ext(a.name)])
	h.Set("ETag", a.etag)
	h.Set("Cache-Control", "no-cache") // a new daemon must not meet an old page
	if a.shared {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
}

// hostPattern is what may be repeated of a Host header in a policy.
var hostPattern = regexp.MustCompile(`^[0-9A-Za-z.\-]+(:[0-9]+)?$|^\[[0-9A-Fa-f:.]+\](:[0-9]+)?$`)

// protect sets the security headers. The page loads its own files and speaks
// to the WebSocket of its own host, nothing else; browsers that do not count
// ws: as 'self' get the host by name.
func protect(h http.Header, host string) {
	connect := "'self'"
	if hostPattern.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	h.Set("Content-Security-Policy", "default-src 'self'; connect-src "+connect+
		"; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=(), display-capture=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
