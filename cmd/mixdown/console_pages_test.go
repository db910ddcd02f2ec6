package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"mixdown/access"
	"mixdown/capture"
	"mixdown/configs"
	"mixdown/events/webhook"
	"mixdown/storage"
	"mixdown/web/webtest"
)

// goes opens a place.
func (c *console) goes(place string) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`location.hash = %q`, place))
}

// fills writes into a field as somebody who types does.
func (c *console) fills(selector, value string) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`{
		const field = document.querySelector(%q);
		field.value = %q;
		for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true}));
	}`, selector, value))
}

func (c *console) clicks(selector string) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// TestConsoleRules: a rule is made, explained, edited, switched off, deleted.
func TestConsoleRules(t *testing.T) {
	c := openConsole(t)
	c.enter(c.key)
	c.join("lounge", "cid", tone(t, annHz))
	c.sees(`document.querySelector('[data-room=lounge] a')?.textContent === 'Why is it not recorded?'`)
	c.clicks(`[data-room=lounge] a`)
	c.sees(`document.getElementById('decision')?.textContent.includes('lounge is recorded by no rule')`)
	c.clicks(`#new-rule`)
	c.fills(`.rule-form [name=id]`, "lounges")
	c.fills(`.rule-form [name=rooms]`, "lounge*, board")
	c.fills(`.rule-form [name=capture]`, `{"record": [{"what": "mix"`)
	c.clicks(`.rule-form .save`)
	c.sees(`document.querySelector('.rule-form [role=alert]').textContent.startsWith('The capture is not JSON')`)
	c.fills(`.rule-form [name=capture]`, `{"record": [{"what": "mixx"}]}`)
	c.clicks(`.rule-form .save`)
	c.sees(`document.querySelector('.rule-form [role=alert]').textContent.includes('what')`)
	c.fills(`.rule-form [name=capture]`, `{"record": [{"what": "mix"}]}`)
	c.clicks(`.rule-form .add-window`)
	c.sees(`document.querySelectorAll('.rule-form .window').length === 1`)
	c.looks("console-rule-form")
	c.accessible("rule form")
	c.clicks(`.rule-form .window button`)
	c.clicks(`.rule-form .save`)
	c.sees(`document.querySelector('[data-rule=lounges] .terms')?.textContent === 'Records mix as ogg of rooms lounge*, board, from the first stream on.'`)
	eventually(t, "the rule records", 20*time.Second, func() bool {
		return len(decode[struct{ Captures []capture.Status }](c.ask("GET", "/v1/captures?running=true&room=lounge", nil).ok(200)).Captures) == 1
	})
	c.clicks(`#explain button`)
	c.sees(`document.getElementById('decision')?.textContent.includes('lounge is recorded by rule lounges: capture ')`)
	c.looks("console-rules")
	c.accessible("rules")
	c.clicks(`[data-rule=lounges] .edit`)
	c.sees(`document.querySelector('.rule-form [name=priority]') !== null`)
	c.fills(`.rule-form [name=priority]`, "7")
	c.clicks(`.rule-form .save`)
	c.sees(`document.querySelector('[data-rule=lounges] .count')?.textContent === 'priority 7'`)
	// What another changes while somebody edits is not lost.
	c.clicks(`[data-rule=lounges] .edit`)
	c.sees(`document.querySelector('.rule-form [name=priority]') !== null`)
	c.fills(`.rule-form [name=priority]`, "8")
	c.ask("PUT", "/v1/rules/lounges", map[string]any{"rooms": []string{"lounge*"}, "priority": 9, "capture": map[string]any{"record": []any{map[string]any{"what": "mix"}}}}).ok(200)
	c.clicks(`.rule-form .save`)
	c.sees(`document.querySelector('.rule-form [role=alert]')?.textContent.includes('to version 3')`)
	c.clicks(`.rule-form .buttons button[type=button]`)
	c.sees(`document.querySelector('[data-rule=lounges] .count')?.textContent === 'priority 9'`)
	c.clicks(`[data-rule=lounges] .switch`)
	c.sees(`document.querySelector('[data-rule=lounges] .chip')?.textContent === 'disabled'`)
	for range 2 {
		c.clicks(`[data-rule=lounges] .danger`)
		c.sees(`document.querySelector('[data-rule=lounges] .danger')?.textContent !== 'Delete'`)
	}
	c.sees(`document.querySelector('[data-rule]') === null`)
}

