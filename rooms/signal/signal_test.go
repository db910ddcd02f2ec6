package signal_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mixdown/rooms/signal"
)

func TestMessages(t *testing.T) {
	for name, x := range map[string]struct {
		message signal.Message
		want    string
	}{
		"request":      {signal.Message{Version: "2.0", ID: json.RawMessage("1"), Method: signal.LogoutRoom, Params: json.RawMessage("{}")}, `{"jsonrpc":"2.0","id":1,"method":"logoutRoom","params":{}}`},
		"notification": {signal.Message{Version: "2.0", Method: signal.Offer, Params: json.RawMessage("{}")}, `{"jsonrpc":"2.0","method":"offer","params":{}}`},
		"result":       {signal.Message{Version: "2.0", ID: json.RawMessage(`"a"`), Result: json.RawMessage("{}")}, `{"jsonrpc":"2.0","id":"a","result":{}}`},
		"error":        {signal.Message{Version: "2.0", ID: json.RawMessage("null"), Error: &signal.Error{Code: -32700, Message: "no"}}, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`},
	} {
		got, err := json.Marshal(x.message)
		if err != nil || string(got) != x.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, x.want)
		}
	}
	if err := error(&signal.Error{Message: "no"}); err.Error() != "no" {
		t.Errorf("error text %q", err)
	}
}

// TestManual keeps docs/room-protocol.md to what is spoken: every method,
// notification and code in it, and its example made of real messages.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/room-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(text)
	methods := []string{signal.LoginRoom, signal.LogoutRoom, signal.RenewToken, signal.StartPublishing, signal.StopPublishing, signal.StartPlaying,
		signal.StopPlaying, signal.Answer, signal.SetStreamExtraInfo, signal.SetRoomExtraInfo, signal.SendBroadcastMessage,
		signal.SendBarrageMessage, signal.SendCustomCommand}
	notifications := []string{signal.RoomStateUpdate, signal.RoomUserUpdate, signal.RoomStreamUpdate, signal.StreamExtraInfoUpdate, signal.RoomExtraInfoUpdate,
		signal.RoomOnlineUserCountUpdate, signal.PublisherStateUpdate, signal.PlayerStateUpdate, signal.RoomSoundLevel, signal.TokenWillExpire,
		signal.IMRecvBroadcastMessage, signal.IMRecvBarrageMessage, signal.IMRecvCustomCommand, signal.Offer}
	for _, name := range slices.Concat(methods, notifications) {
		if !strings.Contains(manual, "| `"+name+"` |") {
			t.Errorf("%s has no row in the manual", name)
		}
	}
	for _, code := range []int{signal.CodeParse, signal.CodeInvalidRequest, signal.CodeMethodNotFound, signal.CodeInvalidParams, signal.CodeInternal,
		signal.CodeFlood, signal.CodeNotLoggedIn, signal.CodeNotLoggedOut, signal.CodeUserNameTooLong, signal.CodeRoomGone, signal.CodeTokenAuthFailed,
		signal.CodeRoomFull, signal.CodeKickedSameUser, signal.CodeRetryExceeded, signal.CodeKickedByServer, signal.CodeLoggedInElsewhere,
		signal.CodePublishForbidden, signal.CodeDuplicateStream, signal.CodeStreamInfoTooLong, signal.CodePlayNoSuchStream, signal.CodePlayInterrupted,
		signal.CodePlayFailed, signal.CodeTokenRequired, signal.CodeTokenFormat, signal.CodeTokenExpired, signal.CodeForbidden,
		signal.CodePublishMediaFailed, signal.CodePublishAuthFailed, signal.CodePublishBadSDP, signal.CodeNotPublishing, signal.CodePublishRetryTimeout,
		signal.CodeAlreadyPublishing, signal.CodePlayBadSDP, signal.CodeAlreadyPlaying, signal.CodeMessageEmpty, signal.CodeMessageTooLong,
		signal.CodeMessageRateLimited, signal.CodeExtraKeyTooLong} {
		if !strings.Contains(manual, strconv.Itoa(code)) {
			t.Errorf("code %d is not in the manual", code)
		}
	}
	lines := 0
	for s := bufio.NewScanner(strings.NewReader(manual)); s.Scan(); {
		from, message, ok := strings.Cut(s.Text(), " {")
		if !ok || from != ">" && from != "<" {
			continue
		}
		lines++
		var m signal.Message
		if err := json.Unmarshal([]byte("{"+message), &m); err != nil || m.Version != "2.0" {
			t.Errorf("%v in the example's %s", err, s.Text())
		}
		if from == ">" && !slices.Contains(methods, m.Method) || from == "<" && m.Method != "" && !slices.Contains(notifications, m.Method) {
			t.Errorf("the example's %s has a method that nobody knows", s.Text())
		}
	}
	if lines < 20 {
		t.Errorf("the example has %d lines", lines)
	}
}
