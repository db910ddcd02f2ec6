package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder/encodertest"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// TestRecordCommand: the command leaves a recording that can be proved where
// it was asked to, whatever users are called.
func TestRecordCommand(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.join("r", "ann#1", burst(t, annHz, 0, time.Minute, time.Minute))
	eventually(t, "somebody is there", 20*time.Second, func() bool { r, _ := h.rooms.Room("r"); return len(r.Streams) == 1 && r.Streams[0].Live })
	out := t.TempDir()
	code, stdout, stderr := command(t, "record", "--data", h.config.Data, "--room", "r", "--for", "3s", "--out", out)
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	dir := strings.TrimSpace(stdout)
	if filepath.Dir(dir) != out {
		t.Errorf("the recording is said to be at %q", dir)
	}
	if !strings.Contains(stderr, "recording") || !strings.Contains(stderr, "ann1-mic") {
		t.Errorf("no meters: %q", stderr)
	}
	raw, err := os.ReadFile(filepath.Join(dir, storage.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := storage.DecodeManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	if length := m.End.Sub(m.Start.Time); length < 2900*time.Millisecond || length > 6*time.Second {
		t.Errorf("3 s were recorded in %s", length)
	}
	for _, id := range []string{"mix-ogg", "streams-ogg/ann#1/ann1-mic"} {
		frames, _ := readOutput(t, dir, *m, id)
		if l := pcmtest.FrameLevel(&frames[len(frames)*3/4], annHz); l > -12 || l < -17 {
			t.Errorf("%s: the tone has %.1f dB", id, l)
		}
	}
	keys := filepath.Join(h.config.Data, "keys", "signing.pub")
	if code, stdout, stderr = command(t, "verify", dir, "--public-key", keys); code != exitOK || !strings.Contains(stdout, "intact") {
		t.Errorf("verify: exit %d: %s%s", code, stdout, stderr)
	}
	remixes(t, dir, *m)
	breakAndVerify(t, dir, keys, *m)

	code, stdout, stderr = command(t, "record", "--server", h.at.HTTP, "--key", "wrong", "--room", "r", "--for", "1s")
	if code != exitFailed || !strings.Contains(stderr, "API key") {
		t.Errorf("a wrong key: exit %d: %s%s", code, stdout, stderr)
	}
}

// remixes mixes a recording again, 6 dB quieter.
func remixes(t *testing.T, dir string, m storage.Manifest) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "again.wav")
	if code, stdout, stderr := command(t, "remix", dir, "--out", out, "--gain", "ann1-mic=-6"); code != exitOK {
		t.Fatalf("remix: exit %d: %s%s", code, stdout, stderr)
	}
	again, err := encodertest.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if length := pcm.Duration(int64(len(again))); length != m.End.Sub(m.Start.Time) {
		t.Errorf("%s were recorded, %s mixed again", m.End.Sub(m.Start.Time), length)
	}
	f := frames(again)
	if l := pcmtest.FrameLevel(&f[len(f)*3/4], annHz); l > -18 || l < -23 {
		t.Errorf("mixed again 6 dB quieter the tone has %.1f dB", l)
	}
	if code, _, stderr := command(t, "remix", dir, "--out", "again.mp3"); code != exitUsage || !strings.Contains(stderr, ".wav") {
		t.Errorf("a format that we do not have: exit %d: %s", code, stderr)
	}
	if code, _, stderr := command(t, "remix", t.TempDir(), "--out", out); code != exitFailed || !strings.Contains(stderr, "manifest") {
		t.Errorf("no recording: exit %d: %s", code, stderr)
	}
}

// breakAndVerify flips one byte of a segment and expects verify to name it.
func breakAndVerify(t *testing.T, dir, keys string, m storage.Manifest) {
	t.Helper()
	s := m.Segments[0]
	name := filepath.Join(dir, filepath.FromSlash(s.Path))
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, "verify", dir, "--public-key", keys)
	for _, part := range []string{s.Path, s.Start.String(), storage.AtSample(m.Start, s.StartSample+s.Samples).String()} {
		if !strings.Contains(stdout, part) {
			t.Errorf("verify does not name %s: %s", part, stdout)
		}
	}
	if code != exitFailed || strings.Count(stdout, "broken:") != 1 {
		t.Errorf("a flipped byte: exit %d: %s%s", code, stdout, stderr)
	}
}

