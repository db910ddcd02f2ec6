package capture_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/encoder/encodertest"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// beacon is a source whose clock runs wrong. It sends silence, but a tone for
// half a second now and then.
type beacon struct {
	*voice
	ppm    float64
	onsets []time.Duration // of the tones, since the source began
}

const beaconLength = 25 // packets

// run sends for d, with a tone now and then; lag is what packets take at least.
func (b *beacon) run(s *stage, d, every, lag time.Duration) {
	start := time.Now()
	perFrame := pcm.FrameTime.Seconds() / (1 + b.ppm*1e-6)
	sent := func(n int64) time.Duration { return time.Duration(float64(n) * perFrame * 1e9) }
	time.Sleep(lag)
	next := 30 * time.Second // onset of the next tone
	tone := 0                // packets of it that are still to come
	for n := int64(0); sent(n) < d; n++ {
		if sent(n) >= next {
			b.onsets = append(b.onsets, sent(n))
			next += every
			tone = beaconLength
		}
		payload, level := []byte{0xf8, 0xff, 0xfe}, uint8(127)
		if tone > 0 {
			payload, level = b.packets[tone], 20
			tone--
		}
		time.Sleep(time.Until(start.Add(sent(n) + lag)))
		s.sendAs(b.id, uint16(n), uint32(n)*pcm.FrameSize, payload, level)
		if n%250 == 0 {
			ntp := uint64((3.9e9+sent(n).Seconds())*(1<<20)) << 12
			s.report(b.id, joiner.SenderReport{NTP: ntp, RTP: uint32(n) * pcm.FrameSize})
		}
	}
}

// TestDrift: two sources whose clocks run apart by 200 ppm stay together in
// the recorded mix and in their own files, for as long as a call may last. An
// hour; with MIXDOWN_SOAK set and without the race detector, eight.
func TestDrift(t *testing.T) {
	t.Parallel()
	length, every := time.Hour, 10*time.Minute
	switch {
	case raced:
		length, every = 150*time.Second, time.Minute
	case os.Getenv("MIXDOWN_SOAK") != "":
		length = 8 * time.Hour
	}
	sources := []*beacon{{voice: newVoice(t, "fast", 400), ppm: 100}, {voice: newVoice(t, "slow", 1000), ppm: -100}}
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		c := h.start("c1", func(s *capture.Spec) {
			s.Mix.Channels = 1
			s.Limits.MaxSeconds = 86400
			s.Record = []capture.RecordSpec{
				{What: "mix", Format: "flac", SegmentSeconds: 60},
				{What: "streams", Format: "flac", SegmentSeconds: 60},
				{What: "streams", Format: "ogg", SegmentSeconds: 60},
			}
		})
		synctest.Wait() // the recorder is in the room
		var wg sync.WaitGroup
		for i, b := range sources {
			s.enter(b.id, b.id, uint32(i+1))
			wg.Go(func() { b.run(s, length, every, 30*time.Millisecond) })
		}
		wg.Wait()
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := h.recording("c1")
		for _, b := range sources {
			for output, most := range map[string]time.Duration{
				"mix-flac":                          5 * time.Millisecond,
				"streams-flac/" + b.id + "/" + b.id: 5 * time.Millisecond,
				"streams-ogg/" + b.id + "/" + b.id:  21 * time.Millisecond,
			} {
				at := h.onsets(m, output, b.hz, b.onsets)
				if len(at) != len(b.onsets) {
					t.Errorf("%s: %d tones of %v Hz, want %d", output, len(at), b.hz, len(b.onsets))
					continue
				}
				var worst, last time.Duration
				for i, want := range b.onsets {
					last = at[i] - want - (at[0] - b.onsets[0])
					worst = max(worst, last, -last)
				}
				t.Logf("%s: %d tones of %v Hz, off by up to %v, %v at the end", output, len(at), b.hz, worst, last)
				if worst > most {
					t.Errorf("%s: %v Hz is up to %v off", output, b.hz, worst)
				}
			}
			q := m.Quality[b.id+"/"+b.id]
			if math.Abs(q["driftPpm"]-b.ppm) > 5 || q["lost"]+q["late"]+q["broken"] != 0 {
				t.Errorf("%s: quality %v", b.id, q)
			}
			l := m.Ledger[b.id+"/"+b.id]
			if l["received"] < length.Milliseconds()-100 || l["lost"]+l["concealed"] != 0 {
				t.Errorf("%s: ledger %v", b.id, l)
			}
		}
	})
}

// onsets finds where a tone of hz begins in an output, near the given times, to
// a tenth of a millisecond or so: where its level over 5 ms first exceeds a
// threshold after silence.
//
//go:norace
func (h *house) onsets(m *storage.Manifest, output string, hz float64, near []time.Duration) (at []time.Duration) {
	h.t.Helper()
	const window, step, margin = pcm.Rate / 200, 8, 2 * pcm.Rate
	for _, s := range m.Segments {
		if s.Output != output || !slices.ContainsFunc(near, func(d time.Duration) bool {
			pos := pcm.Samples(d)
			return s.StartSample-margin < pos && pos < s.StartSample+s.Samples+margin
		}) {
			continue
		}
		samples, err := encodertest.ReadFile(filepath.Join(h.data, "recordings", "r", m.ID, filepath.FromSlash(s.Path)))
		if err != nil {
			h.t.Fatal(err)
		}
		quiet := pcm.Rate
		for i := 0; i+window <= len(samples); i += step {
			// Two samples that no tone of the tests has at zero together.
			a, b := samples[i+window-1][0], samples[i+window-31][0]
			if max(a, -a, b, -b) < 0.02 || power(samples[i:i+window], hz) < 0.05 {
				quiet += step
				continue
			}
			if quiet >= pcm.Rate {
				at = append(at, time.Duration(s.StartSample+int64(i))*time.Second/pcm.Rate)
			}
			quiet = 0
		}
	}
	return at
}

// power is the amplitude of a tone in a piece of audio.
//
//go:norace
func power(samples [][2]float32, hz float64) float64 {
	var re, im float64
	for i, s := range samples {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / pcm.Rate)
		re, im = re+float64(s[0])*cos, im+float64(s[0])*sin
	}
	return 2 * math.Hypot(re, im) / float64(len(samples))
}
