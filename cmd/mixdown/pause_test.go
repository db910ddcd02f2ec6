package main

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// TestPauseLeavesNothing: what is said during a pause is in no byte of the data
// folder and of the bucket, and nobody who listens hears it; what is said
// before and after is there.
func TestPauseLeavesNothing(t *testing.T) {
	t.Parallel()
	const openHz, secretHz = 440.0, 2500.0
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
	secret := burst(t, secretHz, 0, 3*time.Second, 3*time.Second)
	var secretFrom atomic.Int64 // the packet with which ann begins to tell it; 0 is none
	ann := joinOver(t, nil, h.at.HTTP, "r", "ann", func(n int64) sound {
		if from := secretFrom.Load(); from > 0 && n >= from && n < from+int64(len(secret)) {
			return secret[n-from]
		}
		return said[n%int64(len(said))]
	}, func(user string) (string, error) { return h.mint("r", user), nil })
	eventually(t, "ann is heard", 30*time.Second, func() bool { return ann.first.Load() > 0 })

	ogg, tapped := make(chan []byte, 1), make(chan []pcm.Frame, 1)
	var listening [2]atomic.Bool
	var over atomic.Bool
	tap := func(i int) func(read int) bool {
		return func(read int) bool {
			listening[i].Store(read > 0)
			return over.Load()
		}
	}
	go func() {
		defer close(ogg)
		ogg <- h.listen("", tap(0))
	}()
	go func() {
		defer close(tapped)
		all, _ := h.pcmUntil("", tap(1))
		tapped <- all
	}()
	eventually(t, "both taps run", 30*time.Second, func() bool { return listening[0].Load() && listening[1].Load() })
	<-time.After(3 * time.Second)
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"mode": "silence", "reason": "card number"}).ok(200)
	from := int64(time.Since(ann.begin)/pcm.FrameTime) + 50
	secretFrom.Store(from)
	eventually(t, "ann has told it", 30*time.Second, func() bool { return ann.end.Load() > from+int64(len(secret))+50 })
	h.ask("POST", "/v1/captures/c/resume", nil).ok(200)
	<-time.After(3 * time.Second)
	over.Store(true)
	heard := map[string][]pcm.Frame{"live": frames(readOgg(t, <-ogg)), "live/ws": <-tapped}
	h.ask(http.MethodPost, "/v1/captures/c/stop", nil).ok(200)
	ann.leave()
	eventually(t, "everything is in the bucket", 30*time.Second, func() bool {
		files, _ := h.spool.Pending("archive", "")
		return files == 0
	})

	notHeard(t, heard, openHz, secretHz)
	open := said[ann.first.Load()+50 : ann.first.Load()+100]
	for place, dir := range map[string]string{"the data folder": h.config.Data, "the bucket": bucket.Dir} {
		before, kept := 0, 0
		for _, b := range everyFile(t, dir) {
			for _, s := range open {
				if bytes.Contains(b, s.payload[:24]) {
					before++
				}
			}
			for _, s := range secret[5:] {
				if bytes.Contains(b, s.payload[:24]) {
					kept++
				}
			}
		}
		if before == 0 || kept > 0 {
			t.Errorf("%s: %d packets of before the pause, %d of the pause", place, before, kept)
		}
	}
}

// notHeard: every tap has much of one tone and none of another.
func notHeard(t *testing.T, heard map[string][]pcm.Frame, openHz, secretHz float64) {
	t.Helper()
	for tap, all := range heard {
		loud := map[float64]int{}
		for i := range all {
			for _, hz := range []float64{openHz, secretHz} {
				if pcmtest.FrameLevel(&all[i], hz) > -40 {
					loud[hz]++
				}
			}
		}
		// A tone has a click at its ends, which is of every pitch.
		if loud[openHz] < 100 || loud[secretHz] > 3 {
			t.Errorf("%s: %d frames have %.0f Hz, %d have %.0f Hz", tap, loud[openHz], openHz, loud[secretHz], secretHz)
		}
	}
}