func TestTokenCommand(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	code, stdout, stderr := command(t, "token", "--data", h.config.Data, "--room", "r", "--user", "ann", "--publish", "--ttl", "1m")
	text := strings.TrimSpace(stdout)
	if code != exitOK || !strings.HasPrefix(text, "04") || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Fatalf("exit %d: %q %q", code, stdout, stderr)
	}
	join(t, h.at.HTTP, "r", "ann", tone(t, annHz), func(string) (string, error) { return text, nil })
	eventually(t, "the token lets ann in to publish", 20*time.Second, func() bool { r, _ := h.rooms.Room("r"); return len(r.Streams) == 1 })

	// Without --publish it is for listening only.
	_, stdout, _ = commandIn(t, []string{"MIXDOWN_API_KEY=" + h.key}, "token", "--server", h.at.HTTP, "--data", "nowhere", "--room", "r", "--user", "bob")
	bob := join(t, h.at.HTTP, "r", "bob", tone(t, beaHz), func(string) (string, error) { return strings.TrimSpace(stdout), nil })
	eventually(t, "bob may not publish", 20*time.Second, func() bool { return bob.pub.Stats().Err != nil })

	for _, args := range [][]string{{"--room", "r/1", "--user", "u"}, {"--room", "r", "--user", "u", "--ttl=-1h"}} {
		if code, stdout, stderr := command(t, append([]string{"token", "--data", h.config.Data}, args...)...); code != exitFailed || stdout != "" || stderr == "" {
			t.Errorf("%q: exit %d: %s%s", args, code, stdout, stderr)
		}
	}
	h.stop()
	code, _, stderr = command(t, "token", "--data", h.config.Data, "--room", "r", "--user", "u")
	if code != exitFailed || !strings.Contains(stderr, "no daemon uses") {
		t.Errorf("without a daemon: exit %d: %s", code, stderr)
	}
}

// TestUsage: what is wrong is named, with the nearest right thing, and the exit code is 2.
func TestUsage(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "mixdown.yaml")
	if err := os.WriteFile(config, []byte("listen: 127.0.0.1:0\nstorages:\n  archive:\n    buckett: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		args  string
		env   []string
		names []string
	}{
		{"serve --lisen :0", nil, []string{"--lisen", "--help"}},
		{"sevre", nil, []string{"sevre", "--help"}},
		{"", nil, []string{"--help"}},
		{"record", nil, []string{"--room", "mixdown record --help"}},
		{"record --room r --for soon", nil, []string{"soon"}},
		{"serve --config " + config, nil, []string{"buckett", "bucket?", "line 4"}},
		{"serve --config " + config + ".none", nil, []string{config + ".none"}},
		{"serve --listen nonsense", nil, []string{"listen", "host:port"}},
		{"serve", []string{"MIXDOWN_LISTN=:0"}, []string{"MIXDOWN_LISTN", "MIXDOWN_LISTEN?"}},
		{"serve", []string{"MIXDOWN_LOG_LEVEL=loud"}, []string{"log.level", "loud"}},
		{"serve", []string{"MIXDOWN_APP_SECRET=short-canary"}, []string{"app.secret", "32"}},
		{"verify " + filepath.Join(empty, "none"), nil, []string{"none"}},
		{"verify " + empty, nil, []string{"no recording"}},
		{"verify s3://nobody/knows", nil, []string{"nobody", "--config"}},
		{"verify " + empty + " --public-key " + config, nil, []string{"public key"}},
	} {
		code, stdout, stderr := commandIn(t, c.env, strings.Fields(c.args)...)
		if code != exitUsage {
			t.Errorf("mixdown %s: exit %d: %s%s", c.args, code, stdout, stderr)
		}
		for _, name := range c.names {
			if !strings.Contains(stderr, name) {
				t.Errorf("mixdown %s does not say %s: %s", c.args, name, stderr)
			}
		}
		if strings.Contains(stderr, "short-canary") {
			t.Errorf("mixdown %s tells the secret: %s", c.args, stderr)
		}
	}
	for _, args := range []string{"--help", "serve --help", "verify --help"} {
		if code, stdout, _ := command(t, strings.Fields(args)...); code != exitOK || !strings.Contains(stdout, "Usage: mixdown") {
			t.Errorf("mixdown %s: exit %d: %s", args, code, stdout)
		}
	}
	if code, stdout, _ := command(t, "--version"); code != exitOK || strings.TrimSpace(stdout) != version {
		t.Errorf("--version: exit %d: %s", code, stdout)
	}
}

