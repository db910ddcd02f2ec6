// Package web is what the daemon shows to a browser: the pages, and the
// JavaScript client at /client.js (also the npm package @mixdown/client, folder
// client).
//
// It stands beside the room service and the API: pages speak to /ws and /v1 of
// the same origin. cmd mounts [Handler] at / next to the handlers of rooms and
// api. All files are in the binary; a page made of them asks no other machine
// for anything, and the policy it is served with would not let it. The package
// knows no rooms, keeps no state and serves no data.
//
// The pages are built by Node.js into dist (make web), which is not in the
// repository; the client is, as built. A program built without the pages says
// so in their place.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed client/client.js
var client []byte

//go:embed missing.html
var missing []byte

//go:embed all:dist
var dist embed.FS

// pages are the files of dist that have an address without their name.
var pages = map[string]string{
	"/":         "console/index.html",
	"/call":     "call/index.html",
	"/tutorial": "tutorial/index.html",
}

// moved are addresses that lead elsewhere; a browser keeps the fragment.
var moved = map[string]string{
	"/call/":     "/call",
	"/tutorial/": "/tutorial",
}

// asset is one file with what it is served as.
type asset struct {
	name    string // for the content type
	content []byte
	zipped  []byte // nil if that is not worth it
	etag    string
	shared  bool // other origins may load it
	forever bool // its address changes with its content
}

// contentTypes are fixed here, so that no table of the machine changes them.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Built tells whether the pages are in the program.
func Built() bool {
	_, err := fs.Stat(dist, "dist/call/index.html")
	return err == nil
}

// Handler serves the pages, their files under /assets/ and the client at
// /client.js, by GET and HEAD. Every other path below its mount point is 404.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header(), r.Host)
		to, redirect := moved[r.URL.Path]
		a, ok := assets[r.URL.Path]
		switch {
		case !ok && !redirect:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		case redirect:
			http.Redirect(w, r, to, http.StatusFound)
		default:
			a.serve(w, r)
		}
	})
}

// load makes the table of all that is served.
func load() map[string]asset {
	c := newAsset("client.js", client)
	c.shared = true
	assets := map[string]asset{"/client.js": c}
	for at, name := range pages {
		content, err := dist.ReadFile("dist/" + name)
		if err != nil {
			content = missing
		}
		assets[at] = newAsset(name, content)
	}
	files, err := fs.Glob(dist, "dist/assets/*")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for _, name := range files {
		content, err := dist.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("embedded file: %v", err)) // it was listed
		}
		a := newAsset(name, content)
		a.forever = true
		assets[strings.TrimPrefix(name, "dist")] = a
	}
	return assets
}

func newAsset(name string, content []byte) asset {
	sum := sha256.Sum256(content)
	a := asset{name: name, content: content, etag: hex.EncodeToString(sum[:16])}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // memory does not fail
	}
	if b.Len() < len(content)*9/10 {
		a.zipped = b.Bytes()
	}
	return a
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", contentTypes[path.Ext(a.name)])
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache") // a new daemon must not meet an old page
	if a.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if a.shared {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	content, etag := a.content, a.etag
	if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		content, etag = a.zipped, etag+"-gzip"
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(content))
}

// hostPattern is what may be repeated of a Host header in a policy.
var hostPattern = regexp.MustCompile(`^[0-9A-Za-z.\-]+(:[0-9]+)?$|^\[[0-9A-Fa-f:.]+\](:[0-9]+)?$`)

// protect sets the security headers. Pages load their own files and speak to
// their own host, nothing else; browsers that do not count ws: as 'self' get
// the host by name.
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
