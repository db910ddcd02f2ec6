package main

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"mixdown/mixer/pcm"
)

// TestPauseLeavesNothing: what is said during a pause is in no byte of the data
// folder and of the bucket, and nobody who listens hears it; what is said
// before and after is there.
func TestPauseLeavesNothing(t *testing.T) {
	t.Parallel()
	const (
		openHz, secretHz = 440.0, 2500.0
		secretFrom       = 6 * time.Second // after ann's first word
		secretFor        = 3 * time.Second
	)
	edit, bucket := withBucket(t)
	h := startHere(t, edit)
	record := []any{}
	for _, where := range []string{"local", "archive"} {
		for _, what := range []string{"mix", "streams"} {
			record = append(record, map[string]any{"what": what, "segmentSeconds": 2, "storage": where})
		}
	}
	h.ask("PUT", "/v1/captures/c", map[string]any{"room": map[string]any{"roomID": "r"}, "record": record}).ok(201)

	said := burst(t, openHz, 0, time.Minute, time.Minute)
	secret := burst(t, secretHz, 0, secretFor, secretFor)
	copy(said[secretFrom/pcm.FrameTime:], secret)
	ann := h.join("r", "ann", said)
	eventually(t, "ann is heard", 5*time.Second, func() bool { return ann.first.Load() > 0 })

	ogg, tapped := make(chan []byte, 1), make(chan []pcm.Frame, 1)
	over := ann.begin.Add(secretFrom + secretFor + 3*time.Second)
	go func() { ogg <- h.listen("", func(int) bool { return time.Now().After(over) }) }()
	go func() {
		all, _ := h.pcm("", int(time.Until(over)/pcm.FrameTime))
		tapped <- all
	}()
	<-time.After(time.Until(ann.begin.Add(secretFrom - time.Second)))
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"mode": "silence", "reason": "card number"}).ok(200)
	if late := time.Since(ann.begin) - secretFrom; late > 0 {
		t.Fatalf("the pause was %v late for what it is to keep out: this machine is too busy", late)
	}
	<-time.After(time.Until(ann.begin.Add(secretFrom + secretFor + time.Second)))
	h.ask("POST", "/v1/captures/c/resume", nil).ok(200)
	heard := map[string][]pcm.Frame{"live": frames(readOgg(t, <-ogg)), "live/ws": <-tapped}
	h.ask(http.MethodPost, "/v1/captures/c/stop", nil).ok(200)
	ann.leave()
	eventually(t, "everything is in the bucket", 30*time.Second, func() bool {
		files, _ := h.spool.Pending("archive", "")
		return files == 0
	})

	for tap, all := range heard {
		loud := map[float64]int{}
		for i := range all {
			for _, hz := range []float64{openHz, secretHz} {
				if toneLevel(&all[i], hz) > -40 {
					loud[hz]++
				}
			}
		}
		// A tone has a click at its ends, which is of every pitch.
		if loud[openHz] < 100 || loud[secretHz] > 3 {
			t.Errorf("%s: %d frames have %.0f Hz, %d have %.0f Hz", tap, loud[openHz], openHz, loud[secretHz], secretHz)
		}
	}
	for place, dir := range map[string]string{"the data folder": h.config.Data, "the bucket": bucket.Dir} {
		open, kept := 0, 0
		for _, b := range everyFile(t, dir) {
			for _, s := range said[50:100] {
				if bytes.Contains(b, s.payload[:24]) {
					open++
				}
			}
			for _, s := range secret[5:] {
				if bytes.Contains(b, s.payload[:24]) {
					kept++
				}
			}
		}
		if open == 0 || kept > 0 {
			t.Errorf("%s: %d packets of before the pause, %d of the pause", place, open, kept)
		}
	}
}
