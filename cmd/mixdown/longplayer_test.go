package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/configs"
	"mixdown/web/webtest"
)

// toll is a way to the daemon on which what a browser asks for is counted.
type toll struct {
	mu    sync.Mutex
	asked []string // method, path and range
	bytes int64
}

// between puts a toll before a daemon and returns its address.
func between(t testing.TB, daemon string) (*toll, string) {
	t.Helper()
	to, err := url.Parse(daemon)
	must(t, err)
	passed := &toll{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // a browser that has heard enough hangs up
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/recordings/") {
			passed.mu.Lock()
			passed.asked = append(passed.asked, r.URL.Path+" "+r.Header.Get("Range"))
			passed.mu.Unlock()
			w = &scales{w, passed, strings.Contains(r.URL.Path, "/files/")}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return passed, s.URL
}

// perByte makes the way of sound one of 8 Mbit/s: on a quicker one, buffers
// of the machine fill with what nobody reads.
const perByte = time.Microsecond

// scales count what goes through.
type scales struct {
	http.ResponseWriter
	toll *toll
	slow bool
}

// Write implements http.ResponseWriter.
func (s *scales) Write(b []byte) (int, error) {
	if s.slow {
		<-time.After(time.Duration(len(b)) * perByte)
	}
	n, err := s.ResponseWriter.Write(b)
	s.toll.mu.Lock()
	defer s.toll.mu.Unlock()
	s.toll.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush.
func (s *scales) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// taken is what was asked for since the last time.
func (p *toll) taken() (asked []string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, bytes = p.asked, p.bytes
	p.asked, p.bytes = nil, 0
	return asked, bytes
}

// TestConsoleLongRecording: two hours open by two requests and some kilobytes,
// and each click plays the right tone after a few more, at the instant that the
// page says, whether they are segments of a minute or one file. How long it takes is
// told and not judged.
func TestConsoleLongRecording(t *testing.T) {
	data := t.TempDir()
	long := fabricated{id: "long", room: "desk", length: 2 * time.Hour, segment: time.Minute, looks: true, speakers: []string{"ann", "bob"}}
	long.write(t, data)
	whole := fabricated{id: "whole", room: "desk", length: 2 * time.Hour, looks: true}
	whole.write(t, data)
	c := &console{here: startHere(t, func(c *configs.Config) { c.Data = data }), page: webtest.Browser(t, "")}
	passed, address := between(t, c.at.HTTP)
	webtest.Open(t, c.page, address)
	c.enter(c.key)
	c.sees(`document.querySelector('nav')`)
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(data, "recordings/desk", name))
		must(t, err)
		return info.Size()
	}
	for _, file := range []string{"long/mix/000091.ogg", "whole/mix/000001.ogg"} {
		id, _, _ := strings.Cut(file, "/")
		passed.taken()
		took := webtest.Eval[float64](t, c.page, fmt.Sprintf(`(async () => {
			const began = performance.now();
			location.hash = 'recordings/%s';
			const drawn = () => document.querySelector('#recording-title + .hint')?.textContent.includes('%s') && document.getElementById('lanes')?.ariaValueMax === '7200' && document.querySelector('.wave canvas')?.getContext('2d')
				.getImageData(Math.floor(document.querySelector('.wave canvas').width * 0.4), 0, 40, document.querySelector('.wave canvas').height).data.some((v) => v > 0);
			while (!drawn()) {
				if (performance.now() - began > 30000) throw new Error('nothing is drawn: ' + document.body.innerText);
				await new Promise(requestAnimationFrame);
			}
			return performance.now() - began;
		})()`, id, id))
		asked, bytes := passed.taken()
		t.Logf("%s opens in %.0f ms by %d requests and %d kB", id, took, len(asked), bytes/1000)
		if len(asked) != 2 || bytes > 300_000 {
			t.Errorf("%s takes %d bytes to open: %q", id, bytes, asked)
		}
		for _, second := range []float64{5403, 35.5, 7195} {
			took, from, to, hz := c.jumps(second)
			asked, bytes := passed.taken()
			t.Logf("%s is at %.0f s in %.0f ms by %d requests and %d kB", id, second, took, len(asked), bytes/1000)
			if math.Abs(from-second) > 30 { // a pixel is ten seconds, on a phone 24
				t.Errorf("%s is at %.1f s after a click on %.1f s", id, from, second)
			}
			if !fits(hz, from, to) {
				t.Errorf("%s plays %.0f Hz between %.1f and %.1f s, want %.0f or %.0f", id, hz, from, to, hertz(int64(from)/10), hertz(int64(to)/10))
			}
			// Of a segment of a minute all, and of its successor; of a large file
			// where it is looked for and what is read ahead.
			if len(asked) > 15 || bytes > min(2*size(file)+100_000, 10_000_000) {
				t.Errorf("%s takes %d bytes of %d to play from %.0f s: %q", id, bytes, size(file), second, asked)
			}
		}
		c.edges(id)
		c.looks("console-recording-" + id)
	}
}

