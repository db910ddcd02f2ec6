// Package pcm is the vocabulary of decoded audio: the [Frame] that every part
// of Mixdown after the jitter buffer speaks, and the two interfaces that move
// it.
//
// It stands at the end of all arrows: playout, mixer, encoder and capture
// import it, it imports the standard library only. Inside Mixdown audio is
// always 48 kHz, stereo, float32, in frames of 20 ms; edges convert.
//
// Here and below, loops over the samples of a frame are marked norace: whoever
// runs one has the frame alone (see [Reader] and [Writer]), and the race
// detector, which looks at every sample, makes them ten times as slow. What
// passes frames from one goroutine to another is not marked.
package pcm

import "time"

const (
	// Rate is the number of samples in a second; one sample is one instant of
	// all channels.
	Rate = 48000
	// FrameTime is the length of one [Frame].
	FrameTime = 20 * time.Millisecond
	// FrameSize is the number of samples in one [Frame].
	FrameSize = Rate / 50
)

// Frame is 20 ms of stereo: FrameSize samples of left and right, nominally in
// [-1, 1]. Values outside are allowed between the inputs and the limiter.
type Frame [FrameSize][2]float32

// Reader is where a clock pulls audio from.
//
// ReadFrame overwrites all of f. It is called by one goroutine at a time,
// once for each 20 ms of the reader's timeline, and must not block, allocate
// or log: when nothing is due it delivers silence and returns nil. At the end
// it returns io.EOF, with f silent, and goes on returning it. Any other error
// is final too.
type Reader interface {
	ReadFrame(f *Frame) error
}

// Writer is where a clock pushes audio to.
//
// WriteFrame must not keep or change f after it returns. Writers fed by a
// live clock must not block; a [Queue] stands in front of those that do.
type Writer interface {
	WriteFrame(f *Frame) error
}

// Samples is the number of samples in d, rounded down.
func Samples(d time.Duration) int64 {
	s, r := d/time.Second, d%time.Second
	return int64(s)*Rate + int64(r)*Rate/int64(time.Second)
}

// Duration is the time that n samples take, rounded to the nearest nanosecond.
func Duration(n int64) time.Duration {
	s, r := n/Rate, n%Rate
	return time.Duration(s)*time.Second + time.Duration((r*int64(time.Second)+Rate/2)/Rate)
}
