package native_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/signal"
)

// TestLoginParams: what a login says, and when it resumes a session.
func TestLoginParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *client, method string, _ json.RawMessage) (any, *signal.Error) {
			if c.number == 3 && method == signal.LoginRoom {
				return nil, &signal.Error{Code: signal.CodeRoomFull, Message: "full"}
			}
			return loggedIn(c, method, nil)
		})
		system := f.system()
		drop := func(n int) {
			_, ended := connect(t, system, fakeLogin(true), joinertest.NewEar(), nil)
			time.Sleep(time.Second)
			_ = f.client(n).ws.CloseNow()
			if err := <-ended; err == nil || errors.Is(err, joiner.ErrPermanent) {
				t.Errorf("connection %d ended with %v", n, err)
			}
		}
		drop(0) // a new session
		time.Sleep(29 * time.Second)
		drop(1) // resumed
		time.Sleep(30 * time.Second)
		drop(2) // too late
		drop(3) // resumed, and refused
		end, ended := connect(t, system, fakeLogin(true), joinertest.NewEar(), nil)
		time.Sleep(time.Second)
		end(errAnything)
		if err := <-ended; !errors.Is(err, errAnything) {
			t.Error(err)
		}
		if n := len(f.asked(signal.LogoutRoom)); n != 1 {
			t.Errorf("logged out %d times", n)
		}
		drop(5) // after logging out

		var sessions []string
		for _, r := range f.asked(signal.LoginRoom) {
			p := read[signal.LoginParams](t, r)
			sessions = append(sessions, p.SessionID)
			p.SessionID = ""
			want := signal.LoginParams{RoomID: "r", Token: "token", User: signal.User{UserID: "me", UserName: "Me"}, Config: signal.RoomConfig{UserUpdate: true}}
			if p != want {
				t.Errorf("login %+v, want %+v", p, want)
			}
		}
		if want := []string{"", "session", "", "session", "", ""}; !slices.Equal(sessions, want) {
			t.Errorf("sessions %q, want %q", sessions, want)
		}
	})
}

// TestPlayBatch: what is there at login is asked for at once and once only.
func TestPlayBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var streams []signal.Stream
		for i := range 50 {
			streams = append(streams, signal.Stream{StreamID: fmt.Sprint("s", i), User: signal.User{UserID: fmt.Sprint("u", i)}})
		}
		own := signal.Stream{StreamID: "mine", User: signal.User{UserID: "me"}}
		f := newFake(t, func(_ *client, method string, _ json.RawMessage) (any, *signal.Error) {
			if method == signal.LoginRoom {
				return signal.LoginResult{RoomID: "r", SessionID: "s", Streams: append(streams, own)}, nil
			}
			return struct{}{}, nil
		})
		rec := joinertest.NewEar()
		connect(t, f.system(), fakeLogin(true), rec, nil)
		time.Sleep(100 * time.Millisecond)
		f.client(0).notify(signal.RoomStreamUpdate, signal.StreamUpdateParams{UpdateType: signal.Add, StreamList: append(streams, own)})
		time.Sleep(time.Second)
		asked := f.asked(signal.StartPlaying)
		if len(asked) != 1 {
			t.Fatalf("asked %d times", len(asked))
		}
		if ids := read[signal.StreamsParams](t, asked[0]).StreamIDs; len(ids) != 50 || ids[0] != "s0" || ids[49] != "s49" {
			t.Errorf("asked for %v", ids)
		}
		if lines := rec.Take(); len(lines) != 51 || lines[50] != "CONNECTED" {
			t.Errorf("told %q", lines)
		}
	})
}

// TestPlayRefused: a refusal is not the end, unless the stream is gone.
func TestPlayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := 3
		f := newFake(t, func(c *client, method string, _ json.RawMessage) (any, *signal.Error) {
			if method == signal.StartPlaying && refusals > 0 {
				refusals--
				return nil, &signal.Error{Code: signal.CodeInternal, Message: "not now"}
			}
			return loggedIn(c, method, nil)
		})
		connect(t, f.system(), fakeLogin(true), joinertest.NewEar(), nil)
		time.Sleep(time.Second)
		list := func(ids ...string) (p signal.StreamUpdateParams) {
			for _, id := range ids {
				p.StreamList = append(p.StreamList, signal.Stream{StreamID: id, User: signal.User{UserID: "ann"}})
			}
			return p
		}
		p := list("a", "b")
		p.UpdateType = signal.Add
		f.client(0).notify(signal.RoomStreamUpdate, p)
		time.Sleep(1500 * time.Millisecond)
		p = list("b")
		p.UpdateType = signal.Delete
		f.client(0).notify(signal.RoomStreamUpdate, p)
		time.Sleep(10 * time.Second)
		var ids []string
		for _, r := range f.asked(signal.StartPlaying) {
			ids = append(ids, strings.Join(read[signal.StreamsParams](t, r).StreamIDs, "+"))
		}
		if want := []string{"a+b", "a+b", "a", "a"}; !slices.Equal(ids, want) {
			t.Errorf("asked for %q, want %q", ids, want)
		}
	})
}

