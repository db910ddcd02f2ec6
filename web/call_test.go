package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"mixdown/web/webtest"
)

// caller is a page with the client loaded and an engine in the global zg,
// whose events are noted in the global log as one-line strings.
type caller struct {
	t     testing.TB
	ctx   context.Context
	token string
	user  string
}

func (d *daemon) caller(userID string, hz float64) *caller {
	d.t.Helper()
	microphone := webtest.Microphone(d.t, webtest.Tone(hz, time.Second))
	c := &caller{t: d.t, ctx: webtest.Browser(d.t, microphone), token: d.token(userID), user: userID}
	webtest.Open(d.t, c.ctx, d.url+"/program")
	c.do(engineScript, d.url)
	return c
}

// engineScript makes the functions that tests use in a page, and an engine.
const engineScript = `(async () => {
	if (!window.ZegoExpressEngine) await new Promise((resolve, reject) => {
		document.head.append(Object.assign(document.createElement('script'), {src: '/client.js', onload: resolve, onerror: reject}));
	});
	const server = %s.replace('http', 'ws') + '/ws';
	window.engine = () => {
		const zg = new ZegoExpressEngine(1, server), log = [];
		const note = (...words) => log.push(words.join(' ').trim());
		zg.on('roomStateUpdate', (room, state, code) => note('room', state, code));
		zg.on('roomStateChanged', (room, reason, code) => note('changed', reason, code));
		zg.on('roomUserUpdate', (room, type, list) => note('user', type, list.map((u) => u.userID)));
		zg.on('roomStreamUpdate', (room, type, list) => note('stream', type, list.map((s) => s.streamID)));
		zg.on('roomOnlineUserCountUpdate', (room, count) => note('count', count));
		zg.on('publisherStateUpdate', (s) => note(s.streamID, s.state, s.errorCode));
		zg.on('playerStateUpdate', (s) => note(s.streamID, s.state, s.errorCode));
		zg.on('IMRecvBroadcastMessage', (room, list) => list.forEach((m) => note('message', m.fromUser.userID, m.message)));
		zg.on('IMRecvBarrageMessage', (room, list) => list.forEach((m) => note('barrage', m.fromUser.userID, m.message, typeof m.messageID)));
		zg.on('IMRecvCustomCommand', (room, user, command) => note('command', room, user.userID, command));
		zg.on('roomExtraInfoUpdate', (room, list) => list.forEach((x) => note('note', x.key, x.value, x.updateUser?.userID ?? '')));
		zg.on('streamExtraInfoUpdate', (room, list) => list.forEach((s) => note('info', s.streamID, s.extraInfo)));
		zg.log = log;
		zg.initContext();
		return zg;
	};
	window.refusal = (promise) => promise.then(() => 0, (e) => e.errorCode);
	window.heard = (streamID) => document.querySelector('audio[data-stream-id="' + streamID + '"]').srcObject;
	window.raw = { enableCamera: false, enableAec: false, enableAns: false, enableAgc: false };
	window.zg = engine();
})()`

// do runs a script; %s in it stand for the arguments as JavaScript values.
func (c *caller) do(script string, arguments ...any) {
	c.t.Helper()
	webtest.Do(c.t, c.ctx, fill(script, arguments))
}

func fill(script string, arguments []any) string {
	literals := make([]any, len(arguments))
	for i, a := range arguments {
		b, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		literals[i] = string(b)
	}
	if len(literals) == 0 {
		return script
	}
	return fmt.Sprintf(script, literals...)
}

func (c *caller) login() {
	c.t.Helper()
	if !webtest.Eval[bool](c.t, c.ctx, fill(`zg.loginRoom(%s, %s, {userID: %s, userName: 'Name'}, {isUserStatusNotify: true})`, []any{roomID, c.token, c.user})) {
		c.t.Fatal("loginRoom did not resolve true")
	}
}

// await waits for an event.
func (c *caller) await(line string) {
	c.t.Helper()
	webtest.Await(c.t, c.ctx, fill(`zg.log.includes(%s)`, []any{line}), `zg.log`)
}

