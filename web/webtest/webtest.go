// Package webtest drives Debian's Chromium in tests: a browser with a
// microphone made of a WAV file, whose console goes into the test's log.
//
// Tests of web, of the console and of whole calls use it; nothing else does.
// It promises that every [Browser] is a process of its own with a fresh
// profile, that it makes no requests but those of the page, and that it is
// gone when the test ends. It does not start servers and knows no page.
package webtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a page may take for one thing; two cores shared by many
// tests are slow.
const patience = 30 * time.Second

// launches is how often a browser is started until it runs.
const launches = 3

// Option changes how [Browser] starts.
type Option func(*settings)

type settings struct {
	once  bool
	watch func(chromedp.ConsoleMessage)
}

// Once plays the microphone's file once, then silence; without it the file is
// repeated for ever.
func Once() Option { return func(s *settings) { s.once = true } }

// Watch calls f, one call at a time, with everything that pages and browser
// write to the console.
func Watch(f func(chromedp.ConsoleMessage)) Option { return func(s *settings) { s.watch = f } }

// Browser starts a headless Chromium and returns the context of its tab, for
// chromedp and for the functions of this package. It hears microphoneWAV (as
// [Microphone] writes it) or, if that is empty, Chromium's own beeps; the
// microphone is allowed without a question, sound plays without a gesture.
// What pages write to the console goes to the test's log. The browser ends with
// the test.
func Browser(t testing.TB, microphoneWAV string, options ...Option) context.Context {
	t.Helper()
	var s settings
	for _, o := range options {
		o(&s)
	}
	path := executable(t)
	if s.once {
		microphoneWAV = endInSilence(t, microphoneWAV)
	}
	ctx, end := launch(t, s.flags(path, microphoneWAV))
	var tasks sync.WaitGroup
	t.Cleanup(func() {
		end()
		tasks.Wait()
	})
	console := chromedp.Console(ctx)
	tasks.Go(func() {
		for m, err := range console {
			if err != nil {
				return // the browser has ended
			}
			t.Logf("page: %s %s", m, m.URL)
			if s.watch != nil {
				s.watch(m)
			}
		}
	})
	return ctx
}

// launch starts a browser and opens a tab. Chromium itself crashes now and then
// as it starts, before it has seen a page; it is started again then.
func launch(t testing.TB, flags []chromedp.ExecAllocatorOption) (tab context.Context, end func()) {
	t.Helper()
	for try := 1; ; try++ {
		allocator, stop := chromedp.NewExecAllocator(t.Context(), flags...)
		ctx, cancel := chromedp.NewContext(allocator)
		err := chromedp.Do(ctx)
		if err == nil {
			return ctx, func() { cancel(); stop() }
		}
		cancel()
		stop()
		if try == launches {
			t.Fatalf("start Chromium: %v", err)
		}
		t.Logf("start Chromium again: %v", err)
	}
}

// flags are fixed so that the browser is quick, quiet and alone.
func (s settings) flags(path, microphoneWAV string) []chromedp.ExecAllocatorOption {
	flags := slices.Clone(chromedp.DefaultExecAllocatorOptions[:])
	flags = append(flags, chromedp.ExecPath(path), chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	for _, name := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	if microphoneWAV != "" {
		if s.once { // Chromium's own way to say so
			microphoneWAV += "%noloop"
		}
		flags = append(flags, chromedp.Flag("use-file-for-fake-audio-capture", microphoneWAV))
	}
	return flags
}

// executables are what Chromium is called.
var executables = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

func executable(t testing.TB) string {
	t.Helper()
	for _, name := range executables {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("this test needs Chromium (Debian package chromium; make test installs it), but none of %q is in the PATH", executables)
	return ""
}

// Open loads a page and waits until it has loaded.
func Open(t testing.TB, ctx context.Context, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
}

// Reload loads the page again and waits until it has loaded. A script that
// reloads it would end the next script, if that begins in the old page.
func Reload(t testing.TB, ctx context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Reload()); err != nil {
		t.Fatalf("reload: %v", err)
	}
}

// Eval runs JavaScript in the page and returns its value; a promise is waited
// for. An exception or a rejection fails the test.
func Eval[T any](t testing.TB, ctx context.Context, script string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
	return v
}

// Do is [Eval] without a value.
func Do(t testing.TB, ctx context.Context, script string) {
	t.Helper()
	Eval[chromedp.Void](t, ctx, script)
}

// Await waits until a JavaScript expression is true. If that does not happen
// in time the test fails, with the value of the expression detail ("" for
// none). A condition about what is not there yet may throw.
func Await(t testing.TB, ctx context.Context, condition, detail string) {
	t.Helper()
	if detail == "" {
		detail = "null"
	}
	script := fmt.Sprintf(`(async () => {
		const end = performance.now() + %d;
		for (;;) {
			let thrown = '';
			try {
				if (%s) return '';
			} catch (e) {
				thrown = ' (' + e + ')';
			}
			if (performance.now() > end) return (JSON.stringify(%s) ?? 'undefined') + thrown;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	})()`, (patience - 5*time.Second).Milliseconds(), condition, detail)
	if state := Eval[string](t, ctx, script); state != "" {
		t.Fatalf("the page never came to %s: %s", condition, state)
	}
}

// Pitch measures the strongest frequency, in Hz, and its level, in dB to a sine
// of full scale, of a MediaStream (a JavaScript expression that gives one) over
// a fifth of a second. Frequencies are exact to 3 Hz, levels to 2 dB.
func Pitch(t testing.TB, ctx context.Context, stream string) (hz, level float64) {
	t.Helper()
	loudest := Eval[[2]float64](t, ctx, fmt.Sprintf(`(async () => {
		const audio = new AudioContext({ sampleRate: 48000 });
		await audio.resume();
		const analyser = new AnalyserNode(audio, { fftSize: 8192, smoothingTimeConstant: 0 });
		audio.createMediaStreamSource(%s).connect(analyser);
		await new Promise((resolve) => setTimeout(resolve, 350));
		const bins = new Float32Array(analyser.frequencyBinCount);
		analyser.getFloatFrequencyData(bins);
		await audio.close();
		let top = 1;
		for (let i = 2; i < bins.length; i++) if (bins[i] > bins[top]) top = i;
		const window = 20 * Math.log10(2 / 0.42); // what halving and the Blackman window take
		return [top * 48000 / 8192, Math.max(bins[top] + window, -200)];
	})()`, stream))
	return loudest[0], loudest[1]
}

// Screenshot writes the whole page as it looks in a window of that size as PNG.
func Screenshot(t testing.TB, ctx context.Context, width, height int64, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatalf("set window size: %v", err)
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("screenshot: %v", err)
	}
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		t.Fatalf("screenshot: %v", err)
	}
}
