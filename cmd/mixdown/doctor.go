package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"mixdown/configs"
	"mixdown/doctor"
	"mixdown/storage"
)

// doctorCommand is mixdown doctor.
type doctorCommand struct {
	Settings settings `embed:""`
	JSON     bool     `name:"json" help:"Print the findings as JSON."`
	Bundle   string   `help:"Also write a ZIP file for who is to help: findings, redacted configuration, state and timings of captures, metrics. No audio." placeholder:"FILE"`
}

// Run looks for what would keep the daemon from recording.
func (d *doctorCommand) Run(ctx context.Context, p process) error {
	c, err := d.Settings.load(p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	running := daemonOf(ctx, p, c)
	findings := examine(ctx, c, running != nil)
	if d.JSON {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(findings); err != nil {
			return err
		}
	} else {
		show(p.stdout, findings)
	}
	if d.Bundle != "" {
		if err := bundle(ctx, d.Bundle, c, findings, running); err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
		fmt.Fprintf(p.stderr, "%s holds names of rooms and users, and no audio; look at it before you give it away\n", d.Bundle)
	}
	if slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Verdict == doctor.Failed }) {
		return errors.New("doctor: recording would not work as it stands")
	}
	return nil
}

// examine makes every look there is.
func examine(ctx context.Context, c configs.Config, running bool) []doctor.Finding {
	all := doctor.Disk(c.Data)
	all = append(all, doctor.Secrets(c.Data), doctor.Clock(), doctor.Codec(), doctor.Files(),
		doctor.Port("listen", "tcp", c.Listen, running), doctor.Port("udp", "udp", c.UDP, running))
	for _, name := range slices.Sorted(maps.Keys(c.Storages)) {
		b, err := openBucket(c.Network, c.Storages[name])
		if err != nil {
			all = append(all, doctor.Finding{Check: "storage " + name, Verdict: doctor.Failed, Text: err.Error(), Next: "mend storages." + name + " in the configuration"})
			continue
		}
		all = append(all, doctor.Bucket(ctx, name, b))
	}
	return all
}

func show(w io.Writer, findings []doctor.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-4s  %-16s %s\n", f.Verdict, f.Check, f.Text)
		if f.Next != "" {
			fmt.Fprintf(w, "%24s→ %s\n", "", f.Next)
		}
	}
}

// daemonOf is the daemon that uses the data folder now, or nil.
func daemonOf(ctx context.Context, p process, c configs.Config) *client {
	cl, err := remote{Data: c.Data, Key: c.APIKey}.connect(p)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if cl.call(ctx, http.MethodGet, "/v1/me", nil, nil) != nil {
		return nil
	}
	return cl
}

const maxBundled = 8 << 20 // bytes of one file, the end of it

// bundle writes what helps to understand trouble. A daemon that runs is asked;
// of one that does not, there is what it left behind.
func bundle(ctx context.Context, name string, c configs.Config, findings []doctor.Finding, running *client) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	z := zip.NewWriter(f)
	add := func(name string, data []byte) {
		w, zerr := z.Create(name)
		if zerr == nil {
			_, zerr = w.Write(data)
		}
		err = errors.Join(err, zerr)
	}
	var text strings.Builder
	show(&text, findings)
	add("findings.txt", []byte(text.String()))
	build, _ := debug.ReadBuildInfo()
	add("version.txt", fmt.Appendf(nil, "mixdown %s, %s, %s/%s, %d processors\n%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), build))
	redacted, rerr := c.Redacted()
	err = errors.Join(err, rerr)
	add("configuration.yaml", redacted)
	if running != nil {
		for file, path := range map[string]string{
			"captures.json": "/v1/captures?limit=1000", "rooms.json": "/v1/rooms?limit=1000", "capacity.json": "/v1/capacity",
			"rules.json": "/v1/rules", "metrics.txt": "/metrics",
		} {
			add(file, running.fetch(ctx, path))
		}
	}
	for _, pattern := range []string{"captures/*/" + storage.EventsName, "rules/decisions.jsonl", "rooms/streams.jsonl"} {
		found, gerr := fs.Glob(os.DirFS(c.Data), pattern)
		err = errors.Join(err, gerr)
		for _, name := range found {
			add(name, tail(filepath.Join(c.Data, filepath.FromSlash(name))))
		}
	}
	return errors.Join(err, z.Close(), f.Sync(), f.Close())
}

// fetch is an answer of the daemon, or why there is none.
func (c *client) fetch(ctx context.Context, path string) []byte {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return []byte(err.Error())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBundled))
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// tail is the end of a file, from the start of a line.
func tail(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return []byte(err.Error())
	}
	from := max(0, info.Size()-maxBundled)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxBundled))
	if err != nil {
		return []byte(err.Error())
	}
	if from > 0 {
		_, rest, _ := strings.Cut(string(b), "\n")
		return []byte(rest)
	}
	return b
}
