package web_test

import (
	"net/url"
	"strings"
	"testing"

	"mixdown/web/webtest"
)

// tutorial is a browser on the tutorial's page.
type tutorial struct {
	*visitor
	step int
}

// run runs one step and waits until it has been done.
func (p *tutorial) run(title string) {
	p.t.Helper()
	current := `document.querySelector('#steps li.next span')?.textContent`
	if got := webtest.Eval[string](p.t, p.ctx, current); !strings.HasPrefix(got, title) {
		p.t.Fatalf("%s: step %d is %q, want %q", p.user, p.step+1, got, title)
	}
	p.do(`document.getElementById('next').click()`)
	p.step++
	webtest.Await(p.t, p.ctx, fill(`document.querySelectorAll('#steps li.done').length === %s && !document.getElementById('next').disabled`,
		[]any{p.step % 12}), `document.body.innerText`)
}

// told waits until the log has a line of this event whose text has all parts.
func (p *tutorial) told(name string, parts ...string) {
	p.t.Helper()
	webtest.Await(p.t, p.ctx, fill(`[...document.querySelectorAll('#log li')].some((li) => li.dataset.name === %s
		&& %s.every((part) => li.querySelector('span').textContent.includes(part)))`, []any{name, append([]string{}, parts...)}),
		`document.getElementById('log').innerText`)
}

// TestTutorialPage goes through the tutorial's page with two browsers, who
// talk to each other while a recorder is in the room.
func TestTutorialPage(t *testing.T) {
	built(t)
	d := start(t)
	enter := func(user string, hz float64) *tutorial {
		f := url.Values{"room": {roomID}, "user": {user}, "token": {d.token(user)}, "appID": {"1"}}
		return &tutorial{visitor: d.visitAt("/tutorial", f, hz)}
	}
	ann, bob := enter("ann", 500), enter("bob", 800)
	ann.do(engineScript, d.url)
	recorder := d.recorder(ann.visitor)
	for _, p := range []*tutorial{ann, bob} {
		for _, title := range []string{"Create the engine", "Listen to everything", "Play what comes"} {
			p.run(title)
		}
	}
	ann.run("Log in")
	ann.told("roomStateUpdate", "CONNECTING · 0")
	ann.told("roomStateUpdate", "CONNECTED · 0")
	ann.told("roomOnlineUserCountUpdate", roomID+" · 1")
	ann.told("loginRoom", "true")
	bob.run("Log in")
	ann.told("roomUserUpdate", "ADD", "bob")
	recorder(`true`)
	for _, p := range []*tutorial{ann, bob} {
		p.told("roomExtraInfoUpdate", `"recording"`, "true")
		p.run("Name the page's data")
	}
	ann.run("Publish")
	ann.told("setData", `"enableCamera":false`, `"id":"ann-mic"`)
	ann.told("publisherStateUpdate", "PUBLISH_REQUESTING")
	ann.told("publisherStateUpdate", "PUBLISHING", `"errorCode":0`)
	bob.run("Publish")
	for p, other := range map[*tutorial]string{ann: "bob", bob: "ann"} {
		p.told("roomStreamUpdate", "ADD", other+"-mic")
		p.told("setData", `"playerList"`, other+"-mic")
		p.told("playerStateUpdate", "PLAY_REQUESTING", other+"-mic")
		p.told("playerStateUpdate", "PLAYING", other+"-mic")
	}
	ann.run("Tell something")
	bob.told("streamExtraInfoUpdate", "ann-mic", "good")
	bob.told("IMRecvBroadcastMessage", "Hello from ann")
	bob.run("Tell something")
	ann.run("Forward")
	bob.run("Forward")
	for _, p := range []*tutorial{ann, bob} {
		p.told("publishQualityUpdate", p.user+"-mic", `"audioBitrate"`)
		p.told("playQualityUpdate", `"audioCodec":"opus"`)
	}
	// Echo cancellation is on: a tone may be thinned, but it is a tone.
	for _, p := range []*tutorial{ann, bob} {
		webtest.Await(t, p.ctx, `[...document.querySelectorAll('audio')].every((a) => !a.paused && a.srcObject?.active)`, "")
	}
	ann.accessible("tutorial")
	ann.looks("tutorial")
	ann.run("Stop publishing")
	ann.told("publisherStateUpdate", "NO_PUBLISH", `"errorCode":0`)
	bob.told("roomStreamUpdate", "DELETE", "ann-mic", "stream_delete_reason")
	bob.told("playerStateUpdate", "NO_PLAY", "ann-mic")
	ann.run("Stop playing")
	ann.told("playerStateUpdate", "NO_PLAY", "bob-mic")
	ann.run("Leave")
	ann.told("roomStateUpdate", "DISCONNECTED · 0")
	ann.told("roomStateChanged", "LOGOUT · 0")
	bob.told("roomUserUpdate", "DELETE", "ann")
	ann.run("Destroy")
	ann.quiet(d)
	bob.quiet(d)
}
