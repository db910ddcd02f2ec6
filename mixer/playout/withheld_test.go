package playout_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// gated is what comes through a gate that is closed between two arrivals, after
// which what was overtaken by a dropped packet stays out, too; and what else is
// missing.
func gated(packets []playout.Packet, from, until time.Duration, missing func(time.Duration) bool) []playout.Packet {
	newest := time.Duration(-1)
	return slices.DeleteFunc(slices.Clone(packets), func(p playout.Packet) bool {
		sent := time.Duration(p.Timestamp/pcm.FrameSize) * frameTime
		if p.At >= from && p.At < until {
			newest = max(newest, sent)
		}
		return p.At >= from && sent <= newest || missing != nil && missing(sent)
	})
}

// A pause closes the gate for packets as they arrive, between two of them. What
// it keeps out is paused and neither lost nor concealed, and what is lost beside
// it is lost.
func TestWithheldIsNotLost(t *testing.T) {
	const from, until = 5007 * time.Millisecond, 8007 * time.Millisecond
	sent := jitter(stream(tone64(t, 1500), 0, 65000, 0), 30*time.Millisecond, 10)
	between := func(a, b time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at >= a && at < b }
	}
	for _, test := range []struct {
		name    string
		missing func(time.Duration) bool
		lost    time.Duration
		stalled time.Duration
		silent  time.Duration // after the pause nobody sends for so long
	}{
		{name: "nothing else"},
		{name: "a second before it", missing: between(4*time.Second, from), lost: time.Second},
		{name: "a second after it", missing: between(until, 9*time.Second), lost: time.Second},
		{name: "silence after it", silent: 20 * time.Second, stalled: 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			packets := gated(sent, from, until, test.missing)
			if i := slices.IndexFunc(packets, func(p playout.Packet) bool { return p.At >= until }); test.silent > 0 {
				for j := i; j < len(packets); j++ {
					packets[j].At += test.silent
					packets[j].Timestamp += uint32(pcm.Samples(test.silent))
				}
			}
			r := record(packets)
			r.d.Cause(5020*time.Millisecond, playout.Paused)
			r.d.Cause(8020*time.Millisecond, playout.Received)
			r.read(t, 1200+int64(test.silent/frameTime))
			l := r.d.Ledger()
			near := func(n int64, want time.Duration) bool { return math.Abs(ms(n)-float64(want.Milliseconds())) <= 60 }
			missed := l[playout.Lost] + l[playout.Concealed]
			if test.lost == 0 && missed != 0 || !near(missed, test.lost) || !near(l[playout.Paused], 3*time.Second) || !near(l[playout.Stalled], test.stalled) {
				t.Errorf("ledger %v", l)
			}
			if q := r.d.Quality(); math.Abs(float64(q.Lost)-float64(test.lost/frameTime)) > 3 || test.lost == 0 && q.Lost != 0 {
				t.Errorf("%d packets lost", q.Lost)
			}
		})
	}
}

// What is heard does not depend on whether a packet after a pause has come when
// it is rendered: a capture that was killed in the pause renders the same.
func TestWithheldSoundsTheSameWhateverFollows(t *testing.T) {
	const from, until = 5007 * time.Millisecond, 8007 * time.Millisecond
	sent := jitter(stream(tone64(t, 600), 0, 1, 0), 30*time.Millisecond, 6)
	var all [2][][2]float32
	for i, until := range []time.Duration{until, time.Hour} {
		r := record(gated(sent, from, until, nil))
		r.d.Cause(5020*time.Millisecond, playout.Excluded)
		if until < time.Hour {
			r.d.Cause(8020*time.Millisecond, playout.Received)
		}
		all[i] = r.read(t, 400).samples()
	}
	same(t, all[0], 0, all[1])
}

// A decoder that has heard nothing for long begins anew. So what follows is the
// same for one that was restored in the silence and never heard what was before.
func TestLongSilenceIsForgotten(t *testing.T) {
	both := encode(t, pcmtest.Noise(1, 0.3), 100, opus.EncoderConfig{Channels: 2})
	for _, silence := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 20 * time.Second} {
		words := speech(t, 400)
		copy(words[100:], both) // a mono decoder, and a stereo one after it
		packets := stream(words[:200], 0, 1, 0)
		packets = append(packets, stream(words[200:], 4*time.Second+silence, 201, uint32(pcm.Samples(4*time.Second+silence)))...)
		whole := record(packets)
		whole.read(t, 200+int64(silence/frameTime)-10)
		next := &recording{packets: whole.packets, depth: whole.depth}
		d, err := playout.RestoreDeep(playout.DeepConfig{Placed: next.place}, whole.d.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		next.d = d
		at := len(whole.samples())
		end := whole.d.Frame() + 210
		whole.read(t, end)
		next.read(t, end)
		want := whole.samples()[at:]
		same(t, next.samples(), 0, want)
		if loudest(want) < -40 {
			t.Errorf("after %v there is only silence", silence)
		}
	}
}

// What was rendered before a snapshot, and not yet read, is heard after it: it
// may be the last that was said.
func TestDeepRestoresItsTape(t *testing.T) {
	packets := stream(speech(t, 103), 7*time.Millisecond, 1, 0)
	whole := record(packets)
	whole.read(t, 100)
	at := len(whole.samples())
	d, err := playout.RestoreDeep(playout.DeepConfig{}, whole.d.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var f pcm.Frame
	if err := d.ReadFrame(&f); err != nil {
		t.Fatal(err)
	}
	whole.read(t, 101)
	same(t, whole.samples(), 0, record(packets).read(t, 101).samples()) // to look changes nothing
	for i, want := range whole.samples()[at : at+300] {                 // 7 ms
		if math.Abs(float64(f[i][0]-want[0])) > 1.0/math.MaxInt16 {
			t.Fatalf("sample %d is %v, want %v", i, f[i], want)
		}
	}
	if loudest(whole.samples()[at:at+300]) < -50 {
		t.Error("there is nothing to hear")
	}
}
