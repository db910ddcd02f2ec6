package web_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mixdown/rooms/token"
	"mixdown/web/webtest"
)

// visitor is a browser on the call page, and what it did on the network.
type visitor struct {
	*caller
	mu       sync.Mutex
	console  []string
	requests []string
}

// visit opens the call page.
func (d *daemon) visit(fragment url.Values, hz float64) *visitor {
	d.t.Helper()
	built(d.t)
	return d.visitAt("/call", fragment, hz)
}

func (d *daemon) visitAt(path string, fragment url.Values, hz float64) *visitor {
	d.t.Helper()
	v := &visitor{}
	microphone := webtest.Microphone(d.t, webtest.Tone(hz, time.Second))
	ctx := webtest.Browser(d.t, microphone, webtest.Watch(func(m chromedp.ConsoleMessage) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if m.Type == chromedp.ConsoleError || m.IsException() {
			v.console = append(v.console, m.Text)
		}
	}))
	v.caller = &caller{t: d.t, ctx: ctx, user: fragment.Get("user")}
	check(d.t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.requests = append(v.requests, e.Request.URL)
		}
	}))
	webtest.Open(d.t, ctx, d.url+path+"#"+fragment.Encode())
	return v
}

// sees waits until the element shows a text; "" stands for hidden or gone.
func (v *visitor) sees(id, text string) {
	v.t.Helper()
	element := fill(`document.getElementById(%s)`, []any{id})
	if text == "" {
		webtest.Await(v.t, v.ctx, `(`+element+`?.hidden ?? true)`, element+`.textContent`)
		return
	}
	webtest.Await(v.t, v.ctx, element+`?.checkVisibility() && `+element+fill(`.textContent.includes(%s)`, []any{text}), element+`?.textContent`)
}

// people waits until the list says so, one "name: note" each.
func (v *visitor) people(want ...string) {
	v.t.Helper()
	list := `[...document.querySelectorAll('#people li')].map((li) => li.querySelector('strong').textContent + ': ' + li.querySelector('.note').textContent)`
	webtest.Await(v.t, v.ctx, list+`.join() === `+fill(`%s.join()`, []any{want}), list)
}

func (v *visitor) press(keys string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, 30*time.Second) // as for everything else in a page
	defer cancel()
	check(v.t, chromedp.Do(ctx, chromedp.KeyEvent(keys)))
}

