package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/rooms/peer"
	"mixdown/rooms/token"
	"mixdown/servertest"
)

// asMixdown makes the test binary behave as the program, so that tests can
// kill a real process.
const asMixdown = "RUN_AS_MIXDOWN"

func TestMain(m *testing.M) {
	if os.Getenv(asMixdown) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// child is a daemon in a process of its own.
type child struct {
	t    testing.TB
	data string
	http string // fixed, so that a restarted daemon is found again
	udp  string
	args []string // of serve
	env  []string // besides this process's
	cmd  *exec.Cmd
	log  *servertest.Log // what it says
}

// newChild prepares a daemon over a fresh data folder.
func newChild(t testing.TB) *child {
	t.Helper()
	c := &child{t: t, data: t.TempDir(), http: servertest.FreeAddress(t, "tcp"), udp: servertest.FreeAddress(t, "udp"), log: &servertest.Log{}}
	c.args = []string{"--data", c.data, "--listen", c.http, "--udp", c.udp}
	return c
}

// said is what the process has said so far.
func (c *child) said() string { return c.log.String() }

func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(os.Args[0], append([]string{"serve"}, c.args...)...)
	c.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "MIXDOWN_") }), asMixdown+"=1")
	c.cmd.Env = append(c.cmd.Env, c.env...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			c.end(syscall.SIGKILL)
		}
		if c.t.Failed() {
			c.t.Logf("the daemon said:\n%s", c.said())
		}
	})
	eventually(c.t, "the daemon is ready", 20*time.Second, func() bool {
		resp, err := http.Get("http://" + c.http + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// end sends a signal and waits for the end.
func (c *child) end(s syscall.Signal) *os.ProcessState {
	_ = c.cmd.Process.Signal(s) // it may have ended
	_ = c.cmd.Wait()            // its state says more than the error
	return c.cmd.ProcessState
}

// client calls the daemon's API.
func (c *child) client() *client {
	c.t.Helper()
	key, err := os.ReadFile(filepath.Join(c.data, "api-key"))
	if err != nil {
		c.t.Fatal(err)
	}
	return &client{url: "http://" + c.http, key: strings.TrimSpace(string(key)), http: http.DefaultClient}
}

// eventually polls until what is true.
func eventually(t testing.TB, what string, within time.Duration, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := time.After(within)
	for !is() {
		select {
		case <-over:
			t.Fatalf("after %s still not: %s", within, what)
		case <-tick.C:
		}
	}
}

// call calls the API and fails the test on an error.
func call[O any](t testing.TB, c *client, method, path string, in any) O {
	t.Helper()
	var out O
	if err := c.call(t.Context(), method, path, in, &out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

// person is a Go participant that publishes a tone from now on until the test
// ends or leave is called. Packet n is of begin + n*20 ms.
type person struct {
	pub   *joiner.Publication
	begin time.Time
	first atomic.Int64 // number of the first packet that was sent, plus 1
	end   atomic.Int64 // number of the last packet that was sent, plus 1
	leave func()
}

// instant is when packet n begins.
func (p *person) instant(n int64) time.Time { return p.begin.Add(time.Duration(n) * pcm.FrameTime) }

// sound is a packet of what a person publishes.
type sound struct {
	payload []byte
	level   uint8 // RFC 6464
}

func piece(payload []byte, level uint8) sound { return sound{bytes.Clone(payload), level} }

// tone is what a person publishes: one second of a tone, repeated.
func tone(t testing.TB, hz float64) []sound {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 64000, Complexity: 5})
	if err != nil {
		t.Fatal(err)
	}
	var packets []sound
	var f pcm.Frame
	source := pcmtest.Tone(hz, 0.2)
	for range 100 {
		var buf [1500]byte
		if err := source.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		n, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, piece(buf[:n], 20))
	}
	return packets[50:]
}

// hesitate is how long people stay after their last word.
const hesitate = 250 * time.Millisecond

// join brings a person into a room. mint makes their token, url is the
// daemon's.
func join(t testing.TB, url, room, user string, packets []sound, mint func(user string) (string, error)) *person {
	t.Helper()
	return joinOver(t, nil, url, room, user, repeated(packets), mint)
}

// repeated is packets over and over: what a person says in packet n.
func repeated(packets []sound) func(n int64) sound {
	return func(n int64) sound { return packets[n%int64(len(packets))] }
}

// joinOver is join with a socket of the test's, nil is one of the machine's,
// and with what is said in packet n.
func joinOver(t testing.TB, socket net.PacketConn, url, room, user string, says func(n int64) sound, mint func(user string) (string, error)) *person {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	engine, err := peer.New(peer.Config{Conn: socket, SenderReports: true, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	pubs := &joiner.Publications{}
	mic := strings.ReplaceAll(user, "#", "") + "-mic"
	p := &person{pub: pubs.Add(mic, "", 1), begin: time.Now()}
	login := joiner.Login{
		URL: "ws" + strings.TrimPrefix(url, "http") + "/ws", RoomID: room, UserID: user, UserName: user,
		Token: func() (string, error) { return mint(user) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	speaking, silence := context.WithCancel(ctx)
	var wg, speech sync.WaitGroup
	wg.Go(func() {
		sys := native.New(native.Config{Engine: engine, Log: log})
		quick := func(int) time.Duration { return 200 * time.Millisecond }
		_ = joiner.NewParticipant(sys, login, deaf{}, pubs, quick, log).Run(ctx)
	})
	speech.Go(func() { p.speak(speaking, says) })
	p.leave = sync.OnceFunc(func() {
		silence()
		speech.Wait()
		<-time.After(hesitate) // what was said is on its way, and arrives
		cancel()
		wg.Wait()
		_ = engine.Close()
	})
	t.Cleanup(p.leave)
	return p
}

// speak publishes packet after packet until ctx ends.
func (p *person) speak(ctx context.Context, says func(n int64) sound) {
	for n := int64(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(p.instant(n))):
		}
		s := says(n)
		_ = p.pub.WritePacket(joiner.OutPacket{Pos: n * pcm.FrameSize, Samples: pcm.FrameSize, Level: s.level, Payload: s.payload})
		if p.pub.Stats().Sent > 0 {
			p.first.CompareAndSwap(0, n+1)
			p.end.Store(n + 1)
		}
	}
}

// minter makes tokens as the daemon over a data folder would.
func minter(data string) func(user string) (string, error) {
	return func(user string) (string, error) {
		b, err := os.ReadFile(filepath.Join(data, "app.json"))
		if err != nil {
			return "", err
		}
		var app struct {
			AppID  uint32 `json:"appID"`
			Secret string `json:"secret"`
		}
		if err := json.Unmarshal(b, &app); err != nil {
			return "", err
		}
		return mintFor(app.Secret, app.AppID, user)
	}
}

func mintFor(secret string, app uint32, user string) (string, error) {
	now := time.Now()
	return token.Make(secret, token.Claims{
		AppID: app, UserID: user, Login: true, Publish: true, Created: now, Expires: now.Add(time.Hour),
	})
}

// command runs the program in this process, without an environment.
func command(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return commandIn(t, nil, args...)
}

func commandIn(t testing.TB, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), process{args: args, environ: environ, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// tool runs a program that must be there; make test installs it.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is missing; make test installs it", name)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
