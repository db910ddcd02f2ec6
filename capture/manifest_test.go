package capture

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mixdown/storage"
)

// TestManifestsOfADay: what the manifests of a running capture take does not
// grow with the recording, nor does what its status takes.
func TestManifestsOfADay(t *testing.T) {
	a := &archive{outputs: map[string]*progress{}}
	m := storage.Manifest{}
	for n := 1; n <= 20000; n++ {
		output := fmt.Sprintf("streams-ogg/user-%03d/mic-%03d", n%100, n%100)
		s := storage.Segment{
			Path: fmt.Sprintf("%s/%06d.ogg", output, n/100+1), Output: output, Index: n/100 + 1, Start: storage.At(time.Now()),
			StartSample: int64(n) * 48000, Samples: 48000 * 60, Bytes: 360000, SHA256: strings.Repeat("0", 64), Chain: strings.Repeat("0", 64),
		}
		m.Segments = append(m.Segments, s)
		a.note(s)
		if n != 1000 && n != 20000 {
			continue
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if rate := float64(len(b)) / manifestPause(n).Seconds(); rate > 300e3 {
			t.Errorf("with %d segments %.0f kB/s of manifests are written", n, rate/1e3)
		}
	}
	all := (&timeline{archive: a}).outputStatus()
	if len(all) != 100 || all[0].Segments != 200 || all[0].Seconds != 200*60 {
		t.Errorf("%d outputs, the first with %d segments of %v s", len(all), all[0].Segments, all[0].Seconds)
	}
	if n := testing.AllocsPerRun(10, func() { (&timeline{archive: a}).outputStatus() }); n > 10 {
		t.Errorf("a status of 100 outputs allocates %v times", n)
	}
}