// TestRefusals: which codes are for good, at the login and later.
func TestRefusals(t *testing.T) {
	permanent := []int{
		signal.CodeKickedSameUser, signal.CodeKickedByServer, signal.CodeLoggedInElsewhere, signal.CodeAuthFailed,
		signal.CodeTokenAuthFailed, signal.CodeTokenRequired, signal.CodeTokenFormat, signal.CodeRoomIDBad, signal.CodeUserIDTooLong,
	}
	transient := []int{0, signal.CodeInternal, signal.CodeRoomFull, signal.CodeRoomGone, signal.CodeHeartbeatTimeout, signal.CodeFlood, signal.CodeRetryExceeded}
	for _, code := range slices.Concat(permanent, transient) {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *client, method string, _ json.RawMessage) (any, *signal.Error) {
					if method == signal.LoginRoom && c.number == 0 {
						return nil, &signal.Error{Code: code, Message: "no"}
					}
					return loggedIn(c, method, nil)
				})
				system := f.system()
				_, ended := connect(t, system, fakeLogin(true), joinertest.NewEar(), nil)
				if err := <-ended; errors.Is(err, joiner.ErrPermanent) != slices.Contains(permanent, code) {
					t.Errorf("refused: %v", err)
				}
				_, ended = connect(t, system, fakeLogin(true), joinertest.NewEar(), nil)
				time.Sleep(time.Second)
				f.client(1).notify(signal.RoomStateUpdate, signal.RoomStateParams{State: signal.Connected})
				f.client(1).notify(signal.RoomStateUpdate, signal.RoomStateParams{State: signal.Disconnected, ErrorCode: code, ExtendedData: "go"})
				_ = f.client(1).ws.CloseNow() // right after the words
				if err := <-ended; errors.Is(err, joiner.ErrPermanent) != slices.Contains(permanent, code) || !strings.Contains(err.Error(), "go") {
					t.Errorf("dismissed: %v", err)
				}
			})
		})
	}
}

// TestDeadLink: a server that says nothing any more is noticed within 10 s.
func TestDeadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, loggedIn)
		_, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
		time.Sleep(20 * time.Second) // pings are answered
		select {
		case err := <-ended:
			t.Fatalf("ended with %v", err)
		default:
		}
		f.dead.Store(true)
		start := time.Now()
		err := <-ended
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if err == nil || errors.Is(err, joiner.ErrPermanent) {
			t.Errorf("error %v", err)
		}
	})
}

// TestSilentLogin: a server that does not answer the login is left.
func TestSilentLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(*client, string, json.RawMessage) (any, *signal.Error) { return nil, nil })
		start := time.Now()
		_, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
		if err := <-ended; err == nil || errors.Is(err, joiner.ErrPermanent) || time.Since(start) > 11*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		end, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
		time.Sleep(time.Second)
		start = time.Now()
		end(errAnything)
		if err := <-ended; !errors.Is(err, errAnything) || time.Since(start) > 2*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestHTTPRefusal(t *testing.T) {
	for status, permanent := range map[int]bool{
		http.StatusUnauthorized: true, http.StatusForbidden: true,
		http.StatusNotFound: false, http.StatusBadGateway: false, http.StatusServiceUnavailable: false, http.StatusOK: false,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, loggedIn)
				f.status = status
				_, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
				if err := <-ended; err == nil || errors.Is(err, joiner.ErrPermanent) != permanent {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// TestNonsense: a server out of its mind ends the connection, not the program.
func TestNonsense(t *testing.T) {
	for _, message := range []string{
		`no JSON`, `[]`, `{"jsonrpc":"2.0","method":"roomStreamUpdate","params":17}`,
		`{"jsonrpc":"2.0","method":"offer","params":{"sdp":"v=0"}}`,
		`{"jsonrpc":"2.0","method":"playerStateUpdate","params":{"streamID":"a","state":"NO_PLAY","errorCode":1004099}}`,
		`{"jsonrpc":"2.0","method":"offer","params":{"sdp":"","streams":{"0":"a"}}}`,
		`{"jsonrpc":"2.0","method":"roomUserUpdate","params":{"userList":{}}}`,
	} {
		t.Run(message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, loggedIn)
				_, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
				time.Sleep(time.Second)
				f.client(0).write([]byte(message))
				time.Sleep(time.Second)
				select {
				case err := <-ended:
					if err == nil || errors.Is(err, joiner.ErrPermanent) {
						t.Errorf("error %v", err)
					}
				default:
					t.Error("the connection goes on")
				}
			})
		})
	}
}

