package pcm_test

import (
	"context"
	"fmt"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// A slow writer behind a queue costs sound, but never time.
func ExampleQueue() {
	q := pcm.NewQueue(2)
	for _, f := range pcmtest.Collect(pcmtest.Tone(997, 0.5), 4) {
		_ = q.WriteFrame(&f) // the clock: twice too often
	}
	q.Close()

	var f pcm.Frame
	for n := 0; q.Read(context.Background(), &f) == nil; n++ {
		fmt.Println("frame", n, "silent:", f.Silent())
	}
	fmt.Println("dropped:", q.Dropped())
	// Output:
	// frame 0 silent: false
	// frame 1 silent: false
	// frame 2 silent: true
	// frame 3 silent: true
	// dropped: 2
}
