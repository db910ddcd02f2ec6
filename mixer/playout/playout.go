// Package playout turns the packets of one stream into frames: it is the
// jitter buffer.
//
// It stands between the joiner's tracks and the mixer, and exists twice because
// listening and recording want opposite things. [Live] plays as early as the
// network allows: an adaptive buffer of 20 ms and more. [Deep] plays seconds
// later, when retransmissions have long arrived: it places every packet by its
// time on the timeline of the capture and keeps a [Ledger] that says of every
// sample what became of it.
//
// Push takes packets from any goroutine; ReadFrame belongs to the goroutine of
// the mixer's clock. Nothing here reads a clock of the machine: the result
// depends on the packets, their arrival times and the frames asked for. Both
// promise bounded memory and no allocation per frame, take redundant audio apart
// where they are told its payload type, spend no decoding on digital silence,
// and treat packets as what they are, bytes from strangers: whatever arrives,
// ReadFrame delivers a frame. Nothing here knows RTP framing, rooms or files.
package playout