// TestFarewell: whose media ends before the notice of being thrown out arrives
// does not come back.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, loggedIn)
		_, ended := connect(t, f.system(), fakeLogin(false), joinertest.NewEar(), nil)
		time.Sleep(time.Second)
		f.client(0).write([]byte(`{"jsonrpc":"2.0","method":"offer","params":{"sdp":"the end of the media"}}`))
		time.Sleep(30 * time.Millisecond)
		f.client(0).write([]byte(`{"jsonrpc":"2.0","method":"roomStateUpdate","params":{"roomID":"r","state":"DISCONNECTED","errorCode":1002050}}`))
		if err := <-ended; !errors.Is(err, joiner.ErrPermanent) || !strings.Contains(err.Error(), "1002050") {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestIgnored: what is new or of no use does not disturb.
func TestIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, loggedIn)
		rec := joinertest.NewEar()
		_, ended := connect(t, f.system(), fakeLogin(false), rec, nil)
		time.Sleep(time.Second)
		for _, message := range []string{
			`{"jsonrpc":"2.0","method":"roomSoundLevel","params":{"levels":{"a":-30}}}`,
			`{"jsonrpc":"2.0","method":"invented","params":null}`,
			`{"jsonrpc":"2.0","id":99,"result":{}}`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}`,
			`{"jsonrpc":"2.0","method":"playerStateUpdate","params":{"streamID":"x","state":"NO_PLAY","errorCode":1004002}}`,
			`{"jsonrpc":"2.0","method":"playerStateUpdate","params":{"streamID":"x","state":"PLAYING","errorCode":0}}`,
			`{"jsonrpc":"2.0","method":"publisherStateUpdate","params":{"streamID":"x","state":"NO_PUBLISH","errorCode":1003025}}`,
			`{"jsonrpc":"2.0","method":"roomStreamUpdate","params":{"updateType":"DELETE","streamList":[{"streamID":"x"}],"extendedData":"?"}}`,
		} {
			f.client(0).write([]byte(message))
		}
		time.Sleep(time.Second)
		select {
		case err := <-ended:
			t.Errorf("ended with %v", err)
		default:
		}
		if got := rec.Take(); !slices.Equal(got, []string{"CONNECTED", "end x: "}) {
			t.Errorf("told %q", got)
		}
	})
}

// TestIndicator: only a hidden login tells what the recording does.
func TestIndicator(t *testing.T) {
	for _, hidden := range []bool{true, false} {
		t.Run(fmt.Sprint("hidden ", hidden), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, loggedIn)
				pubs := new(joiner.Publications)
				connect(t, f.system(), fakeLogin(hidden), joinertest.NewEar(), pubs)
				time.Sleep(time.Second)
				for _, i := range []joiner.Indicator{joiner.RecordingOn, joiner.RecordingPaused, joiner.RecordingOff} {
					pubs.SetIndicator(i)
					time.Sleep(time.Second)
				}
				var values []string
				for _, r := range f.asked(signal.SetRoomExtraInfo) {
					p := read[signal.SetRoomExtraInfoParams](t, r)
					values = append(values, p.RoomID+" "+p.Key+" "+string(p.Value))
				}
				want := []string{"r recording true", `r recording "paused"`, "r recording false"}
				if !hidden {
					want = nil
				}
				if !slices.Equal(values, want) {
					t.Errorf("told %q", values)
				}
			})
		})
	}
}

// TestPublishOffer: what a publication offers, and that refusals are tried
// again.
func TestPublishOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := []int{signal.CodeDuplicateStream, signal.CodeAlreadyPublishing, signal.CodeInternal}
		f := newFake(t, func(c *client, method string, _ json.RawMessage) (any, *signal.Error) {
			if method == signal.StartPublishing {
				code := signal.CodePublishForbidden
				if len(refusals) > 0 {
					code, refusals = refusals[0], refusals[1:]
				}
				return nil, &signal.Error{Code: code, Message: "no"}
			}
			return loggedIn(c, method, nil)
		})
		pubs := new(joiner.Publications)
		mix := pubs.Add("mix", "info", 2)
		connect(t, f.system(), fakeLogin(true), joinertest.NewEar(), pubs)
		time.Sleep(30 * time.Second)
		asked := f.asked(signal.StartPublishing)
		// At 0; again after 1 s, at once after stopPublishing, after 2, 4, 8, 8 s.
		if len(asked) != 7 {
			t.Errorf("asked %d times", len(asked))
		}
		if n := len(f.asked(signal.StopPublishing)); n != 1 {
			t.Errorf("stopped %d times", n)
		}
		if s := mix.Stats(); s.Published || s.Err == nil {
			t.Errorf("stats %+v", s)
		}
		p := read[signal.PublishParams](t, asked[0])
		if p.StreamID != "mix" || p.ExtraInfo != "info" {
			t.Errorf("asked %+v", p)
		}
		for _, line := range []string{
			"m=audio", "a=sendonly", "opus/48000/2", "useinbandfec=1", "stereo=1;sprop-stereo=1", " nack\r\n",
			"urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=msid:mix",
		} {
			if !strings.Contains(p.SDP, line) {
				t.Errorf("no %q in the offer:\n%s", line, p.SDP)
			}
		}
	})
}