// TestConsoleEvents: events show as they happen, filtered, and whole when
// somebody wants to see one.
func TestConsoleEvents(t *testing.T) {
	c := openConsole(t)
	c.join("lounge", "cid", tone(t, annHz))
	c.enter(c.key)
	c.goes("events")
	c.sees(`document.getElementById('events')`)
	for _, id := range []string{"one", "two"} {
		call[capture.Status](t, c.client, "PUT", "/v1/captures/"+id, capture.Spec{
			Room: capture.RoomSpec{RoomID: "lounge"}, Record: []capture.RecordSpec{{What: "mix"}},
		})
	}
	recording := `[...document.querySelectorAll('#events [data-type="capture.recording"]')]`
	c.sees(recording + `.length === 2`)
	c.sees(`document.querySelector('#events [data-type="stream.added"] .note').textContent.includes('cid')`)
	c.looks("console-events")
	c.accessible("events")
	c.clicks(`#events [data-type="capture.recording"] summary`)
	c.sees(recording + `.some((e) => e.querySelector('pre').textContent.includes('"streams"'))`)
	c.fills(`#event-capture`, "two")
	c.sees(recording + `.length === 1 && ` + recording + `[0].querySelector('.about').textContent === 'lounge · two'`)
	c.fills(`#kind`, "segment.*")
	c.sees(`document.querySelectorAll('#events li').length === 0`)
	c.clicks(`#hold`)
	for _, id := range []string{"one", "two"} {
		c.ask("POST", "/v1/captures/"+id+"/stop", nil).ok(200)
	}
	c.sees(`document.getElementById('hold').textContent === 'Go on (1 new)'`)
	c.sees(`document.querySelectorAll('#events li').length === 0`)
	c.clicks(`#hold`)
	c.sees(`document.querySelectorAll('#events [data-type="segment.sealed"]').length === 1`)
}

// TestConsoleDeliveries: a webhook is made, its secret shown once, and what was
// not taken is sent again.
func TestConsoleDeliveries(t *testing.T) {
	status := make(chan int, 1)
	status <- http.StatusServiceUnavailable
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := <-status
		status <- now
		w.WriteHeader(now)
	}))
	t.Cleanup(endpoint.Close)
	c := openConsole(t, func(c *configs.Config) { c.Network.Allow = []string{"127.0.0.0/8"} })
	c.enter(c.key)
	c.goes("deliveries")
	c.sees(`document.body.innerText.includes('No webhooks')`)
	c.clicks(`#new-webhook`)
	c.fills(`[name=name]`, "ops")
	c.fills(`[name=url]`, endpoint.URL)
	c.clicks(`form [type=submit]`)
	c.sees(`document.querySelector('.secret output')?.textContent.startsWith('whsec_')`)
	c.looks("console-deliveries")
	c.accessible("deliveries")
	c.clicks(`.secret .seen`)
	c.sees(`document.querySelector('.secret') === null`)
	c.clicks(`[data-webhook=ops] .test`)
	c.sees(`document.querySelector('[data-webhook=ops] .tested').textContent.startsWith('Not taken')`)
	<-status
	status <- http.StatusNoContent
	c.clicks(`[data-webhook=ops] .test`)
	c.sees(`document.querySelector('[data-webhook=ops] .tested').textContent.startsWith('Taken after')`)
	c.sees(`document.querySelector('[data-webhook=ops] .dead').disabled`)
}

