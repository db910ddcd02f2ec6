// Package opus is the Opus codec at 48 kHz as Mixdown uses it: one packet in,
// float32 samples out, and back.
//
// It stands at both ends of the mixer: playout decodes what a room sends,
// encoder and capture encode mixes. Besides the codec it reads packets without
// decoding them ([Duration], [Channels], [HasFEC]) and makes silent ones
// ([Silence]).
//
// Every packet is checked against RFC 6716 section 3 before libopus sees it,
// so hostile bytes end in [ErrPacket], without an allocation. Nothing here
// buffers, resamples or knows time; a Decoder and an Encoder belong to one
// goroutine each.
package opus

import (
	"errors"

	"mixdown/mixer/pcm"
)

const (
	// MaxSamples is the longest packet, 120 ms, in samples per channel.
	MaxSamples = 120 * pcm.Rate / 1000
	// MaxFrameBytes is the longest compressed frame (RFC 6716 section 3.4,
	// rule R2); a packet of one 20 ms frame has at most one byte more.
	MaxFrameBytes = 1275
	// Grain is the shortest frame, 2.5 ms, in samples: concealment and silence
	// come in multiples of it.
	Grain = pcm.Rate / 400
)

var (
	// ErrPacket tells that a packet breaks the rules of RFC 6716 section 3.
	ErrPacket = errors.New("opus: malformed packet")
	// ErrBuffer tells that an output buffer has a length the call cannot fill.
	ErrBuffer = errors.New("opus: output buffer has the wrong length")
)
