package main

import (
	"fmt"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/web/webtest"
)

// TestConsolePlayer: an operator finds a recording, and hears the right tone
// where the lanes say that it was.
func TestConsolePlayer(t *testing.T) {
	c := openConsole(t)
	c.enter(c.key)
	c.sees(`document.body.innerText.includes('Nothing is captured now')`)
	c.join("standup", "ann", burst(t, annHz, 0, 7*time.Second, time.Minute))
	c.join("standup", "bea", burst(t, beaHz, 9*time.Second, time.Minute, time.Minute))
	call[capture.Status](t, c.client, "PUT", "/v1/captures/cut", capture.Spec{
		Room: capture.RoomSpec{RoomID: "standup"}, Record: []capture.RecordSpec{{What: "mix", SegmentSeconds: 5}},
	})
	eventually(t, "twenty seconds are recorded", 60*time.Second, func() bool {
		return call[capture.Status](t, c.client, "GET", "/v1/captures/cut", nil).Seconds > 20
	})
	c.ask("POST", "/v1/captures/cut/stop", nil).ok(200)

	webtest.Do(t, c.page, `document.querySelector('nav a[href="#recordings"]').click()`)
	c.sees(`document.querySelectorAll('#recordings li').length === 1`)
	c.looks("console-recordings")
	webtest.Do(t, c.page, `document.querySelector('#recordings a[href$="/cut"]').click()`)
	c.sees(`document.querySelectorAll('.lane i').length >= 2`)
	for user, hz := range map[string]float64{"ann": annHz, "bea": beaHz} {
		c.plays(user, hz)
	}
	webtest.Do(t, c.page, `document.getElementById('verify').click()`)
	c.sees(`document.getElementById('verdict').textContent.startsWith('Intact')`)
	c.looks("console-recording")
	c.accessible("recording")
}

// plays clicks into the longest time that a user spoke and listens.
func (c *console) plays(user string, hz float64) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`(() => {
		const lane = [...document.querySelectorAll('.lane')].find((l) => l.querySelector('.name').textContent === %q);
		const boxes = [...lane.querySelectorAll('i')].map((i) => i.getBoundingClientRect()).sort((a, b) => b.width - a.width);
		const {x, width} = boxes[0];
		document.getElementById('lanes').dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: x + width / 3}));
	})()`, user))
	c.sees(`document.getElementById('play').textContent === 'Pause' && document.querySelector('.player audio').readyState >= 3`)
	c.hears(`document.querySelector('.player audio').captureStream()`, hz)
}
