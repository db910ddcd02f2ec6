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