// TestPage goes through a whole call on the page, by keyboard.
func TestPage(t *testing.T) {
	d := start(t)
	v := d.visit(url.Values{"room": {roomID}, "user": {"ann"}, "token": {d.token("ann")}, "appID": {"1"}, "microphone": {"raw"}}, 500)
	if left := webtest.Eval[string](t, v.ctx, `location.href`); strings.Contains(left, "token") || !strings.Contains(left, "room="+roomID) {
		t.Errorf("the address is %s", left)
	}
	v.do(engineScript, d.url)
	v.do(`document.getElementById('room').focus()`)
	v.press(kb.Enter)
	v.sees("call-title", "Room "+roomID)
	v.people("ann (you): microphone on")
	if focus := webtest.Eval[string](t, v.ctx, `document.activeElement.id`); focus != "call-title" {
		t.Errorf("the focus is on %q", focus)
	}

	v.do(playWhatComes)
	v.do(`(async () => {
		await zg.loginRoom(%s, %s, {userID: 'bob', userName: 'Bob'}, {userUpdate: true});
		await zg.createPusher(raw).start('bobs');
	})()`, roomID, d.token("bob"))
	v.people("ann (you): microphone on", "Bob: speaks")
	webtest.Await(t, v.ctx, `[...document.querySelectorAll('#people .meter')].every((m) => m.ariaValueNow > 60 && m.ariaValueNow < 95)`,
		`[...document.querySelectorAll('#people .meter')].map((m) => m.ariaValueNow)`)
	v.hears("bobs", 500)
	v.sees("count", "2 people")
	webtest.Await(t, v.ctx, `[...document.querySelectorAll('#people .bars')].every((b) => /kbit\/s/.test(b.ariaLabel))`,
		`[...document.querySelectorAll('#people .bars')].map((b) => b.outerHTML)`)
	v.accessible("call")
	v.looks("call")

	v.press("m")
	v.people("ann (you): muted", "Bob: speaks")
	v.press("m")
	v.people("ann (you): microphone on", "Bob: speaks")
	v.do(`document.getElementById('mute').focus()`)
	v.press(" ")
	v.people("ann (you): muted", "Bob: speaks")
	webtest.Await(t, v.ctx, `zg.log.some((line) => line.startsWith('info ann-') && line.endsWith('{"muted":true}'))`, `zg.log`)
	webtest.Await(t, v.ctx, `document.querySelector('#people .meter').ariaValueNow === '0'`, "")
	if pressed := webtest.Eval[string](t, v.ctx, `document.getElementById('mute').getAttribute('aria-pressed')`); pressed != "true" {
		t.Errorf("mute button: aria-pressed=%s", pressed)
	}

	recorder := d.recorder(v)
	recorder(`true`)
	v.sees("recording", "This room is being recorded.")
	v.looks("recording")
	recorder(`"paused"`)
	v.sees("recording", "paused")
	v.accessible("paused")
	recorder(`false`)
	v.sees("recording", "")

	d.link.cut()
	v.sees("connection", "Connecting again")
	v.looks("reconnecting")
	d.link.mend()
	v.sees("connection", "")
	v.people("ann (you): muted", "Bob: speaks")

	// A logout without a connection tells nobody: Bob must be back as well.
	webtest.Await(t, v.ctx, `zg.log.filter((line) => line.startsWith('room ')).at(-1) === 'room CONNECTED 0'`, `zg.log`)
	v.do(`zg.logoutRoom()`)
	v.people("ann (you): muted")
	v.reloads(d)
	v.do(`zg.loginRoom(%s, %s, {userID: 'ann'})`, roomID, d.token("ann"))
	v.sees("error", "(code 1002050)")
	v.sees("call", "")
	v.sees("login", "Join a room")
	v.accessible("kicked")
	v.quiet(d)
}

// reloads loads the page again: it leaves the room at once, and still knows how
// to join it.
func (v *visitor) reloads(d *daemon) {
	v.t.Helper()
	check(v.t, chromedp.Do(v.ctx, chromedp.Reload()))
	v.sees("login", "Join a room")
	v.do(engineScript, d.url)
	v.do(`zg.loginRoom(%s, %s, {userID: 'carl'})`, roomID, d.token("carl"))
	webtest.Await(v.t, v.ctx, `zg.log.includes('count 1')`, `zg.log`)
	v.do(`zg.logoutRoom()`)
	v.do(`document.getElementById('join').click()`)
	v.people("ann (you): microphone on")
}

// recorder logs a hidden user in, as a capture does, and returns what sets the
// room's recording state (JSON).
func (d *daemon) recorder(v *visitor) func(value string) {
	hidden, err := d.service.MintToken(token.Claims{
		UserID: "recorder", RoomID: roomID, Login: true, Hidden: true, Created: time.Now(), Expires: time.Now().Add(time.Hour),
	})
	check(d.t, err)
	v.do(`(async () => {
		const socket = new WebSocket(%s.replace('http', 'ws') + '/ws');
		await new Promise((resolve) => (socket.onopen = resolve));
		window.ask = (method, params) => new Promise((resolve, reject) => {
			socket.onmessage = ({ data }) => {
				const { id, error } = JSON.parse(data);
				if (id === method) error ? reject(new Error(error.message)) : resolve();
			};
			socket.send(JSON.stringify({ jsonrpc: '2.0', id: method, method, params }));
		});
		await ask('loginRoom', { roomID: %s, token: %s, user: { userID: 'recorder' } });
	})()`, d.url, roomID, hidden)
	return func(value string) {
		d.t.Helper()
		v.do(`ask('setRoomExtraInfo', { roomID: %s, key: 'recording', value: JSON.parse(%s) })`, roomID, value)
	}
}

