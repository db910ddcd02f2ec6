package webtest_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mixdown/web/webtest"
)

const openMicrophone = `navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}})
	.then((stream) => { window.stream = stream; })`

func page(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, err := w.Write([]byte("<title>microphone</title>")); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// hears fails unless the microphone is the tone. A busy machine makes browsers
// stutter, so it listens more than once.
func hears(t *testing.T, ctx context.Context) {
	t.Helper()
	var hz, level float64
	for range 5 {
		if hz, level = webtest.Pitch(t, ctx, `stream`); math.Abs(hz-700) < 6 && math.Abs(level+12) < 3 {
			return
		}
	}
	t.Fatalf("the microphone is a tone of %.0f Hz at %.0f dB", hz, level)
}

// TestMicrophone checks that the browser hears the file, again and again.
func TestMicrophone(t *testing.T) {
	ctx := webtest.Browser(t, webtest.Microphone(t, webtest.Tone(700, time.Second)))
	webtest.Open(t, ctx, page(t))
	webtest.Do(t, ctx, openMicrophone)
	for range 4 { // more than the file's second
		hears(t, ctx)
	}
}

// TestOnce checks that the file is heard once, and then nothing.
func TestOnce(t *testing.T) {
	ctx := webtest.Browser(t, webtest.Microphone(t, webtest.Tone(700, 6*time.Second)), webtest.Once())
	webtest.Open(t, ctx, page(t))
	webtest.Do(t, ctx, openMicrophone)
	hears(t, ctx)
	level := 0.0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if _, level = webtest.Pitch(t, ctx, `stream`); level < -90 {
			return
		}
	}
	t.Errorf("the microphone never fell silent: %.0f dB", level)
}
