package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/file"
)

// gate is a way to a server that can be shut.
type gate struct {
	net.Listener
	to    string
	open  atomic.Bool
	tasks sync.WaitGroup
}

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, to: to}
	g.tasks.Go(g.serve)
	t.Cleanup(func() {
		l.Close()
		g.tasks.Wait()
	})
	return g
}

func (g *gate) serve() {
	for {
		in, err := g.Accept()
		if err != nil {
			return // closed
		}
		if !g.open.Load() {
			in.Close()
			continue
		}
		out, err := net.Dial("tcp", g.to)
		if err != nil {
			in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			g.tasks.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // ends when either side hangs up
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

// TestBucketOutage: what a bucket that is away cannot take waits, through a
// restart too, and arrives when it is back; the local recording does not wait
// for it.
func TestBucketOutage(t *testing.T) {
	t.Parallel()
	_, server := withBucket(t)
	g := newGate(t, server.Endpoint)
	data := t.TempDir()
	edit := func(c *configs.Config) {
		c.Data = data
		a := archive(server)
		a.Endpoint = "http://" + g.Addr().String()
		c.Storages = map[string]configs.Storage{"archive": a}
	}
	body := spec("r")
	body["record"] = []any{map[string]any{"what": "mix", "segmentSeconds": 1}, map[string]any{"what": "mix", "segmentSeconds": 1, "storage": "archive"}}
	h := callOfTwo(t, body, edit)
	asked := time.Now()
	if st := decode[capture.Status](h.ask("POST", "/v1/captures/c/stop", nil).ok(200)); st.State != capture.Complete {
		t.Errorf("stopped: %s (%s)", st.State, st.Reason)
	}
	t.Logf("the stop took %s", time.Since(asked)) // and left what waits for the bucket waiting: see below
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/c", nil).ok(200))
	dir := filepath.Join(data, "recordings", "r", "c")
	verify := func(at string, want int) {
		t.Helper()
		code, out, errs := command(t, "verify", at, "--public-key", filepath.Join(data, "keys", "signing.pub"), "--config", writeConfig(t, h.config))
		if code != want {
			t.Errorf("verify %s: exit %d instead of %d: %s%s", at, code, want, out, errs)
		}
	}
	verify(dir, exitOK)
	verify("s3://recordings/calls/r/c", exitUsage)
	waiting, _ := h.spool.Pending("archive", "r/c")
	if waiting < len(m.Segments)+2 {
		t.Errorf("%d files wait for the bucket, %d segments were recorded", waiting, len(m.Segments))
	}
	metrics := parseMetrics(t, h.ask("GET", "/metrics", nil).body)
	if got := metrics[`mixdown_upload_pending_files{storage="archive"}`]; int(got) != waiting {
		t.Errorf("metrics: %v files wait, want %d", got, waiting)
	}
	if metrics[`mixdown_upload_failures_total{storage="archive"}`] == 0 {
		t.Error("metrics: no upload has failed")
	}
	h.stop()
	h = startHere(t, edit)
	if again, _ := h.spool.Pending("archive", "r/c"); again != waiting {
		t.Errorf("after a restart %d files wait, not %d", again, waiting)
	}
	g.open.Store(true)
	eventually(t, "everything is in the bucket", 60*time.Second, func() bool {
		n, _ := h.spool.Pending("archive", "")
		return n == 0
	})
	verify("s3://recordings/calls/r/c", exitOK)
	local, err := file.Open(filepath.Join(data, "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	bucket, err := openBucket(configs.Network{}, h.config.Storages["archive"])
	if err != nil {
		t.Fatal(err)
	}
	here, there := content(t, local, "r/c/"), content(t, bucket, "r/c/")
	for key := range here {
		if here[key] != there[key] {
			t.Errorf("%s is not in the bucket as it is on disk", key)
		}
	}
	if len(here) != len(there) || !strings.Contains(there["r/c/manifest.json"], `"complete"`) {
		t.Errorf("%d objects in the bucket, %d files on disk", len(there), len(here))
	}
}
