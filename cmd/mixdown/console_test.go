package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"mixdown/configs"
	"mixdown/web"
	"mixdown/web/webtest"
)

// console is an operator's browser.
type console struct {
	*here
	page context.Context
}

// openConsole starts a daemon and a browser on its console.
func openConsole(t testing.TB, edit ...func(*configs.Config)) *console {
	t.Helper()
	if !web.Built() {
		t.Fatal("the pages are not built; make web does it (make test, too)")
	}
	c := &console{here: startHere(t, edit...), page: webtest.Browser(t, "")}
	webtest.Open(t, c.page, c.at.HTTP+"/")
	return c
}

// TestConsole: an operator enters the key, records a room, sees meters move,
// listens, pauses and stops.
func TestConsole(t *testing.T) {
	c := openConsole(t)
	c.enter("wrong")
	c.sees(`document.getElementById('error').checkVisibility()`)
	c.looks("console-key")
	c.enter(c.key)
	c.sees(`document.body.innerText.includes('Nothing is captured now')`)

	c.join("lounge", "cid", tone(t, annHz))
	c.sees(`document.querySelector('[data-room=lounge]')`)
	webtest.Do(t, c.page, `document.querySelector('[data-room=lounge] .record').click()`)
	lounge := `document.querySelector('[data-capture^=lounge-]')`
	c.sees(lounge + `?.querySelector('.chip').textContent === 'recording'`)
	c.sees(lounge + `.querySelector('.meter').ariaValueNow > 50`)
	c.sees(lounge + `.querySelector('.ledger').ariaLabel.includes('received')`)
	webtest.Do(t, c.page, lounge+`.querySelector('.buttons .listen').click()`)
	c.sees(`document.getElementById('listening')?.currentTime > 1`)
	c.hears(`document.getElementById('listening').captureStream()`, annHz)
	c.looks("console-live")
	c.accessible("live")
	c.controls(lounge)
	webtest.Do(t, c.page, lounge+`.querySelector('.stop').click()`)
	c.sees(lounge + `.querySelector('.stop').textContent === 'Really stop?'`)
	webtest.Do(t, c.page, lounge+`.querySelector('.stop').click()`)
	c.sees(lounge + ` === null`)
	webtest.Do(t, c.page, `document.getElementById('leave').click()`)
	c.sees(`document.getElementById('login')`)
	c.sees(`sessionStorage.length === 0`)
}

// controls mutes, turns and pauses, and sees each come back from the daemon.
func (c *console) controls(card string) {
	c.t.Helper()
	press := func(what string) { webtest.Do(c.t, c.page, card+`.querySelector('`+what+`').click()`) }
	press(".tools .mute")
	c.sees(card + `.querySelector('.tools .mute').textContent === 'Muted'`)
	press(".tools .mute")
	c.sees(card + `.querySelector('.tools .mute').textContent === 'Mute'`)
	press(".more")
	c.sees(card + `.querySelector('.facts').textContent.includes('received')`)
	c.looks("console-stream")
	c.accessible("stream")
	webtest.Do(c.t, c.page, `{
		const gain = `+card+`.querySelector('.tools input');
		gain.value = -6;
		gain.dispatchEvent(new Event('change', {bubbles: true}));
	}`)
	c.sees(card + `.querySelector('.gain .note').textContent === '-6 dB'`)
	webtest.Do(c.t, c.page, card+`.querySelector('.exclude').focus()`) // by keyboard
	if err := chromedp.Do(c.page, chromedp.KeyEvent(" ")); err != nil {
		c.t.Fatal(err)
	}
	c.sees(card + `.querySelector('.exclude').getAttribute('aria-pressed') === 'true' && ` + card + `.querySelector('li').classList.contains('out')`)
	press(".exclude")
	c.sees(card + `.querySelector('.exclude').getAttribute('aria-pressed') === 'false'`)
	press(".pause-one")
	c.sees(card + `.querySelector('.pauses')?.textContent.includes('cid is paused (silence)')`)
	press(".pause-one")
	c.sees(card + `.querySelector('.pauses') === null`)
	press(".pause")
	c.sees(card + `.querySelector('.chip').textContent === 'paused'`)
	press(".pause")
	c.sees(card + `.querySelector('.chip').textContent === 'recording'`)
	press(".tools .listen")
	c.sees(`document.getElementById('listening')?.dataset.address.includes('stream=cid-mic') && document.getElementById('listening').currentTime > 0.5`)
}

func (c *console) enter(key string) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`document.getElementById('key').value = %q; document.querySelector('#login button').click()`, key))
}

// sees waits for something in the page.
func (c *console) sees(condition string) {
	c.t.Helper()
	webtest.Await(c.t, c.page, condition, `document.body.innerText`)
}

// hears listens up to ten times: a busy machine makes browsers stutter.
func (c *console) hears(stream string, hz float64) {
	c.t.Helper()
	var got, level float64
	for range 10 {
		if got, level = webtest.Pitch(c.t, c.page, stream); math.Abs(got-hz) < 12 && level > -30 {
			return
		}
	}
	c.t.Errorf("the console plays %.0f Hz at %.0f dB in %s, want %.0f Hz", got, level, stream, hz)
}

// looks takes pictures on a desk and on a phone; nothing may be cut off. They
// go to the directory MIXDOWN_SCREENSHOTS, if that is set.
func (c *console) looks(name string) {
	c.t.Helper()
	directory := os.Getenv("MIXDOWN_SCREENSHOTS")
	if directory == "" {
		directory = c.t.TempDir()
	}
	for window, width := range map[string]int64{"phone": 360, "desk": 1280} {
		webtest.Screenshot(c.t, c.page, width, 800, filepath.Join(directory, name+"-"+window+".png"))
		if wide := webtest.Eval[int64](c.t, c.page, `document.documentElement.scrollWidth`); wide > width {
			c.t.Errorf("%s is %d wide in a window of %d", name, wide, width)
		}
	}
}

// accessible fails on what axe-core finds serious or critical.
func (c *console) accessible(name string) {
	c.t.Helper()
	axe, err := os.ReadFile("../../web/node_modules/axe-core/axe.min.js")
	if err != nil {
		c.t.Fatalf("%v (make web installs it)", err)
	}
	webtest.Do(c.t, c.page, string(axe)+`;null`)
	found := webtest.Eval[[]string](c.t, c.page, `axe.run().then(({violations}) => violations
		.filter((x) => x.impact === 'serious' || x.impact === 'critical')
		.map((x) => x.id + ': ' + x.help + ': ' + x.nodes.map((n) => n.html).join(' ')))`)
	if len(found) > 0 {
		c.t.Errorf("%s is hard to use for some: %s", name, strings.Join(found, "\n"))
	}
}
