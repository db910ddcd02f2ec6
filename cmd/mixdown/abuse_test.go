package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"mixdown/capture"
)

// growth is what one kind of abuse may cost the daemon in memory. With the race
// detector in it that is told only.
const growth = 64 << 20

// TestAbuse: while a room is recorded, clients do what clients should not.
// Limits answer, memory stays bounded, somebody well-behaved is served, and the
// recording loses nothing. Response times are told, not judged: the machine may
// be busy.
func TestAbuse(t *testing.T) {
	c := newChild(t)
	c.env = []string{"MIXDOWN_LIMITS_ROOMS=300"}
	c.start()
	client, mint := c.client(), minter(c.data)
	join(t, "http://"+c.http, "good", "ann", tone(t, 440), mint)
	call[capture.Status](t, client, http.MethodPut, "/v1/captures/good", map[string]any{
		"room": map[string]any{"roomID": "good"}, "record": []any{map[string]any{"what": "mix"}, map[string]any{"what": "streams"}},
	})
	eventually(t, "ann is recorded", 20*time.Second, func() bool {
		return call[capture.Status](t, client, http.MethodGet, "/v1/captures/good", nil).State == capture.Recording
	})
	time.Sleep(8 * time.Second) // until recording has all the buffers that it needs
	before := c.metrics()
	watched, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	var took []time.Duration
	var peak atomic.Int64
	watch.Go(func() {
		for watched.Err() == nil {
			start := time.Now()
			var st capture.Status
			if err := client.call(t.Context(), http.MethodGet, "/v1/captures/good", nil, &st); err != nil {
				t.Errorf("a well-behaved client: %v", err)
				return
			}
			took = append(took, time.Since(start))
			peak.Store(max(peak.Load(), int64(c.metrics()["process_resident_memory_bytes"])))
			time.Sleep(100 * time.Millisecond)
		}
	})
	for name, abuse := range map[string]func(*testing.T, *child){
		"slow headers": slowHeaders, "huge body": hugeBody, "huge frame": hugeFrame,
		"pings": pings, "rooms": tooManyRooms, "coming and going": comingAndGoing,
	} {
		start, was := time.Now(), int64(c.metrics()["process_resident_memory_bytes"])
		peak.Store(was)
		abuse(t, c)
		grown := peak.Load() - was
		t.Logf("%s took %s; memory grew by %d MiB at most", name, time.Since(start).Round(time.Millisecond), grown>>20)
		if grown > growth && !raced {
			t.Errorf("%s: memory grew from %d to %d bytes", name, was, peak.Load())
		}
	}
	stop()
	watch.Wait()
	slices.Sort(took)
	t.Logf("a well-behaved request took %s in the median, %s at worst", took[len(took)/2], took[len(took)-1])
	eventually(t, "descriptors and goroutines are back", 60*time.Second, func() bool {
		now := c.metrics()
		return now["process_open_fds"] < before["process_open_fds"]+20 && now["go_goroutines"] < before["go_goroutines"]+50
	})
	st := call[capture.Status](t, client, http.MethodPost, "/v1/captures/good/stop", nil)
	if l := st.Streams[0].Ledger; l["lost"] > 0 || l["concealed"] > 0 || l["recorderDown"] > 0 {
		t.Errorf("the recording lost something: %v", l)
	}
	if code, out, errs := command(t, "verify", filepath.Join(c.data, "recordings", "good", "good")); code != exitOK {
		t.Errorf("verify: %s%s", out, errs)
	}
}

func (c *child) metrics() map[string]float64 {
	c.t.Helper()
	resp, err := http.Get("http://" + c.http + "/metrics")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return parseMetrics(c.t, b)
}

