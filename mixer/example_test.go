package mixer_test

import (
	"fmt"
	"os"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// Two people talk. The recording hears both, each of them hears the other.
func Example() {
	m := mixer.New(mixer.Config{
		InputFailed: func(id string, err error) { fmt.Fprintln(os.Stderr, id, err) },
	})
	m.AddInput("alice", pcmtest.Tone(397, 0.25))
	m.AddInput("bob", pcmtest.Tone(997, 0.25))

	var recording, toAlice, toBob pcmtest.Sink
	m.AddOutput(&recording)
	m.AddOutput(&toAlice, mixer.Except("alice"))
	remove := m.AddOutput(&toBob, mixer.Except("bob"))

	for range 10 {
		m.Mix() // m.Run(ctx) would do it every 20 ms
	}
	remove()

	for _, heard := range [][]pcm.Frame{recording.Frames, toAlice.Frames, toBob.Frames} {
		fmt.Println(pcmtest.Speaking(heard, 397, 997))
	}
	// Output:
	// [397 997]
	// [997]
	// [397]
}

// A caller on the left and an agent on the right, each brought to -23 LUFS,
// and who talked when.
func Example_dual() {
	m := mixer.New(mixer.Config{Aligned: true, Level: -23})
	var recording pcmtest.Sink
	sides := func(id string) mixer.Side {
		if id == "caller" {
			return mixer.Left
		}
		return mixer.Right
	}
	m.AddOutput(&recording, mixer.Levelled(), mixer.Dual(sides))
	m.AddInput("agent", pcmtest.Play(make([]pcm.Frame, 100)))
	m.AddInput("caller", pcmtest.Play(append(make([]pcm.Frame, 10), pcmtest.Collect(pcmtest.Tone(397, 0.25), 40)...)))
	for range 100 {
		m.Mix()
	}
	m.Drain()
	for _, s := range m.Spurts(nil) {
		if s.End >= 0 {
			fmt.Printf("%s talked from frame %d to %d at %.0f dBFS\n", s.ID, s.Start, s.End, s.Level)
		}
	}
	// Output: caller talked from frame 10 to 50 at -15 dBFS
}
