package mixer_test

import (
	"fmt"
	"math"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/loudness/loudnesstest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// talk is noise in syllables of 160 ms with 40 ms between them: one entry for
// each second, its level in dBFS, 0 for nothing.
func talk(seed uint64, levels ...float64) pcm.Reader {
	frames := pcmtest.Collect(pcmtest.Noise(seed, math.Sqrt(3)), 50*len(levels))
	for i := range frames {
		level := levels[i/50]
		if i%10 < 2 {
			level = min(level, -65)
		}
		if level == 0 {
			level = -200
		}
		gain := math.Pow(10, level/20)
		for k := range frames[i] {
			frames[i][k][0] *= float32(gain)
			frames[i][k][1] *= float32(gain)
		}
	}
	return pcmtest.Play(frames)
}

func names(speakers []mixer.Speaker) (s string) {
	for _, x := range speakers {
		s += x.ID
		if x.Dominant {
			s += "!"
		}
		s += " "
	}
	return s
}

func TestSpeakers(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.AddInput("a", talk(1, 0, -30, -30, -30, 0, -30, -30))
	m.AddInput("b", talk(2, 0, 0, -28, -20, -20, -22, 0))
	m.AddInput("c", talk(3, -40, 0, -40, -40, 0, 0, 0))
	for i, want := range []string{
		"c! ",     // alone
		"a! ",     // c has fallen silent
		"a! b c ", // b is 2 dB louder: that is not enough
		"b! a c ", // b is 10 dB louder
		"b! ",     // alone
		"b! a ",   // the first stays, as it is louder
		"a! ",     // and goes
	} {
		mix(m, 50)
		if got := names(m.Speakers(nil)); got != want {
			t.Errorf("after %d s: %s, want %s", i+1, got, want)
		}
	}
	m.SetMute("a", true)
	mix(m, 1)
	if got := m.Speakers(nil); len(got) != 0 {
		t.Errorf("muted, but among the speakers: %v", got)
	}
}

// The dominant speaker changes within 60 ms of a silence and 300 to 700 ms of
// being talked over, and does not jump while two talk alike.
func TestDominantSpeaker(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.AddInput("a", talk(1, -30, -30, -30, -30))
	m.AddInput("b", talk(2, 0, -20, -30, -29))
	dominant, changes, at := "", 0, 0
	for i := range 200 {
		mix(m, 1)
		for _, s := range m.Speakers(nil) {
			if s.Dominant && s.ID != dominant {
				dominant, at = s.ID, i
				changes++
			}
		}
	}
	if changes != 2 || dominant != "b" || at < 50+15 || at > 50+35 {
		t.Errorf("%d changes, the last to %s in frame %d", changes, dominant, at)
	}
}

// Talk spurts have the frames in which they began and ended, and the level,
// whenever one asks, and whether the input is muted or not.
func TestSpurts(t *testing.T) {
	m := mixer.New(mixer.Config{First: 1000})
	m.SetMute("alice", true)
	m.AddInput("alice", talk(1, 0, -30, 0, -20, -20, 0))
	m.AddInput("bob", talk(2, 0, 0, -25, -25, -25))
	var got []mixer.Spurt
	for range 300 {
		mix(m, 1)
		if m.Stats().Frames%50 == 0 {
			got = m.Spurts(got)
		}
	}
	want := []mixer.Spurt{
		{"alice", 1052, -1, -30}, {"bob", 1102, -1, -25}, {"alice", 1052, 1100, -30},
		{"alice", 1152, -1, -20}, {"bob", 1102, 1250, -25}, {"alice", 1152, 1250, -20},
	}
	if len(got) != len(want) {
		t.Fatalf("%d spurts told: %+v", len(got), got)
	}
	for i, w := range want {
		g := got[i]
		if g.ID != w.ID || g.Start != w.Start || g.End != w.End || math.Abs(g.Level-w.Level) > 0.3 {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
}

// One who is taken out while talking has stopped; and nobody asking costs
// nothing but the oldest.
func TestSpurtsOfThoseWhoLeave(t *testing.T) {
	m := mixer.New(mixer.Config{})
	m.AddInput("alice", talk(1, -30, -30))
	m.AddInput("bob", talk(1, -30))
	mix(m, 40)
	m.RemoveInput("alice")
	mix(m, 30)
	got := m.Spurts(nil)
	if len(got) != 4 || got[2].ID != "alice" || got[2].End != 40 || got[3].ID != "bob" || got[3].End != 50 {
		t.Errorf("%+v", got)
	}
	said := pcmtest.Collect(talk(1, -30, 0), 100)
	for range 100 {
		m.AddInput("carol", pcmtest.Play(said))
		mix(m, 100)
	}
	kept := m.Spurts(nil)
	if len(kept) > 64 || len(kept) < 4 {
		t.Errorf("%d kept", len(kept))
	}
	if last := kept[len(kept)-1]; last.ID != "carol" || last.End != 70+99*100+50 {
		t.Errorf("the last is %+v", last)
	}
}

// Everybody may begin to talk at the same moment.
func TestSpurtsOfMany(t *testing.T) {
	m := mixer.New(mixer.Config{})
	said := pcmtest.Collect(talk(1, -30, 0, -30, 0, -30, 0), 300)
	for i := range 60 {
		m.AddInput(fmt.Sprint(i), pcmtest.Play(said))
	}
	mix(m, 300)
	if got := len(m.Spurts(nil)); got != 60*6 {
		t.Errorf("%d beginnings and ends of 60 who spoke three times each", got)
	}
}

// A mixer that starts again from a checkpoint, wherever it is, writes the same
// samples and tells the same speakers and spurts.
func TestSnapshot(t *testing.T) {
	voices := map[string][]pcm.Frame{}
	for name, lufs := range map[string]float64{"alice": -33, "bob": -27, "carol": -19} {
		voices[name] = at(lufs, loudnesstest.Speech(t, name))[:700]
	}
	open := func(out *pcmtest.Sink) *mixer.Mixer {
		m := mixer.New(mixer.Config{Aligned: true, Level: target})
		m.AddOutput(out, mixer.Levelled())
		return m
	}
	add := func(m *mixer.Mixer, from int) {
		for name, frames := range voices {
			m.AddInput(name, pcmtest.Play(frames[from:]))
		}
	}
	told := func(m *mixer.Mixer) string { return names(m.Speakers(nil)) + fmt.Sprint(m.Spurts(nil)) }
	var whole pcmtest.Sink
	a := open(&whole)
	add(a, 0)
	var says []string
	snapshots := map[int][]byte{}
	for i := range 700 {
		if i%130 == 60 {
			snapshots[i] = a.Snapshot()
		}
		mix(a, 1)
		if i%50 == 49 {
			says = append(says, told(a))
		}
	}
	a.Drain()
	for from, data := range snapshots {
		var part pcmtest.Sink
		b := open(&part)
		if err := b.Restore(data); err != nil {
			t.Fatal(err)
		}
		if again := b.Snapshot(); string(again) != string(data) {
			t.Errorf("frame %d: a snapshot of what was restored is another", from)
		}
		add(b, from)
		for i := from; i < 700; i++ {
			mix(b, 1)
			if i%50 == 49 {
				if got := told(b); got != says[i/50] {
					t.Errorf("from %d on, frame %d: %s, want %s", from, i, got, says[i/50])
				}
			}
		}
		b.Drain()
		equal(t, row(part.Frames), row(whole.Frames[from:]))
	}
	if err := mixer.New(mixer.Config{}).Restore([]byte("{")); err == nil {
		t.Error("a broken snapshot is taken")
	}
}

// A snapshot that somebody tampered with harms nothing.
func TestStrangeSnapshot(t *testing.T) {
	for _, data := range []string{
		`{"Inputs":{"a":{"Level":{"Run":9223372036854775807,"Count":-5,"Gain":1e300,"Speech":[-1,1e308]}}}}`,
		`{"Inputs":{"a":{"Level":{"Count":9223372036854775807,"Run":-7,"Filter":[{"S1":1e308},{}]}}},"Lead":-3,"Dominant":"b"}`,
		`{"Inputs":{"a":{"Talk":{"Talking":true,"Voiced":-1,"Energy":-1,"Power":-1e308,"Voice":{"Frames":-1,"Piece":99}}}},"Spurts":[{}]}`,
		`{"Frame":-9223372036854775808,"Inputs":null}`,
	} {
		m := mixer.New(mixer.Config{Level: target})
		if err := m.Restore([]byte(data)); err != nil {
			t.Fatal(err)
		}
		var out pcmtest.Sink
		m.AddOutput(&out, mixer.Levelled())
		m.AddInput("a", talk(1, -20, -20, 0, -20))
		mix(m, 200)
		for _, s := range m.Speakers(nil) {
			if math.IsNaN(s.Level) {
				t.Errorf("%s: level of %+v", data, s)
			}
		}
		m.Spurts(nil)
		m.Snapshot()
		if p := out.Frames[180].Peak(); !(p > 0.01 && p <= 1) {
			t.Errorf("%s: peak of %v in the end", data, p)
		}
	}
}