// hears fails unless the stream, as it plays, is a tone of that frequency. A
// busy machine makes browsers stutter, so it listens up to ten times.
func (c *caller) hears(streamID string, hz float64) {
	c.t.Helper()
	var got, level float64
	for range 10 {
		got, level = webtest.Pitch(c.t, c.ctx, fill(`heard(%s)`, []any{streamID}))
		if math.Abs(got-hz) < 12 && math.Abs(level+12) < 6 {
			return
		}
	}
	c.t.Errorf("%s hears %.0f Hz at %.0f dB in %s, want %.0f Hz at -12 dB", c.user, got, level, streamID, hz)
}

// playWhatComes is the tutorial's way to follow a room.
const playWhatComes = `zg.on("roomStreamUpdate", (roomID, updateType, streamList) => {
	if (updateType === "ADD") {
		streamList.forEach(i => {
			zg.getPlayerInstance(i.streamID).play();
		})
	} else {
		streamList.forEach(i => {
			zg.getPlayerInstance(i.streamID).stop();
		})
	}
})`

// TestTutorial goes through the tutorial with two browsers, step by step.
func TestTutorial(t *testing.T) {
	d := start(t)
	ann, bob := d.caller("ann", 500), d.caller("bob", 800)
	for _, c := range []*caller{ann, bob} {
		c.do(playWhatComes)
		c.login()
		c.do(`zg.initContext({wxContext: {}, pushAtr: "pusher", playAtr: "playerList"})`)
		c.do(`(async () => {
			window.pusher = zg.createPusher(raw);
			await pusher.start(%s + "-stream");
			zg.createPusher({enableCamera: false});
		})()`, c.user)
		c.await(c.user + "-stream PUBLISHING 0")
	}
	ann.await("bob-stream PLAYING 0")
	bob.await("ann-stream PLAYING 0")
	ann.hears("bob-stream", 800)
	bob.hears("ann-stream", 500)

	ann.do(`zg.mutePublishStreamAudio(true)`)
	webtest.Await(t, bob.ctx, `await (async () => {
		const audio = new AudioContext();
		const analyser = new AnalyserNode(audio);
		audio.createMediaStreamSource(heard('ann-stream')).connect(analyser);
		await new Promise((resolve) => setTimeout(resolve, 200));
		const samples = new Float32Array(analyser.fftSize);
		analyser.getFloatTimeDomainData(samples);
		await audio.close();
		return Math.max(...samples.map(Math.abs)) < 0.001;
	})()`, "")
	ann.do(`zg.mutePublishStreamAudio(false)`)

	ann.do(`zg.getPusherInstance().stop()`)
	bob.await("ann-stream NO_PLAY 0")
	ann.do(`zg.getPlayerInstance("bob-stream").stop()`)
	ann.do(`zg.logoutRoom(%s)`, roomID)
	bob.await("user DELETE ann")
	ann.do(`zg.destroyEngine()`)

	ann.saw(
		"room CONNECTING 0", "changed LOGINING 0", "room CONNECTED 0", "changed LOGINED 0",
		"ann-stream PUBLISH_REQUESTING 0", "ann-stream PUBLISHING 0",
		"user ADD bob", "stream ADD bob-stream", "bob-stream PLAY_REQUESTING 0", "bob-stream PLAYING 0",
		"ann-stream NO_PUBLISH 0", "bob-stream NO_PLAY 0", "room DISCONNECTED 0", "changed LOGOUT 0",
	)
	bob.saw(
		"room CONNECTING 0", "changed LOGINING 0", "room CONNECTED 0", "changed LOGINED 0",
		"user ADD ann", "stream ADD ann-stream", "ann-stream PLAY_REQUESTING 0",
		"stream DELETE ann-stream", "ann-stream NO_PLAY 0", "user DELETE ann",
	)
}