// at is where the page says that it plays, in seconds.
const at = `((parseFloat(document.querySelector('.playhead').style.left) / 100) * 7200)`

// fits says that a pitch is that of one of two instants of the recording.
func fits(hz, from, to float64) bool {
	return math.Abs(hz-hertz(int64(from)/10)) <= 15 || math.Abs(hz-hertz(int64(to)/10)) <= 15
}

// jumps clicks on an instant and waits for sound: how many ms that took, its
// pitch, and where the page was before and after that was measured. A browser
// that stutters is listened to again.
func (c *console) jumps(second float64) (ms, from, to, hz float64) {
	c.t.Helper()
	ms = webtest.Eval[float64](c.t, c.page, fmt.Sprintf(`(async () => {
		const lanes = document.getElementById('lanes');
		const {left, width} = lanes.getBoundingClientRect();
		const began = performance.now();
		lanes.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: left + width * %v / 7200}));
		const plays = () => [...document.querySelectorAll('.player audio')].some((a) => !a.paused && !a.seeking && a.readyState >= 3);
		while (!plays()) {
			if (performance.now() - began > 30000) throw new Error('it does not play');
			await new Promise(requestAnimationFrame);
		}
		return performance.now() - began;
	})()`, second))
	for range 10 {
		from = webtest.Eval[float64](c.t, c.page, at)
		hz, _ = webtest.Pitch(c.t, c.page, `[...document.querySelectorAll('.player audio')].find((a) => !a.paused).captureStream()`)
		to = webtest.Eval[float64](c.t, c.page, at)
		if fits(hz, from, to) || to > 7198 { // its end is near
			break
		}
	}
	webtest.Do(c.t, c.page, `document.getElementById('play').click()`)
	return ms, from, to, hz
}

// edges plays over a change of the tone, within a segment and from one to the
// next, and compares when it is heard with when the page says that it is.
func (c *console) edges(id string) {
	c.t.Helper()
	for _, edge := range []float64{3610, 3660} {
		heard := webtest.Eval[[2]float64](c.t, c.page, fmt.Sprintf(`(async () => {
			const [edge, before, after] = [%v, %v, %v];
			const lanes = document.getElementById('lanes');
			const {left, width} = lanes.getBoundingClientRect();
			document.getElementById('play').click();
			lanes.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: left + width * (edge - 3) / 7200}));
			const at = () => %s;
			const key = (name) => lanes.dispatchEvent(new KeyboardEvent('keydown', {key: name, bubbles: true, cancelable: true}));
			const still = () => new Promise((resolve) => setTimeout(resolve, 100));
			for (await still(); at() > edge - 2; await still()) key('ArrowLeft'); // a click is not that exact
			for (await still(); at() < edge - 8; await still()) key('ArrowRight');
			const audio = new AudioContext({sampleRate: 48000});
			await audio.resume();
			const analyser = new AnalyserNode(audio, {fftSize: 2048, smoothingTimeConstant: 0});
			const sources = new Map();
			const bins = new Float32Array(1024);
			const level = (hz) => bins[Math.round(hz * 2048 / 48000)];
			const end = performance.now() + 25000;
			let last = 0;
			for (;;) {
				if (performance.now() > end) throw new Error('the tone never changes from ' + before + ' to ' + after + '; it is at ' + lanes.ariaValueText);
				await new Promise((resolve) => setTimeout(resolve, 10));
				const element = [...document.querySelectorAll('.player audio')].find((a) => !a.paused && a.currentTime > 0);
				if (!element) continue;
				if (!sources.has(element)) {
					const source = audio.createMediaStreamSource(element.captureStream());
					source.connect(analyser);
					sources.set(element, source);
				}
				const now = at();
				analyser.getFloatFrequencyData(bins);
				if (level(after) > level(before) + 10 && level(after) > -50) break;
				last = now;
			}
			const now = at();
			document.getElementById('play').click();
			await audio.close();
			return [last, now];
		})()`, edge, hertz(int64(edge)/10-1), hertz(int64(edge)/10), at))
		c.t.Logf("%s: the tone of %.0f s is heard between %.2f and %.2f s", id, edge, heard[0], heard[1])
		if heard[0] > edge+0.3 || heard[1] < edge-0.3 {
			c.t.Errorf("%s: the tone of %.0f s is heard when the page says %.2f to %.2f s", id, edge, heard[0], heard[1])
		}
	}
}
