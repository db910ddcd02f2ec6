package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
)

// TestDryRun: everything that can be wrong with a destination has a code of
// its own, told in less than three seconds, in a dry run and by a refused
// start; a storage that is merely away refuses nothing and shows as trouble.
func TestDryRun(t *testing.T) {
	t.Parallel()
	edit, server := withBucket(t)
	target := &url.URL{Scheme: "http", Host: server.Endpoint}
	late := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(-20*time.Minute).UTC().Format(http.TimeFormat))
			return nil
		},
	})
	t.Cleanup(late.Close)
	hole, err := net.Listen("tcp", "127.0.0.1:0") // its queue accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hole.Close() })
	closed := httptest.NewServer(http.NotFoundHandler())
	gone := closed.Listener.Addr().String()
	closed.Close()
	spoil := map[string]func(*configs.Storage){
		"wrong-key":   func(s *configs.Storage) { s.SecretKey += "x" },
		"no-such-key": func(s *configs.Storage) { s.AccessKey += "x" },
		"region":      func(s *configs.Storage) { s.Region = "eu-north-9" },
		"no-bucket":   func(s *configs.Storage) { s.Bucket = "no-such-bucket" },
		"late":        func(s *configs.Storage) { s.Endpoint = late.URL },
		"gone":        func(s *configs.Storage) { s.Endpoint = "http://" + gone },
		"hole":        func(s *configs.Storage) { s.Endpoint = "http://" + hole.Addr().String() },
		"backed":      func(s *configs.Storage) { s.Backup, s.Copies = "archive", 2 },
		"badly":       func(s *configs.Storage) { s.Backup = "wrong-key" },
	}
	h := startHere(t, edit, func(c *configs.Config) {
		for name, f := range spoil {
			s := c.Storages["archive"]
			f(&s)
			c.Storages[name] = s
		}
	})
	body := func(storages ...string) map[string]any {
		b := spec("r")
		var record []any
		for _, s := range storages {
			record = append(record, map[string]any{"what": "mix", "storage": s})
		}
		b["record"] = record
		return b
	}
	idle := func() time.Duration { // what the machine takes for the disk and the log of acts
		t.Helper()
		asked := time.Now()
		h.ask("POST", "/v1/captures?dryRun=true", body("local")).ok(200)
		return time.Since(asked)
	}
	timely := func(method, path string, body any) answer {
		t.Helper()
		before := idle()
		asked := time.Now()
		a := h.ask(method, path, body)
		took := time.Since(asked)
		if usual := max(before, idle()); took-usual > 3*time.Second {
			t.Errorf("%s: the answer took %v, one that waits for nobody %v", a.call, took, usual)
		}
		if strings.Contains(string(a.body), server.SecretKey) {
			t.Errorf("%s: the answer holds the secret key", a.call)
		}
		return a
	}
	codes := map[string]string{
		"wrong-key": "storage_wrong_key", "no-such-key": "storage_wrong_key", "region": "storage_wrong_region",
		"no-bucket": "storage_no_bucket", "late": "storage_clock_skew",
	}
	for name, code := range codes {
		timely("POST", "/v1/captures?dryRun=true", body("local", name)).problem(422, code)
		timely("PUT", "/v1/captures/"+name, body("local", name)).problem(422, code)
		h.ask("GET", "/v1/captures/"+name, nil).problem(404, "capture_not_found")
	}
	timely("POST", "/v1/captures?dryRun=true", body("hole")).problem(503, "storage_unreachable")
	timely("POST", "/v1/captures?dryRun=true", body("gone")).problem(503, "storage_unreachable")
	timely("POST", "/v1/captures?dryRun=true", body("hole", "no-bucket")).problem(422, "storage_no_bucket")
	timely("POST", "/v1/captures?dryRun=true", body("badly")).problem(422, "storage_wrong_key")
	h.ask("POST", "/v1/captures?dryRun=true", body("nowhere")).problem(422, "invalid_capture")

	well := decode[struct {
		DryRun   bool
		Spec     capture.Spec
		Storages []capture.Destination
	}](timely("POST", "/v1/captures?dryRun=true", body("local", "backed")).ok(200))
	if len(well.Storages) != 3 || !well.DryRun || well.Spec.Limits.MaxSeconds == 0 {
		t.Fatalf("a dry run that goes well: %+v", well)
	}
	for i, want := range []string{"local storage", "backed storage", "archive copy"} {
		if d := well.Storages[i]; d.Storage+" "+d.Role != want || !d.OK || d.Code != "" || d.SkewMS > 5000 {
			t.Errorf("storage %d: %+v, want %s", i, d, want)
		}
	}
	if n := len(decode[struct{ Captures []capture.Status }](h.ask("GET", "/v1/captures", nil).ok(200)).Captures); n != 0 {
		t.Errorf("%d captures were started", n)
	}
	for _, dir := range []string{server.Dir, filepath.Join(h.config.Data, "recordings")} {
		_ = filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				t.Errorf("a dry run left %s, %v", name, err)
			}
			return nil
		})
	}

	started := decode[capture.Status](timely("PUT", "/v1/captures/c", body("local", "gone")).ok(201))
	if started.State != capture.Waiting {
		t.Errorf("started: %s", started.State)
	}
	timely("PUT", "/v1/captures/backed", body("badly")).ok(201)
	h.ask("POST", "/v1/captures/backed/stop", nil).ok(200)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
}

