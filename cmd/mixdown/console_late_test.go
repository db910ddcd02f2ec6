package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"mixdown/web/webtest"
)

// TestConsoleLateAnswers: an answer that comes after newer news does not take
// back what these told: neither the list of all captures nor that of a start.
func TestConsoleLateAnswers(t *testing.T) {
	c := openConsole(t)
	daemon, err := url.Parse(c.at.HTTP)
	must(t, err)
	held, release := make(chan string, 8), make(chan bool)
	hold := func(r *http.Request) bool {
		return r.Method == http.MethodPut || r.URL.Path == "/v1/captures" && r.URL.Query().Has("running")
	}
	proxy := httputil.NewSingleHostReverseProxy(daemon)
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(r *http.Response) error {
		if hold(r.Request) {
			held <- r.Request.Method
			select {
			case <-release:
			case <-r.Request.Context().Done():
			}
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	waits := func(method string) {
		t.Helper()
		select {
		case m := <-held:
			if m != method {
				t.Fatalf("%s is answered, not %s", m, method)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no %s", method)
		}
	}
	stays := func(card string) {
		t.Helper()
		c.sees(card + `?.querySelector('.chip').textContent === 'recording' && ` + card + `.querySelectorAll('.streams li').length === 1`)
		time.Sleep(3 * time.Second) // until all of a start is told: news after the answer would bring the card back
		release <- true
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if is := webtest.Eval[string](t, c.page, card+`?.querySelector('.chip').textContent ?? 'gone'`); is != "recording" {
				t.Fatalf("when the answer has come the card is %s", is)
			}
		}
	}

	c.join("lounge", "cid", tone(t, annHz))
	c.join("garden", "dora", tone(t, annHz))
	webtest.Open(t, c.page, front.URL+"/")
	c.enter(c.key)
	waits(http.MethodGet)
	c.ask("PUT", "/v1/captures/one", spec("lounge")).ok(201)
	stays(`document.querySelector('[data-capture=one]')`)
	c.sees(`document.querySelector('[data-room=garden]')`)
	webtest.Do(t, c.page, `document.querySelector('[data-room=garden] .record').click()`)
	waits(http.MethodPut)
	stays(`document.querySelector('[data-capture^=garden-]')`)
}
