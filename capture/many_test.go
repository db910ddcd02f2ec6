package capture_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestManyStreams: what several cores render beside each other, before a kill
// and from the journal after it, is what one core makes again from the files,
// and each stream has its own packets.
func TestManyStreams(t *testing.T) {
	const streams = 130
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	voices := []*voice{newVoice(t, "", 400), newVoice(t, "", 700), newVoice(t, "", 1000)}
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		h.start("c1", func(s *capture.Spec) {
			s.Record = []capture.RecordSpec{{What: "mix", Format: "wav", SegmentSeconds: 60}, {What: "streams"}}
		})
		var wg sync.WaitGroup
		for i := range streams {
			v := *voices[i%len(voices)]
			v.id = fmt.Sprintf("mic-%03d", i)
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond)
				s.enter(v.id, fmt.Sprintf("user-%03d", i), uint32(i+1))
				v.speak(s, 2*time.Second)
				v.seq += uint16(i % 3) // lost
				v.pause(time.Duration(i%3) * 20 * time.Millisecond)
				v.speak(s, 2*time.Second)
				if i%4 == 0 {
					s.leave(v.id)
				}
			})
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		copied := h.kill()
		time.Sleep(100 * time.Millisecond)
		h = open(t, copied, s)
		wg.Wait()
		m := h.finish("c1")
		recorded, _ := h.listen(m, "mix-wav")
		runtime.GOMAXPROCS(1)
		h.equals(recorded, h.remix(t, capture.MixSpec{}))
		for i := range streams {
			own, start := h.listen(m, fmt.Sprintf("streams-ogg/user-%03d/mic-%03d", i, i))
			hz := []float64{400, 700, 1000}[i%3]
			if n := len(heard(own, start, hz)); n == 0 {
				t.Errorf("stream %d is not heard", i)
			}
			for _, other := range []float64{400, 700, 1000} {
				if other != hz && len(heard(own, start, other)) != 0 {
					t.Errorf("stream %d has the sound of another", i)
				}
			}
		}
	})
}