// TestServe: file, environment and flags set the same keys, each winning over
// the one before; the daemon tells where it is; SIGTERM ends it well, and what
// it recorded goes on in its next life.
func TestServe(t *testing.T) {
	t.Parallel()
	d := newChild(t)
	c := configs.Default()
	c.Listen, c.UDP, c.Data, c.APIKey = "127.0.0.1:1", "127.0.0.1:1", "/nonexistent", "from-the-file-canary"
	c.Log = configs.Log{Level: "error", Format: "json"}
	d.args = []string{"--config", writeConfig(t, c), "--data", d.data}
	d.env = []string{"MIXDOWN_DATA=/nonexistent", "MIXDOWN_LISTEN=" + d.http, "MIXDOWN_UDP=" + d.udp, "MIXDOWN_LOG_LEVEL=info"}
	d.start()
	checkAnnounced(t, d)
	client := &client{url: "http://" + d.http, key: "from-the-file-canary", http: http.DefaultClient}
	for user, hz := range map[string]float64{"ann": annHz, "bea": beaHz} {
		join(t, client.url, "r", user, tone(t, hz), minter(d.data))
	}
	first := call[capture.Status](t, client, http.MethodPut, "/v1/captures/c1", capture.Spec{
		Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{{What: "mix"}, {What: "streams"}},
	})
	recording := func() bool {
		st := call[capture.Status](t, client, http.MethodGet, "/v1/captures/c1", nil)
		heard := 0
		for _, s := range st.Streams {
			if s.Present {
				heard++
			}
		}
		return st.State == capture.Recording && heard == 2
	}
	eventually(t, "both are recorded", 30*time.Second, recording)
	secondDaemon(t, d.data)
	<-time.After(2 * time.Second)
	asked := time.Now()
	if state := d.end(syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("SIGTERM: %s", state)
	}
	t.Logf("SIGTERM took %s", time.Since(asked)) // mostly the disk's
	var m storage.Manifest
	raw, err := os.ReadFile(filepath.Join(d.data, "recordings", "r", "c1", storage.ManifestName))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil || m.State != "interrupted" || m.End != nil {
		t.Errorf("the manifest meanwhile: %s, end %v (%v)", m.State, m.End, err)
	}
	if _, err := os.Stat(filepath.Join(d.data, "addresses.json")); !os.IsNotExist(err) {
		t.Errorf("addresses.json is still there: %v", err)
	}

	d.start()
	eventually(t, "both are recorded again", 30*time.Second, recording)
	<-time.After(2 * time.Second)
	st := call[capture.Status](t, client, http.MethodPost, "/v1/captures/c1/stop", nil)
	if st.State != capture.Complete || !st.Start.Equal(first.Start.Time) {
		t.Errorf("resumed: %s (%s), start %s, not %s", st.State, st.Reason, st.Start, first.Start)
	}
	dir := filepath.Join(d.data, "recordings", "r", "c1")
	if code, out, errs := command(t, "verify", dir, "--public-key", filepath.Join(d.data, "keys", "signing.pub")); code != exitOK {
		t.Errorf("verify: exit %d: %s%s", code, out, errs)
	}
	m = call[storage.Manifest](t, client, http.MethodGet, "/v1/recordings/c1", nil)
	mix, _ := readOutput(t, dir, m, "mix-ogg")
	if off := m.Start.Add(time.Duration(len(mix)) * pcm.FrameTime).Sub(m.End.Time); off.Abs() > pcm.FrameTime {
		t.Errorf("the mix is %s longer than the capture", off)
	}
	if said := d.said(); strings.Contains(said, "canary") {
		t.Errorf("the key was told: %s", said)
	}
}