func (c *child) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.http)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// slowHeaders opens 2,000 connections that never finish their request. They
// are cut off within the time for headers.
func slowHeaders(t *testing.T, c *child) {
	conns := make([]net.Conn, 2000)
	for i := range conns {
		conns[i] = c.dial(t)
		fmt.Fprintf(conns[i], "GET /v1/captures HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	}
	for _, conn := range conns {
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("a connection without a request was not cut off: %v", err)
			return
		}
	}
}

// hugeBody sends 1 GiB where a few kilobytes are expected. The answer comes
// after little of it.
func hugeBody(t *testing.T, c *child) {
	conn := c.dial(t)
	key, err := os.ReadFile(filepath.Join(c.data, "api-key"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /v1/captures/huge HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		strings.TrimSpace(string(key)), 1<<30)
	block := bytes.Repeat([]byte(" "), 64<<10)
	answer := make(chan string, 1)
	go func() { // ends with the connection
		line, _ := bufio.NewReader(conn).ReadString('\n')
		answer <- line
	}()
	sent := 0
	for sent < 1<<30 {
		n, err := conn.Write(block)
		sent += n
		if err != nil {
			break
		}
		select {
		case line := <-answer:
			answer <- line
			conn.Close()
		default:
		}
	}
	if sent > 32<<20 {
		t.Errorf("the daemon read %d bytes of a body", sent)
	}
	if line := <-answer; !strings.Contains(line, "413") && line != "" {
		t.Errorf("answer to a huge body: %q", line)
	}
}

// hugeFrame announces a WebSocket frame of 1 GiB and sends what it can of it.
func hugeFrame(t *testing.T, c *child) {
	conn := c.dial(t)
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	head := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, 1<<30)
	_, _ = conn.Write(append(head, 0, 0, 0, 0)) // a mask of zeros
	block := bytes.Repeat([]byte("x"), 64<<10)
	sent := 0
	for sent < 1<<30 {
		n, err := conn.Write(block)
		sent += n
		if err != nil {
			break
		}
	}
	if sent > 64<<20 {
		t.Errorf("the daemon read %d bytes of a frame", sent)
	}
}

// pings floods a WebSocket with pings and does not read the pongs.
func pings(t *testing.T, c *child) {
	conn := c.dial(t)
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, bytes.Repeat([]byte("p"), 125)...)
	flood := bytes.Repeat(ping, 500)
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	for range 1000 { // half a million, or until it ends
		if _, err := conn.Write(flood); err != nil {
			return
		}
	}
}

// login logs a user in to a room and returns the connection and the answer's
// error code.
func (c *child) login(t *testing.T, room, user string) (*websocket.Conn, int) {
	t.Helper()
	token, err := minter(c.data)(user)
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(t.Context(), "ws://"+c.http+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = wsjson.Write(t.Context(), ws, map[string]any{"jsonrpc": "2.0", "id": 1, "method": "loginRoom", "params": map[string]any{
		"roomID": room, "token": token, "user": map[string]any{"userID": user, "userName": user},
	}})
	for err == nil {
		var m struct {
			ID    int
			Error *struct{ Code int }
		}
		if err = wsjson.Read(t.Context(), ws, &m); err == nil && m.ID == 1 {
			if m.Error != nil {
				return ws, m.Error.Code
			}
			return ws, 0
		}
	}
	t.Fatalf("login: %v", err)
	return nil, 0
}

// tooManyRooms opens rooms until the service has no more.
func tooManyRooms(t *testing.T, c *child) {
	opened, refused := 0, 0
	for i := range 320 {
		ws, code := c.login(t, fmt.Sprint("room-", i), fmt.Sprint("user-", i))
		defer ws.CloseNow()
		switch code {
		case 0:
			opened++
		case 1002034:
			refused++
		default:
			t.Fatalf("room %d: code %d", i, code)
		}
	}
	if opened != 299 || refused != 21 { // one is the room that is recorded
		t.Errorf("%d rooms opened, %d refused, of a limit of 300", opened, refused)
	}
}

// comingAndGoing is somebody who joins and leaves 200 times a second, as far
// as the machine lets them, for five seconds.
func comingAndGoing(t *testing.T, c *child) {
	for i, end := 0, time.Now().Add(5*time.Second); time.Now().Before(end); i++ {
		ws, _ := c.login(t, "good", fmt.Sprint("visitor-", i%20))
		ws.CloseNow()
		time.Sleep(5 * time.Millisecond)
	}
}