// quiet fails on errors in the console and on requests to anybody else.
func (v *visitor) quiet(d *daemon) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, line := range v.console {
		if !strings.Contains(line, "WebSocket connection") { // while the network was cut
			v.t.Errorf("the page's console: %s", line)
		}
	}
	if len(v.requests) < 5 {
		v.t.Errorf("only %d requests were seen", len(v.requests))
	}
	for _, u := range v.requests {
		if !strings.HasPrefix(u, d.url+"/") {
			v.t.Errorf("the page asked for %s", u)
		}
		if strings.Contains(u, "04A") {
			v.t.Errorf("a token is in %s", u)
		}
	}
}

// looks checks that nothing is cut off on a phone or a desk, in light and dark.
// The pictures go to the directory MIXDOWN_SCREENSHOTS, if that is set.
func (v *visitor) looks(name string) {
	v.t.Helper()
	directory := os.Getenv("MIXDOWN_SCREENSHOTS")
	if directory == "" {
		directory = v.t.TempDir()
	}
	windows := []struct {
		name, scheme string
		width        int64
	}{{"phone", "light", 360}, {"desk", "light", 1280}, {"dark", "dark", 360}}
	for _, w := range windows {
		scheme := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: w.scheme}}}
		_, err := chromedp.Run(v.ctx, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			return cdp.Call(ctx, target, emulation.SetEmulatedMedia, scheme)
		})
		check(v.t, err)
		window, width := w.name, w.width
		file := filepath.Join(directory, name+"-"+window+".png")
		webtest.Screenshot(v.t, v.ctx, width, 800, file)
		if wide := webtest.Eval[int64](v.t, v.ctx, `document.documentElement.scrollWidth`); wide > width {
			v.t.Errorf("%s is %d wide in a window of %d", name, wide, width)
		}
		if info, err := os.Stat(file); err != nil || info.Size() < 2000 {
			v.t.Errorf("no picture of %s: %v", name, err)
		}
	}
}

// TestPageErrors checks what somebody sees who cannot join.
func TestPageErrors(t *testing.T) {
	d := start(t)
	v := d.visit(url.Values{"room": {roomID}}, 500)
	v.sees("command", "mixdown token --room standup --user NAME --publish")
	v.accessible("login")
	v.looks("login")
	if unnamed := webtest.Eval[int](t, v.ctx, `[...document.querySelectorAll('input, select')].filter((i) => i.labels.length !== 1).length`); unnamed != 0 {
		t.Errorf("%d inputs have no label", unnamed)
	}
	v.do(`document.getElementById('join').click()`)
	v.sees("error", "What is your name?")
	v.do(`{
		const user = document.getElementById('user');
		user.value = "o'neil";
		user.dispatchEvent(new Event('input'));
	}`)
	v.sees("command", `mixdown token --room standup --user 'o'\''neil' --publish`)
	v.do(`document.getElementById('join').click()`)
	v.sees("error", "A token is needed")
	v.do(`document.getElementById('test').click()`)
	webtest.Await(t, v.ctx, `document.querySelector('#login .meter')?.ariaValueNow > 50`, `document.querySelector('#login .meter')?.outerHTML`)
	v.looks("test")
	v.do(`document.getElementById('test').click()`)
	steps := []struct{ user, token, text string }{
		{"ann", "04garbage", "(code 1102016)"},
		{"ann", d.mint("ann", -time.Minute), "has expired. Ask for a new one. (code 1102018)"},
		{"ann", d.token("bob"), "(code 1002033)"},
		{"an n", d.token("bob"), "(code 1002006)"},
	}
	for _, s := range steps {
		v.do(`document.getElementById('user').value = %s; document.getElementById('token').value = %s; document.getElementById('join').click()`, s.user, s.token)
		v.sees("error", s.text)
		v.sees("login", "Join a room")
		webtest.Await(t, v.ctx, `!document.getElementById('join').disabled`, "")
	}
	v.looks("error")
	v.do(`navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))`)
	v.do(`document.getElementById('user').value = 'ann'; document.getElementById('token').value = %s; document.getElementById('join').click()`, d.token("ann"))
	v.sees("call-title", roomID)
	v.sees("error", "The microphone is not allowed.")
	v.people("ann (you): microphone off")
	v.do(`document.getElementById('leave').click()`)
	v.sees("login", "Join a room")
	v.sees("error", "")
	v.quiet(d)
}