// saw fails unless the lines are in the log in this order, each once.
func (c *caller) saw(lines ...string) {
	c.t.Helper()
	log := webtest.Eval[[]string](c.t, c.ctx, `zg.log`)
	at := 0
	for _, line := range log {
		if at < len(lines) && line == lines[at] {
			at++
		}
	}
	if at < len(lines) {
		c.t.Errorf("%s did not see %q in order; saw\n%s", c.user, lines[at], strings.Join(log, "\n"))
	}
	for _, line := range lines {
		if n := count(log, line); n != 1 {
			c.t.Errorf("%s saw %q %d times", c.user, line, n)
		}
	}
}

func count(log []string, line string) (n int) {
	for _, l := range log {
		if l == line {
			n++
		}
	}
	return n
}

// TestRefusals checks what the service refuses, as a program sees it.
func TestRefusals(t *testing.T) {
	d := start(t)
	ann := d.caller("ann", 500)
	login := `refusal(zg.loginRoom(%s, %s, {userID: %s}))`
	cases := []struct {
		name, token, user string
		code              int
	}{
		{"malformed", "04garbage", "ann", 1102016},
		{"expired", d.mint("ann", -time.Hour), "ann", 1102018},
		{"another user's", d.token("bob"), "ann", 1002033},
	}
	for _, c := range cases {
		if code := webtest.Eval[int](t, ann.ctx, fill(login, []any{roomID, c.token, c.user})); code != c.code {
			t.Errorf("%s token: code %d, want %d", c.name, code, c.code)
		}
		ann.await(fmt.Sprintf("room DISCONNECTED %d", c.code))
		ann.await(fmt.Sprintf("changed LOGIN_FAILED %d", c.code))
	}
	ann.login()
	ann.do(`(async () => {
		await zg.createPusher(raw).start('ours');
		window.bob = engine();
		await bob.loginRoom(%s, %s, {userID: 'bob'}, {userUpdate: true});
		window.codes = [await refusal(bob.createPusher(raw).start('ours')), await refusal(bob.startPlayingStream('nothing'))];
	})()`, roomID, d.token("bob"))
	if codes := webtest.Eval[[]int](t, ann.ctx, `codes`); codes[0] != 1003028 || codes[1] != 1004002 {
		t.Errorf("duplicate stream and missing stream: codes %d, want 1003028 and 1004002", codes)
	}
	webtest.Await(t, ann.ctx, `bob.log.includes('ours NO_PUBLISH 1003028') && bob.log.includes('nothing NO_PLAY 1004002')`, `bob.log`)

	ann.do(`zg.sendBroadcastMessage(%s, 'hello')`, roomID)
	webtest.Await(t, ann.ctx, `bob.log.includes('message ann hello')`, `bob.log`)
	ann.do(`zg.sendBarrageMessage(%s, 'wow')`, roomID)
	webtest.Await(t, ann.ctx, `bob.log.includes('barrage ann wow string')`, `bob.log`)
	ann.do(`zg.sendCustomCommand(%s, 'wave', ['bob'])`, roomID)
	webtest.Await(t, ann.ctx, fill(`bob.log.includes(%s)`, []any{"command " + roomID + " ann wave"}), `bob.log`)
	ann.do(`zg.setRoomExtraInfo(%s, 'topic', 'budget')`, roomID)
	webtest.Await(t, ann.ctx, `bob.log.includes('note topic budget ann')`, `bob.log`)
	ann.do(`zg.setStreamExtraInfo('ours', 'news')`)
	webtest.Await(t, ann.ctx, `bob.log.includes('info ours news')`, `bob.log`)

	ann.do(`(async () => {
		window.second = engine();
		await second.loginRoom(%s, %s, {userID: 'ann'});
	})()`, roomID, d.token("ann"))
	ann.await("room DISCONNECTED 1002050")
	ann.await("changed KICKOUT 1002050")
	ann.await("ours NO_PUBLISH 0")
	webtest.Await(t, ann.ctx, `bob.log.includes('stream DELETE ours')`, `bob.log`)
	if log := webtest.Eval[[]string](t, ann.ctx, `second.log`); count(log, "room CONNECTED 0") != 1 {
		t.Errorf("the second login: %q", log)
	}
}
