package main

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// TestKilledTenTimes kills a recording daemon with SIGKILL at random moments.
// At most a second before each kill may be missing, in the mix and in each
// stream, and all of it is one recording.
func TestKilledTenTimes(t *testing.T) {
	d := newChild(t)
	d.start()
	people := map[float64]*person{}
	for hz, user := range map[float64]string{400: "ann", 1000: "bob"} {
		people[hz] = join(t, "http://"+d.http, "r", user, tone(t, hz), minter(d.data))
	}
	spec := capture.Spec{Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{
		{What: "mix", Format: "wav", SegmentSeconds: 5}, {What: "streams", Format: "ogg", SegmentSeconds: 5},
	}}
	call[capture.Status](t, d.client(), http.MethodPut, "/v1/captures/c1", spec)
	random := rand.New(rand.NewPCG(1, 2))
	var kills []time.Time
	var told []map[float64]time.Time // until when each had sent what they said
	for range 10 {
		heardBoth(t, d)
		wait := time.NewTimer(1500*time.Millisecond + time.Duration(random.Int64N(int64(3*time.Second))))
		<-wait.C
		told = append(told, sent(people))
		kills = append(kills, time.Now())
		d.end(syscall.SIGKILL)
		d.start()
	}
	heardBoth(t, d)
	<-time.After(2 * time.Second)
	st := call[capture.Status](t, d.client(), http.MethodPost, "/v1/captures/c1/stop", nil)
	if st.State != capture.Complete {
		t.Errorf("stopped: %s %s", st.State, st.Reason)
	}
	dir := filepath.Join(d.data, "recordings", "r", "c1")
	if code, out, errs := command(t, "verify", dir, "--public-key", filepath.Join(d.data, "keys", "signing.pub")); code != exitOK {
		t.Errorf("verify: exit %d\n%s%s", code, out, errs)
	}
	m := call[storage.Manifest](t, d.client(), http.MethodGet, "/v1/recordings/c1", nil)
	for _, o := range []struct {
		output string
		hz     []float64
	}{{"mix-wav", []float64{400, 1000}}, {"streams-ogg/ann/ann-mic", []float64{400}}, {"streams-ogg/bob/bob-mic", []float64{1000}}} {
		frames, start := readOutput(t, dir, m, o.output)
		for _, hz := range o.hz {
			for i, kill := range kills {
				last := lastHeard(frames, start, hz, kill)
				if missing := earlier(kill, told[i][hz]).Sub(last); missing > time.Second {
					t.Errorf("kill %d: %s misses %s of %.0f Hz before it", i+1, o.output, seconds(missing), hz)
				} else {
					t.Logf("kill %2d: %-24s %4.0f Hz: %s missing", i+1, o.output, hz, seconds(missing))
				}
			}
		}
	}
}

// sent is until when people have sent their tones. On a busy machine they may
// be late themselves.
func sent(people map[float64]*person) map[float64]time.Time {
	until := map[float64]time.Time{}
	for hz, who := range people {
		until[hz] = who.instant(who.end.Load())
	}
	return until
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// heardBoth waits until the daemon hears both people.
func heardBoth(t testing.TB, d *child) {
	t.Helper()
	c := d.client()
	before := map[string]float64{}
	eventually(t, "both people are heard", 30*time.Second, func() bool {
		st := call[capture.Status](t, c, http.MethodGet, "/v1/captures/c1", nil)
		growing := 0
		for _, s := range st.Streams {
			n := s.Quality["packets"]
			if s.Present && before[s.StreamID] > 0 && n > before[s.StreamID] {
				growing++
			}
			before[s.StreamID] = n
		}
		return growing == 2
	})
}

// readOutput reads an output whole and the instant of its first sample.
func readOutput(t testing.TB, dir string, m storage.Manifest, output string) (frames []pcm.Frame, start time.Time) {
	t.Helper()
	var samples [][2]float32
	for _, s := range m.Segments {
		if s.Output != output {
			continue
		}
		if start.IsZero() {
			start = m.Start.Add(pcm.Duration(s.StartSample))
		}
		part, err := encodertest.ReadFile(filepath.Join(dir, filepath.FromSlash(s.Path)))
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, part...)
	}
	if start.IsZero() {
		t.Fatalf("no segments of %s; there are %s", output, outputs(m))
	}
	for len(samples) >= pcm.FrameSize {
		frames = append(frames, pcm.Frame(samples[:pcm.FrameSize]))
		samples = samples[pcm.FrameSize:]
	}
	return frames, start
}

func outputs(m storage.Manifest) string {
	var all []string
	for _, o := range m.Outputs {
		all = append(all, o.ID)
	}
	return strings.Join(all, ", ")
}

// lastHeard is when a tone was last heard before an instant.
func lastHeard(frames []pcm.Frame, start time.Time, hz float64, before time.Time) time.Time {
	for n := min(len(frames), int(before.Sub(start)/pcm.FrameTime)); n > 0; n-- {
		if pcmtest.FrameLevel(&frames[n-1], hz) > -30 {
			return start.Add(time.Duration(n) * pcm.FrameTime)
		}
	}
	return start
}
