package mixer_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/loudness/loudnesstest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// rms is the level of a frame in dBFS.
func rms(f *pcm.Frame) float64 {
	_, square := f.Level()
	return 10 * math.Log10(max(square, 1e-13))
}

// Three people, quiet and loud, in rooms from none to noisy: what is well
// above the room is found, but for the two frames it takes to be sure, and the
// silence before and after is not taken for speech.
func TestVoiceFindsSpeech(t *testing.T) {
	rooms := map[float64][]pcm.Frame{} // none, -75, -55 dBFS
	for _, noise := range []float64{0, 0.0003, 0.003} {
		rooms[noise] = pcmtest.Collect(pcmtest.Noise(9, noise), 1300)
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		said := loudnesstest.Speech(t, name)[:800]
		for _, gain := range []float32{0.1, 0.5, 1} {
			for noise, room := range rooms {
				frames := slices.Clone(room)
				for i := range said {
					frames[200+i].Add(&said[i], gain)
				}
				var v mixer.Voice
				var speech, found, early, late int
				for i := range frames {
					talking := v.Hear(rms(&frames[i]))
					switch {
					case i < 200 && talking:
						early++
					case i > 1000+20 && talking:
						late++
					case i >= 200 && i < 1000 && rms(&said[i-200])+pcm.DB(float64(gain)) > max(-48, pcm.DB(noise)-4.8+12):
						speech++
						if talking {
							found++
						}
					}
				}
				share := float64(found) / float64(max(speech, 1))
				if share < 0.97 || early > 0 || late > 0 || speech < 100 {
					t.Errorf("%s × %v in noise of %v: %.1f %% of %d frames found, %d too early, %d too late",
						name, gain, noise, 100*share, speech, early, late)
				}
			}
		}
	}
}

// Onset and end are exact to the frame; a click is none; an end comes after
// 300 ms; steady noise is speech for at most two seconds, and not at all when
// it is quiet.
func TestVoiceTimes(t *testing.T) {
	run := func(levels ...float64) (from, to int) {
		var v mixer.Voice
		from, to = -1, -1
		for i := range 100 {
			v.Hear(-65 + float64(i%3)) // a room
		}
		for i, l := range levels {
			talking := v.Hear(l)
			if talking && from < 0 {
				from = i
			}
			if !talking && from >= 0 && to < 0 {
				to = i
			}
		}
		return from, to
	}
	times := func(n int, level float64) (all []float64) {
		for range n {
			all = append(all, level)
		}
		return all
	}
	for name, c := range map[string]struct {
		levels   []float64
		from, to int
		slack    float64
	}{
		"two frames":           {append(times(2, -30), times(50, -65)...), 1, 16, 0},
		"a click":              {append(times(1, -10), times(50, -65)...), -1, -1, 0},
		"a pause of 280 ms":    {append(append(times(5, -30), times(14, -65)...), append(times(5, -30), times(30, -65)...)...), 1, 38, 0},
		"a fan is switched on": {times(400, -40), 1, 112, 8},
		"a loud tone":          {times(400, -12), 1, -1, 0},
		"faint":                {times(50, -59), -1, -1, 0},
		"digital silence":      {times(50, -130), -1, -1, 0},
	} {
		from, to := run(c.levels...)
		if from != c.from || math.Abs(float64(to-c.to)) > c.slack {
			t.Errorf("%s: talking from frame %d to %d, want %d to %d", name, from, to, c.from, c.to)
		}
	}
}

// A detector from a checkpoint goes on as if nothing had been.
func TestVoiceCheckpoint(t *testing.T) {
	var a, b mixer.Voice
	frames := loudnesstest.Speech(t, "bob")
	for i := range frames {
		level := rms(&frames[i])
		if i%70 == 69 {
			data, err := json.Marshal(&b)
			if err != nil {
				t.Fatal(err)
			}
			b = mixer.Voice{}
			if err := json.Unmarshal(data, &b); err != nil {
				t.Fatal(err)
			}
		}
		if x, y := a.Hear(level), b.Hear(level); x != y {
			t.Fatalf("frame %d: %v without, %v with checkpoints", i, x, y)
		}
	}
	if json.Unmarshal([]byte(`{"Piece":-5,"Frames":-9,"Lows":[1e300]}`), &b) != nil {
		t.Fatal("a strange checkpoint is refused")
	}
	for range 500 {
		b.Hear(-30) // must not panic
	}
}

// sayer is a reader whose sender tells a level.
type sayer struct {
	pcm.Reader
	level uint8
}

func (s *sayer) AudioLevel() uint8 { return s.level }

// What the sender says goes against what concealment makes up, unless it is
// plainly wrong; and one that does not say changes nothing.
func TestAudioLevel(t *testing.T) {
	for name, c := range map[string]struct {
		level  uint8
		frames int
		speaks bool
	}{
		"as loud as it is":  {20, 400, true},
		"digital silence":   {127, 40, false},
		"quiet":             {60, 40, false},
		"unknown":           {255, 400, true},
		"a sender at fault": {127, 400, true},
	} {
		m := mixer.New(mixer.Config{})
		m.AddInput("alice", &sayer{pcmtest.Tone(300, 0.1*math.Sqrt2), c.level})
		mix(m, c.frames)
		if got := len(m.Speakers(nil)) > 0; got != c.speaks {
			t.Errorf("%s: speaks %v, want %v", name, got, c.speaks)
		}
		m.AddInput("alice", pcmtest.Tone(300, 0.1*math.Sqrt2))
		mix(m, 5)
		if len(m.Speakers(nil)) != 1 {
			t.Errorf("%s: the reader that came instead does not speak", name)
		}
	}
}