// TestAwayIsTrouble: a storage that goes away while a capture runs shows in
// it, in the figures and in the spool, until it is back.
func TestAwayIsTrouble(t *testing.T) {
	t.Parallel()
	edit, server := withBucket(t)
	g := newGate(t, server.Endpoint)
	h := startHere(t, edit, func(c *configs.Config) {
		a := c.Storages["archive"]
		a.Endpoint = "http://" + g.Addr().String()
		c.Storages["archive"] = a
	})
	body := spec("r")
	body["record"] = []any{map[string]any{"what": "mix", "storage": "archive"}}
	h.ask("PUT", "/v1/captures/c", body).ok(201)
	trouble := func() string {
		return decode[capture.Status](h.ask("GET", "/v1/captures/c", nil).ok(200)).Trouble
	}
	eventually(t, "the capture tells that its storage is away", 30*time.Second, func() bool {
		return strings.Contains(trouble(), "storage archive takes nothing since")
	})
	type spool struct {
		Space    struct{ FreeBytes uint64 }
		Storages map[string]struct {
			PendingFiles int
			DownSince    *time.Time
			LastError    string
		}
	}
	st := decode[spool](h.ask("GET", "/v1/spool", nil).ok(200))
	if a := st.Storages["archive"]; a.DownSince == nil || a.PendingFiles != 1 || a.LastError == "" || st.Storages["local"].DownSince != nil || st.Space.FreeBytes == 0 {
		t.Errorf("spool: %+v", st)
	}
	metrics := parseMetrics(t, h.ask("GET", "/metrics", nil).body)
	for name, want := range map[string]float64{`storage_down{storage="archive"}`: 1, `storage_down{storage="local"}`: 0, "spool_quarantined_files": 0, "captures_in_trouble": 1} {
		if got, ok := metrics["mixdown_"+name]; !ok || got != want {
			t.Errorf("metrics: %s is %v", name, got)
		}
	}
	if metrics["mixdown_spool_hours_left"] <= 0 || metrics["mixdown_spool_free_bytes"] <= 0 {
		t.Errorf("metrics: %v hours left, %v bytes free", metrics["mixdown_spool_hours_left"], metrics["mixdown_spool_free_bytes"])
	}
	g.open.Store(true)
	eventually(t, "all is well again", 60*time.Second, func() bool { return trouble() == "" })
}
