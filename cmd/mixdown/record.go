package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mixdown/capture"
	"mixdown/storage"
)

// recordCommand is mixdown record.
type recordCommand struct {
	Remote  remote        `embed:""`
	Room    string        `help:"Room to capture." required:""`
	For     time.Duration `help:"How long; default: until Ctrl-C." placeholder:"30s"`
	Out     string        `help:"Download the recording into this folder." placeholder:"DIR"`
	Format  string        `help:"Format of the files." enum:"ogg,wav,flac" default:"ogg"`
	JSON    bool          `name:"json" help:"Print each state of the capture, and at the end the manifest, as a line of JSON."`
	Streams bool          `help:"Keep each stream as well as the mix." default:"true" negatable:""`
}

// Run captures a room and follows it until it ends.
func (r *recordCommand) Run(ctx context.Context, p process) error {
	c, err := r.Remote.connect(p)
	if err != nil {
		return err
	}
	id := strings.ToLower(rand.Text()[:12])
	spec := capture.Spec{Room: capture.RoomSpec{RoomID: r.Room}, Record: []capture.RecordSpec{{What: "mix", Format: r.Format}}}
	if r.Streams {
		spec.Record = append(spec.Record, capture.RecordSpec{What: "streams", Format: r.Format})
	}
	var st capture.Status
	if err := c.call(ctx, http.MethodPut, "/v1/captures/"+id, spec, &st); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "capture %s of room %s; Ctrl-C stops\n", id, r.Room)
	r.follow(ctx, p, c, id)

	// The capture must be stopped even though Ctrl-C ended ctx.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := c.call(stopping, http.MethodPost, "/v1/captures/"+id+"/stop", nil, &st); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "\n")
	if st.State == capture.Failed {
		return fmt.Errorf("capture %s failed: %s", id, st.Reason)
	}
	return r.deliver(stopping, p, c, st)
}

// follow shows a meter line per stream until ctx ends, the time is over or
// the capture has ended.
func (r *recordCommand) follow(ctx context.Context, p process, c *client, id string) {
	var over <-chan time.Time
	if r.For > 0 {
		over = time.After(r.For)
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	m := newMeter(p.stderr, r.For)
	if r.JSON {
		m.json = json.NewEncoder(p.stdout)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-tick.C:
		}
		var st capture.Status
		if err := c.call(ctx, http.MethodGet, "/v1/captures/"+id, nil, &st); err != nil {
			continue // stopping will tell
		}
		m.show(st)
		if st.State.Ended() {
			return
		}
	}
}

// deliver prints where the recording is, or downloads it.
func (r *recordCommand) deliver(ctx context.Context, p process, c *client, st capture.Status) error {
	var m storage.Manifest
	if err := c.call(ctx, http.MethodGet, "/v1/recordings/"+st.ID, nil, &m); err != nil {
		return err
	}
	if r.JSON {
		if err := json.NewEncoder(p.stdout).Encode(m); err != nil {
			return err
		}
	}
	if r.Out == "" && r.JSON {
		return nil
	}
	if r.Out == "" {
		fmt.Fprintf(p.stdout, "%s: %s, %.1f s, %d segments: %s/v1/recordings/%s\n", st.ID, st.State, st.Seconds, len(m.Segments), c.url, st.ID)
		return nil
	}
	dir := filepath.Join(r.Out, st.ID)
	names := []string{storage.ManifestName, storage.SignatureName}
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	for _, s := range m.Segments {
		names = append(names, s.Path)
	}
	for _, name := range names {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("the daemon names a file outside of the recording: %q", name)
		}
		if err := download(ctx, c, "/v1/recordings/"+st.ID+"/files/"+(&url.URL{Path: name}).EscapedPath(), filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	if !r.JSON {
		fmt.Fprintln(p.stdout, dir)
	}
	return nil
}

func download(ctx context.Context, c *client, path, to string) (err error) {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	defer resp.Body.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := io.Copy(f, resp.Body); err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	return nil
}
