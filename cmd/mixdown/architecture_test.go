package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestArrows holds the arrows of docs/architecture.md: what a package may
// depend on, directly or not.
func TestArrows(t *testing.T) {
	type pkg struct {
		ImportPath string
		Deps       []string
	}
	out := tool(t, "go", "list", "-tags", "nolibopusfile", "-json=ImportPath,Deps", "mixdown/...")
	deps := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		deps[p.ImportPath] = p.Deps
	}
	for _, rule := range []struct {
		from   string
		never  string // prefix of an import path
		except []string
	}{
		{"mixdown/mixer/pcm", "mixdown/", nil},
		{"mixdown/mixer/playout", "mixdown/", []string{"mixdown/mixer/pcm", "mixdown/encoder/opus"}},
		{"mixdown/mixer", "mixdown/", []string{"mixdown/mixer/pcm", "mixdown/mixer/loudness"}},
		{"mixdown/mixer/loudness", "mixdown/", []string{"mixdown/mixer/pcm"}},
		{"mixdown/encoder", "mixdown/", []string{"mixdown/mixer/pcm", "mixdown/encoder/"}},
		{"mixdown/storage", "mixdown/", nil},
		{"mixdown/storage", "github.com/", nil},
		{"mixdown/storage", "filippo.io/", nil},
		{"mixdown/storage/lines", "mixdown/", nil},
		{"mixdown/storage/timestamp", "mixdown/", nil},
		{"mixdown/storage/crypt", "mixdown/", []string{"mixdown/storage"}},
		{"mixdown/joiner", "mixdown/", nil},
		{"mixdown/joiner", "github.com/pion/webrtc", nil},
		{"mixdown/joiner/livekit", "mixdown/", []string{"mixdown/joiner", "mixdown/joiner/track", "mixdown/rooms/peer", "mixdown/rooms/udp", "mixdown/mixer/", "mixdown/encoder/opus"}},
		{"mixdown/capture", "github.com/livekit", nil},
		{"mixdown/joiner/whep", "mixdown/", []string{"mixdown/joiner", "mixdown/joiner/track", "mixdown/netguard", "mixdown/rooms/peer", "mixdown/rooms/udp", "mixdown/mixer/", "mixdown/encoder/opus"}},
		{"mixdown/joiner/joinertest", "mixdown/", []string{"mixdown/joiner"}},
		{"mixdown/capture", "github.com/pion/webrtc", nil},
		{"mixdown/capture", "mixdown/rooms", nil},
		{"mixdown/capture", "mixdown/joiner/", nil},
		{"mixdown/capture", "net/http", nil},
		{"mixdown/capture", "github.com/minio", nil},
		{"mixdown/rooms", "mixdown/capture", nil},
		{"mixdown/rooms", "mixdown/joiner", nil},
		{"mixdown/joiner/native", "mixdown/capture", nil},
		{"mixdown/joiner/track", "mixdown/", []string{"mixdown/joiner", "mixdown/mixer/playout", "mixdown/mixer/pcm", "mixdown/encoder/opus", "mixdown/rooms/peer", "mixdown/rooms/udp"}},
		{"mixdown/configs", "mixdown/", nil},
		{"mixdown/access", "mixdown/", []string{"mixdown/storage"}},
		{"mixdown/access", "net/http", nil},
		{"mixdown/retention", "mixdown/", []string{"mixdown/storage", "mixdown/storage/lines", "mixdown/events", "mixdown/audit"}},
		{"mixdown/retention", "net/http", nil},
		{"mixdown/audit", "mixdown/", []string{"mixdown/storage", "mixdown/storage/lines", "mixdown/events"}},
		{"mixdown/audit", "net/http", nil},
		{"mixdown/overview", "mixdown/", []string{"mixdown/storage", "mixdown/storage/lines", "mixdown/encoder", "mixdown/encoder/", "mixdown/mixer/pcm"}},
		{"mixdown/overview", "net/http", nil},
		{"mixdown/rules", "net/http", nil},
		{"mixdown/capacity", "mixdown/", nil},
		{"mixdown/completeness", "mixdown/", []string{"mixdown/storage", "mixdown/storage/lines"}},
		{"mixdown/completeness", "net/http", nil},
		{"mixdown/rules", "mixdown/rooms", nil},
		{"mixdown/capture", "mixdown/rules", nil},
		{"mixdown/netguard", "mixdown/", nil},
		{"mixdown/events", "mixdown/", []string{"mixdown/storage", "mixdown/storage/lines"}},
		{"mixdown/events", "net/http", nil},
		{"mixdown/servertest", "mixdown/", nil},
		{"mixdown/events/webhook", "mixdown/", []string{"mixdown/events", "mixdown/netguard", "mixdown/storage", "mixdown/storage/lines"}},
	} {
		all, ok := deps[rule.from]
		if !ok {
			t.Errorf("there is no package %s", rule.from)
		}
		for _, d := range all {
			if strings.HasPrefix(d, rule.never) && !slices.ContainsFunc(rule.except, func(e string) bool { return d == e || strings.HasSuffix(e, "/") && strings.HasPrefix(d, e) }) {
				t.Errorf("%s depends on %s", rule.from, d)
			}
		}
	}
}

// TestFileLengths keeps files readable: 400 lines of Go, a little more in
// tests.
func TestFileLengths(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == ".git" || e.Name() == ".cache" || e.Name() == "node_modules" || e.Name() == "mixdown-data") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		limit := 400
		if strings.HasSuffix(path, "_test.go") {
			limit = 450
		}
		if n := bytes.Count(b, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines", path, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
