package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mixdown/rooms"
	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
	"mixdown/rooms/token"
)

// loopback runs a service on real sockets. Its token lets user log in anywhere.
func loopback(t testing.TB, user string) (url, loginToken string) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	media, err := sfu.New(sfu.Config{Conn: conn})
	check(t, err)
	s, err := rooms.New(rooms.Config{AppID: appID, Secret: secret, Media: media})
	check(t, err)
	server := httptest.NewServer(s.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		server.Close()
		check(t, media.Close())
		check(t, conn.Close())
	})
	text, err := s.MintToken(token.Claims{UserID: user, Login: true, Publish: true, Expires: time.Now().Add(time.Hour)})
	check(t, err)
	return server.URL, text
}

// FuzzMessages sends any two messages, the first before and the second after a
// login. Each is answered, ignored as a notification, or ends the connection;
// afterwards the service still works.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"jsonrpc":"2.0","id":1,"method":"loginRoom","params":{"roomID":"r","token":"04","user":{"userID":"u"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"startPublishing","params":{"streamID":"s","sdp":"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendonly\r\n"}}`,
		`{"jsonrpc":"2.0","id":"x","method":"startPlaying","params":{"streamIDs":["s","s","t"]}}`,
		`{"jsonrpc":"2.0","id":0,"method":"stopPlaying","params":{"streamIDs":["s"]}}`,
		`{"jsonrpc":"2.0","id":0,"method":"stopPublishing","params":{"streamID":"s"}}`,
		`{"jsonrpc":"2.0","id":-1e3,"method":"answer","params":{"sdp":"v=0"}}`,
		`{"jsonrpc":"2.0","id":2,"method":"setStreamExtraInfo","params":{"streamID":"s","extraInfo":"x"}}`,
		`{"jsonrpc":"2.0","id":2,"method":"setRoomExtraInfo","params":{"key":"recording","value":true}}`,
		`{"jsonrpc":"2.0","id":2,"method":"sendBroadcastMessage","params":{"message":"x"}}`,
		`{"jsonrpc":"2.0","method":"renewToken","params":{"roomID":"r","token":"04AAAA"}}`,
		`{"jsonrpc":"2.0","id":2,"method":"logoutRoom","params":{"roomID":"r"}}`,
		`{"jsonrpc":"2.0","id":2,"method":"loginRoom","params":{"sessionID":"x"}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	url, loginToken := loopback(f, "u")
	f.Fuzz(func(t *testing.T, before, after []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, url+"/ws", nil)
		check(t, err)
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		params, _ := json.Marshal(signal.LoginParams{RoomID: "r", Token: loginToken, User: signal.User{UserID: "u"}})
		for _, message := range [][]byte{before, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"login","method":"loginRoom","params":%s}`, params), after,
			[]byte(`{"jsonrpc":"2.0","id":"last","method":"fly"}`)} {
			if ws.Write(ctx, websocket.MessageText, message) != nil {
				return
			}
		}
		for {
			_, data, err := ws.Read(ctx)
			if err != nil {
				if code := websocket.CloseStatus(err); code != websocket.StatusPolicyViolation {
					t.Fatalf("after %q and %q: %v", before, after, err)
				}
				return
			}
			var m signal.Message
			if err := json.Unmarshal(data, &m); err != nil || m.Version != "2.0" {
				t.Fatalf("the server sent %q", data)
			}
			if string(m.ID) == `"last"` && m.Error != nil && m.Error.Code == signal.CodeMethodNotFound {
				return
			}
		}
	})
}

// TestLoopback is the whole thing on real sockets, once.
func TestLoopback(t *testing.T) {
	url, loginToken := loopback(t, "u")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	check(t, err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", response.StatusCode)
	}
	params, _ := json.Marshal(signal.LoginParams{RoomID: "r", Token: loginToken, User: signal.User{UserID: "u"}})
	check(t, ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"loginRoom","params":%s}`, params)))
	_, data, err := ws.Read(ctx)
	check(t, err)
	var m signal.Message
	check(t, json.Unmarshal(data, &m))
	var r signal.LoginResult
	check(t, json.Unmarshal(m.Result, &r))
	if r.RoomID != "r" || r.SessionID == "" {
		t.Errorf("login: %s", data)
	}
	check(t, ws.Close(websocket.StatusNormalClosure, ""))
}
