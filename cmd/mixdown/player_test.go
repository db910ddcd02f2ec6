package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/overview"
	"mixdown/web/webtest"
)

// hole is a publisher's socket that loses media while it is open: for ever, for
// what is sent of it again is lost as well. Signalling passes.
type hole struct {
	net.PacketConn
	open atomic.Bool

	mu   sync.Mutex
	gone map[uint16]bool // by sequence number
}

func newHole(t testing.TB) *hole {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() }) // the engine may have closed it
	return &hole{PacketConn: socket, gone: map[uint16]bool{}}
}

// WriteTo implements net.PacketConn.
func (h *hole) WriteTo(b []byte, to net.Addr) (int, error) {
	if media := len(b) > 12 && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223); media { // RFC 5761, section 4
		h.mu.Lock()
		defer h.mu.Unlock()
		n := binary.BigEndian.Uint16(b[2:])
		if h.open.Load() {
			h.gone[n] = true
		}
		if h.gone[n] {
			return len(b), nil
		}
	}
	return h.PacketConn.WriteTo(b, to)
}

// TestConsolePlayer: an operator finds a recording, sees in the lanes who spoke,
// where a burst of packets got lost and what was left out, and hears the right
// tone where the lanes say that it was.
func TestConsolePlayer(t *testing.T) {
	data := t.TempDir()
	c := openConsole(t, func(c *configs.Config) { c.Data = data })
	c.enter(c.key)
	c.sees(`document.body.innerText.includes('Nothing is captured now')`)
	c.join("standup", "ann", burst(t, annHz, 0, 7*time.Second, time.Minute))
	bea := newHole(t)
	joinOver(t, bea, c.at.HTTP, "standup", "bea", repeated(burst(t, beaHz, 9*time.Second, time.Minute, time.Minute)),
		func(user string) (string, error) { return c.mint("standup", user), nil })
	call[capture.Status](t, c.client, "PUT", "/v1/captures/cut", capture.Spec{
		Room:   capture.RoomSpec{RoomID: "standup"},
		Record: []capture.RecordSpec{{What: "mix", SegmentSeconds: 5}, {What: "streams", SegmentSeconds: 5}},
		Labels: map[string]string{"case": "A-17"},
	})
	begun := call[capture.Status](t, c.client, "GET", "/v1/captures/cut", nil).Start
	reaches := func(seconds float64) (at float64) {
		eventually(t, fmt.Sprintf("%.0f seconds are captured", seconds), 90*time.Second, func() bool { return time.Since(begun.Time).Seconds() > seconds })
		return time.Since(begun.Time).Seconds()
	}
	from := reaches(12)
	bea.open.Store(true)
	to := reaches(from + 2)
	bea.open.Store(false)
	reaches(16)
	c.ask("POST", "/v1/captures/cut/pause", map[string]any{"mode": "skip", "reason": "card number"}).ok(200)
	reaches(18)
	c.ask("POST", "/v1/captures/cut/resume", nil).ok(200)
	reaches(26)
	c.ask("POST", "/v1/captures/cut/stop", nil).ok(200)

	o := decode[overview.Overview](c.ask("GET", "/v1/recordings/cut/overview", nil).ok(200))
	c.looksRight(o, from, to)
	c.finds()
	c.sees(`document.querySelectorAll('.lane').length === 2 && document.querySelector('.lane i.lost')`)
	c.marks(from, to)
	c.sees(`[...document.querySelectorAll('.moments li')].some((li) => li.innerText.includes('paused') && li.innerText.includes('card number'))`)
	c.plays(3, annHz)
	c.plays(11, beaHz)
	c.plays(22, beaHz) // behind the gap, in another segment
	c.sees(`/^#recordings\/cut\/2[12]\.\d$/.test(location.hash)`)
	webtest.Reload(t, c.page)
	c.sees(`/^0:2[12] /.test(document.getElementById('at')?.textContent) && document.querySelector('.lane i.lost')`)
	c.plays(22, beaHz)
	c.looks("console-recording")
	c.accessible("recording")
	c.byKeyboard()

	webtest.Do(t, c.page, `document.getElementById('verify').click()`)
	c.sees(`document.getElementById('verdict').textContent.startsWith('Intact')`)
	webtest.Do(t, c.page, `document.querySelector('details summary').click()`)
	c.sees(`document.querySelectorAll('.files a[download]').length > 8`)
	got := webtest.Eval[string](t, c.page, `fetch([...document.querySelectorAll('.files a')].find((a) => a.textContent.startsWith('mix/')).href)
		.then((r) => r.arrayBuffer()).then((b) => new TextDecoder().decode(b.slice(0, 4)))`)
	if got != "OggS" {
		t.Errorf("a download begins with %q", got)
	}
	segments, err := filepath.Glob(filepath.Join(data, "recordings/standup/cut/mix/000002-*.ogg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("the second segment: %v %v", segments, err)
	}
	must(t, os.Truncate(segments[0], 5000))
	webtest.Do(t, c.page, `document.getElementById('verify').click()`)
	c.sees(`document.querySelector('#verdict.error')?.innerText.includes('mix/000002-') && document.querySelector('.wave i.broken')`)
	c.looks("console-recording-broken")
	c.secret()
}

// secret: of an encrypted recording the page shows that it is one.
func (c *console) secret() {
	c.t.Helper()
	_, public := customerKey(c.t)
	c.ask("PUT", "/v1/captures/secret", with(spec("lounge"), "encrypt", capture.EncryptSpec{Recipients: []string{public}})).ok(201)
	c.ask("POST", "/v1/captures/secret/stop", nil).ok(200)
	webtest.Do(c.t, c.page, `location.hash = 'recordings/secret'`)
	c.sees(`document.getElementById('encrypted') && !document.getElementById('play')`)
}

// looksRight checks what the API says of the recording.
func (c *console) looksRight(o overview.Overview, from, to float64) {
	c.t.Helper()
	for _, w := range o.Waves {
		loud := func(second int64) bool {
			i := second * int64(len(w.Peaks)) * 1000 / (o.To - o.From)
			return overview.Amplitude(w.Peaks[i]) > 0.1
		}
		ann, bea := strings.Contains(w.Output, "ann"), strings.Contains(w.Output, "bea")
		if loud(3) == bea || loud(11) == ann || loud(22) == ann || loud(17) {
			c.t.Errorf("the wave of %s is loud at 3: %v, 11: %v, 17: %v, 22: %v", w.Output, loud(3), loud(11), loud(17), loud(22))
		}
	}
	for _, l := range o.Lanes {
		lost := int64(0)
		for _, n := range l.Lost {
			if l.UserID == "bea" && (float64(n[0])/1000 < from-0.5 || float64(n[1])/1000 > to+0.5) {
				c.t.Errorf("bea lost %d ms between %d and %d ms, not between %.1f and %.1f s", n[2], n[0], n[1], from, to)
			}
			lost += n[2]
		}
		if want := 1000 * (to - from); l.UserID == "bea" && math.Abs(float64(lost)-want) > 500 {
			c.t.Errorf("bea lost %d ms, not %.0f", lost, want)
		}
	}
}

// finds looks for the recording by everything that it can be looked for.
func (c *console) finds() {
	c.t.Helper()
	c.join("lounge", "cid", tone(c.t, annHz))
	c.ask("PUT", "/v1/captures/other", spec("lounge")).ok(201)
	webtest.Do(c.t, c.page, `document.querySelector('nav a[href="#recordings"]').click()`)
	c.sees(`document.querySelectorAll('#recordings li').length === 2`)
	c.looks("console-recordings")
	c.accessible("recordings")
	for field, values := range map[string][2]string{
		"room": {"standup", "nowhere"}, "user": {"bea", "nobody"}, "label": {"case=A-17", "case=B"},
		"from": {"2020-01-01T00:00", "2099-01-01T00:00"}, "to": {"2099-01-01T00:00", "2020-01-01T00:00"},
	} {
		for i, value := range append(values[:], "") {
			webtest.Do(c.t, c.page, fmt.Sprintf(`{
				const input = document.getElementById(%q);
				input.value = %q;
				input.dispatchEvent(new Event('input', {bubbles: true}));
			}`, field, value))
			has, all := i != 1, 1
			switch {
			case i == 2:
				all = 2
			case i == 1:
				all = 0
			case field == "from" || field == "to":
				all = 2
			}
			if field == "from" && i == 1 { // what goes on has no end yet
				all = 1
			}
			c.sees(fmt.Sprintf(`document.querySelectorAll('#recordings li').length === %d && (document.querySelector('#recordings a[href$="/cut"]') !== null) === %v`, all, has))
		}
	}
	webtest.Do(c.t, c.page, `document.querySelector('#recordings a[href$="/other"]').click()`)
	c.sees(`document.getElementById('why')?.innerText.includes('not sealed yet') || document.body.innerText.includes('No segment is sealed yet')`)
	webtest.Do(c.t, c.page, `history.back()`)
	c.sees(`document.querySelector('#recordings a[href$="/cut"]')`)
	webtest.Do(c.t, c.page, `document.querySelector('#recordings a[href$="/cut"]').click()`)
}

// marks checks that the burst is in bea's lane, where it was, and in no other.
func (c *console) marks(from, to float64) {
	c.t.Helper()
	seen := webtest.Eval[[]float64](c.t, c.page, `(() => {
		const lane = document.querySelector('.lane[data-user=bea]');
		const track = lane.querySelector('.track').getBoundingClientRect();
		const length = document.getElementById('lanes').ariaValueMax;
		const boxes = [...lane.querySelectorAll('i.lost')].map((i) => i.getBoundingClientRect());
		const at = (x) => ((x - track.left) / track.width) * length;
		return [at(Math.min(...boxes.map((b) => b.left))), at(Math.max(...boxes.map((b) => b.right))), Math.min(...boxes.map((b) => b.width * b.height))];
	})()`)
	if math.Abs(seen[0]-from) > 0.7 || math.Abs(seen[1]-to) > 0.7 || seen[2] < 20 {
		c.t.Errorf("the burst is seen from %.1f to %.1f s (%.0f px), but was from %.1f to %.1f", seen[0], seen[1], seen[2], from, to)
	}
	if told := webtest.Eval[string](c.t, c.page, `document.querySelector('.lane[data-user=bea] canvas').ariaLabel`); !strings.Contains(told, "lost") {
		c.t.Errorf("who does not see the lane is told %q", told)
	}
}

// plays clicks on an instant and listens.
func (c *console) plays(seconds, hz float64) {
	c.t.Helper()
	webtest.Do(c.t, c.page, fmt.Sprintf(`(() => {
		const lanes = document.getElementById('lanes');
		const {left, width} = lanes.getBoundingClientRect();
		lanes.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: left + width * %v / lanes.ariaValueMax}));
	})()`, seconds))
	c.sees(`document.querySelector('.player[data-playing]')`)
	c.hears(`[...document.querySelectorAll('.player audio')].find((a) => !a.paused).captureStream()`, hz)
}

// byKeyboard plays, moves, zooms and stops without a mouse.
func (c *console) byKeyboard() {
	c.t.Helper()
	key := func(name string) {
		webtest.Do(c.t, c.page, fmt.Sprintf(`{
			const lanes = document.getElementById('lanes');
			lanes.focus();
			lanes.dispatchEvent(new KeyboardEvent('keydown', {key: %q, bubbles: true, cancelable: true}));
		}`, name))
	}
	if webtest.Eval[bool](c.t, c.page, `document.querySelector('.player').hasAttribute('data-playing')`) {
		key(" ")
	}
	c.sees(`document.getElementById('play').textContent === 'Play'`)
	key("Home")
	c.sees(`document.getElementById('lanes').ariaValueNow === '0'`)
	key("ArrowRight")
	c.sees(`document.getElementById('lanes').ariaValueNow === '5'`)
	key("+")
	key("+")
	c.sees(`!document.getElementById('farther').disabled`)
	c.looks("console-recording-near")
	key("-")
	key("-")
	c.sees(`document.getElementById('farther').disabled`)
	key(" ")
	c.sees(`document.getElementById('play').textContent === 'Pause'`)
	key(" ")
}