// checkAnnounced: the daemon says where it is, to people and to programs.
func checkAnnounced(t *testing.T, d *child) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.data, "addresses.json"))
	if want := fmt.Sprintf(`{"http":"http://%s","udp":"%s"}`, d.http, d.udp); err != nil || strings.TrimSpace(string(raw)) != want {
		t.Errorf("addresses.json: %s (%v), want %s", raw, err, want)
	}
	eventually(t, "the daemon tells its login link", 5*time.Second, func() bool { return strings.Contains(d.said(), "token=") })
	listening, link := false, false
	for line := range strings.Lines(d.said()) {
		var l struct{ Msg, HTTP, UDP string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "listening" && l.HTTP == "http://"+d.http && l.UDP == d.udp {
			listening = true
		}
		link = link || strings.Contains(line, "http://"+d.http+"/call#") && strings.Contains(line, "token=")
	}
	if !listening || !link {
		t.Errorf("listening %v, login link %v in: %s", listening, link, d.said())
	}
	err = filepath.WalkDir(d.data, func(path string, e fs.DirEntry, err error) error {
		if info, ierr := e.Info(); err == nil && ierr == nil && !e.IsDir() && strings.Contains("api-key app.json signing.key", e.Name()) && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// secondDaemon expects a daemon on a data folder in use to give up clearly,
// and to leave the first one's files alone.
func secondDaemon(t *testing.T, data string) {
	t.Helper()
	before, _ := os.ReadFile(filepath.Join(data, "addresses.json"))
	code, stdout, stderr := command(t, "serve", "--data", data, "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0")
	if code != exitFailed || !strings.Contains(stderr, "another") || !strings.Contains(stderr, data) {
		t.Errorf("a second daemon: exit %d: %s%s", code, stdout, stderr)
	}
	if after, _ := os.ReadFile(filepath.Join(data, "addresses.json")); string(after) != string(before) {
		t.Errorf("it changed addresses.json to %s", after)
	}
}

// TestRecordAsJSON: each state and the manifest are lines that programs read.
func TestRecordAsJSON(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.join("r", "ann", tone(t, 440))
	code, out, errs := command(t, "record", "--data", h.config.Data, "--room", "r", "--for", "2s", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) < 3 {
		t.Fatalf("exit %d, %d lines\n%s%s", code, len(lines), out, errs)
	}
	for i, line := range lines {
		var v struct{ State, Format string }
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.State == "" || (i == len(lines)-1) != (v.Format == storage.ManifestFormat) {
			t.Errorf("line %d: %v: %.200s", i, err, line)
		}
	}
}

// TestMeter draws what a terminal shows.
func TestMeter(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	m := newMeter(&b, 30*time.Second)
	m.terminal = true
	st := capture.Status{State: capture.Recording, Seconds: 12.5, Streams: []capture.StreamStatus{
		{StreamID: "a-mic", User: joiner.User{ID: "ann"}, Present: true, LevelDB: -30, Ledger: storage.Ledger{"lost": 40}},
		{StreamID: "gone", User: joiner.User{ID: "bob"}},
	}}
	m.show(st)
	m.show(st)
	want := "recording       12.5 s of 30 s\n  ann                      " + strings.Repeat("█", 15) + strings.Repeat("·", 15) + "   -30 dB  lost 0.04 s\n"
	if b.String() != want+"\x1b[2A\x1b[J"+want {
		t.Errorf("%q", b.String())
	}
}