// TestConsoleDeadLetters: an event dies after 72 h, for which no test waits. A
// stand-in before the daemon has two, in the API's own types, until they are
// sent again.
func TestConsoleDeadLetters(t *testing.T) {
	c := openConsole(t)
	behind, err := url.Parse(c.at.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	daemon := httputil.NewSingleHostReverseProxy(behind)
	first := webhook.Letter{Seq: 7, Died: storage.At(time.Now()), Attempts: 290, Error: "connection refused"}
	second := webhook.Letter{Seq: 9, Died: storage.At(time.Now()), Attempts: 288, Error: "503 Service Unavailable"}
	var mu sync.Mutex
	letters := []webhook.Letter{first, second}
	var calls []string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, inside := strings.CutPrefix(r.URL.Path, "/v1/webhooks")
		if !inside {
			daemon.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		var answer any
		switch {
		case path == "":
			ops := webhook.Status{Name: "ops", Endpoint: webhook.Endpoint{URL: "https://ops.example.org/hook"}, State: "down", Dead: len(letters)}
			answer = map[string]any{"webhooks": []webhook.Status{ops}}
		case path == "/ops/dead":
			answer = map[string]any{"dead": letters}
		default:
			calls = append(calls, path)
			letters = []webhook.Letter{}
			if path == "/ops/dead/7/resend" {
				letters = []webhook.Letter{second}
			}
			answer = map[string]any{"resent": 1}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(front.Close)
	webtest.Open(t, c.page, front.URL+"/#deliveries")
	c.enter(c.key)
	c.sees(`document.querySelector('[data-webhook=ops] .dead')?.textContent === 'Dead letters (2)'`)
	c.clicks(`[data-webhook=ops] .dead`)
	c.sees(`document.querySelectorAll('.letters li').length === 2`)
	c.looks("console-dead-letters")
	c.accessible("dead letters")
	c.clicks(`.letters button`)
	c.sees(`document.querySelectorAll('.letters li').length === 1`)
	c.clicks(`.resend`)
	c.sees(`document.querySelectorAll('.letters li').length === 0`)
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(calls, " "); got != "/ops/dead/7/resend /ops/dead/resend" {
		t.Errorf("the console called %s", got)
	}
}

// TestConsoleKeys: a key is made for a role, shown once, does what its role may
// and is offered nothing else, and is revoked.
func TestConsoleKeys(t *testing.T) {
	c := openConsole(t)
	c.enter(c.key)
	c.goes("keys")
	c.sees(`document.body.innerText.includes('No keys were made')`)
	c.fills(`#make-key [name=name]`, "the night shift")
	c.clicks(`#make-key [type=submit]`)
	c.sees(`document.querySelector('#make-key [role=alert]').textContent === 'A key needs a role.'`)
	c.clicks(`#make-key [value=reviewer]`)
	c.clicks(`#make-key [type=submit]`)
	c.sees(`document.querySelector('.secret output')`)
	made := webtest.Eval[string](t, c.page, `document.querySelector('.secret output').textContent`)
	c.looks("console-keys")
	c.accessible("keys")
	c.clicks(`.secret .seen`)
	c.sees(`document.querySelectorAll('#keys li').length === 1`)
	if strings.Contains(webtest.Eval[string](t, c.page, `document.documentElement.outerHTML`), made) {
		t.Error("the key is still in the page")
	}

	c.join("lounge", "cid", tone(t, annHz))
	call[capture.Status](t, c.client, "PUT", "/v1/captures/one", capture.Spec{
		Room: capture.RoomSpec{RoomID: "lounge"}, Record: []capture.RecordSpec{{What: "mix"}},
	})
	c.clicks(`#leave`)
	c.sees(`document.getElementById('login')`)
	c.enter(made)
	places := `[...document.querySelectorAll('nav a')].map((a) => a.textContent).join()`
	c.sees(places + ` === 'Live,Recordings,Events'`)
	c.sees(`document.querySelector('[data-capture=one] .listen')`)
	for _, what := range []string{".stop", ".pause", ".mute", ".otherwise"} {
		c.sees(`document.querySelector('[data-capture=one] ` + what + `') === null`)
	}
	c.goes("keys") // leads where the key may be
	c.sees(`document.querySelector('[data-capture=one]')`)

	key := decode[struct{ Keys []access.Key }](c.ask("GET", "/v1/api-keys", nil).ok(200)).Keys[0]
	c.ask("DELETE", "/v1/api-keys/"+key.ID, nil).ok(204)
	c.goes("recordings")
	c.sees(`document.getElementById('error').textContent === 'This key is not valid, or not any more. Enter another one.' && document.getElementById('login') !== null`)
}

// TestConsoleSystem: room for more, space and storages.
func TestConsoleSystem(t *testing.T) {
	c := openConsole(t)
	c.enter(c.key)
	c.goes("system")
	c.sees(`document.querySelector('#storages [data-storage=local] .chip')?.textContent === 'takes files'`)
	c.sees(`document.body.innerText.includes('Streams besides')`)
	c.looks("console-system")
	c.accessible("system")
}

// TestConsoleFirstPaint counts what comes over the network before the console
// shows what goes on, and who is asked for it.
func TestConsoleFirstPaint(t *testing.T) {
	c := openConsole(t)
	c.join("lounge", "cid", tone(t, annHz))
	c.enter(c.key)
	c.sees(`document.querySelector('[data-room=lounge]')`)
	var mu sync.Mutex
	var requests []string
	total := 0.0
	err := chromedp.Listen(c.page, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			requests = append(requests, e.Request.URL)
		case *network.EventResponseReceived:
			total += e.Response.EncodedDataLength // the head
		case *network.EventDataReceived:
			total += float64(e.EncodedDataLength)
		}
	})
	if err == nil { // everything comes over the network
		_, err = chromedp.Run(c.page, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			return cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		})
	}
	if err == nil {
		err = chromedp.Do(c.page, chromedp.Reload())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.sees(`document.querySelector('[data-room=lounge]')`)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%.0f kB in %d requests: %s", total/1000, len(requests), strings.Join(requests, " "))
	if total > 300_000 || total < 5_000 {
		t.Errorf("the first paint takes %.0f bytes, want at most 300 kB", total)
	}
	for _, address := range requests {
		if !strings.HasPrefix(address, c.at.HTTP+"/") {
			t.Errorf("the console asked for %s", address)
		}
	}
}
