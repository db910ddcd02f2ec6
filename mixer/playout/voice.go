package playout

import (
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// voice decodes the packets of one stream. It decodes mono as mono until the
// first stereo packet comes, then everything as stereo, so that a sender whose
// encoder goes to and fro changes decoders once.
type voice struct {
	decoders [2]*opus.Decoder // mono, stereo
	channels int              // of the present decoder; 0 is none
	pcm      []float32        // what the last call gave, interleaved
	still    stillness
}

// stillness is how long a decoder has been given digital silence. Once that has
// filled its memory every further packet gives the same value over and over
// and leaves the decoder as it was, so that it need not be asked.
type stillness struct {
	toc   byte
	n     int // samples of silence in a row
	value float32
}

// stillAfter is more than what a CELT decoder remembers: 2048 samples, an
// overlap, and the energies of three frames of 20 ms.
const stillAfter = 4 * pcm.FrameSize

// silent tells whether a packet is one CELT frame that says silence: its first
// symbol, of probability 2^-15, is set and nothing behind it is read (RFC 6716,
// section 4.3). What the sender says about its level is not asked.
func silent(payload []byte) bool {
	return len(payload) >= 3 && payload[0]&0x83 == 0x80 && payload[1] == 0xff && payload[2] >= 0xfe
}

// add notes a packet of n samples that has been decoded to out.
//
//go:norace
func (s *stillness) add(payload []byte, n int, out []float32) {
	if !silent(payload) {
		s.n = 0
		return
	}
	if s.toc != payload[0] {
		s.toc, s.n = payload[0], 0
	}
	for _, x := range out {
		if x != out[0] {
			s.n = 0
			return
		}
	}
	if s.n += n; s.value != out[0] {
		s.value, s.n = out[0], n
	}
}

// knows tells whether decoding payload would change nothing.
func (s *stillness) knows(payload []byte) bool {
	return s.n >= stillAfter && silent(payload) && payload[0] == s.toc
}

func newVoice() voice { return voice{pcm: make([]float32, 2*pcm.FrameSize)} }

// room makes pcm hold n samples: most streams never need more than a frame.
func (v *voice) room(n int) {
	if 2*n > len(v.pcm) {
		v.pcm = make([]float32, 2*n)
	}
}

// reset forgets the past: what follows is another encoder's.
func (v *voice) reset() {
	for _, d := range v.decoders {
		if d != nil {
			_ = d.Reset() // fails only where NewDecoder would have
		}
	}
	v.channels, v.still.n = 0, 0
}

// open makes the decoder for c channels the present one.
func (v *voice) open(c int) bool {
	if v.decoders[c-1] == nil {
		d, err := opus.NewDecoder(c)
		if err != nil {
			return false
		}
		v.decoders[c-1] = d
	}
	v.channels, v.still.n = c, 0
	return true
}

// decode decodes a packet. Without ok the payload is broken.
func (v *voice) decode(payload []byte) (n int, ok bool) {
	if c := opus.Channels(payload); c > v.channels && !v.open(c) || v.channels == 0 {
		return 0, false
	}
	if n, err := opus.Duration(payload); err == nil {
		v.room(n)
		if v.still.knows(payload) {
			for i := range v.pcm[:n*v.channels] {
				v.pcm[i] = v.still.value
			}
			return n, true
		}
	}
	n, err := v.decoders[v.channels-1].Decode(payload, v.pcm)
	if err != nil || n <= 0 {
		return 0, false
	}
	v.still.add(payload, n, v.pcm[:n*v.channels])
	return n, true
}

// fec restores the n samples before payload.
func (v *voice) fec(payload []byte, n int) (ok bool) {
	if v.channels == 0 && !v.open(opus.Channels(payload)) {
		return false
	}
	v.room(n)
	v.still.n = 0
	return v.decoders[v.channels-1].DecodeFEC(payload, v.pcm[:n*v.channels]) == nil
}

// conceal guesses n samples, at most opus.MaxSamples.
func (v *voice) conceal(n int) {
	if v.channels == 0 && !v.open(1) {
		v.channels = 1
	}
	whole := (n + opus.Grain - 1) / opus.Grain * opus.Grain
	v.room(whole)
	v.still.n = 0
	out := v.pcm[:whole*v.channels]
	if v.decoders[v.channels-1] == nil || v.decoders[v.channels-1].Conceal(out) != nil {
		clear(out)
	}
}

// fade scales the last n samples linearly from gain from to gain to.
//
//go:norace
func (v *voice) fade(n int, from, to float32) {
	step := (to - from) / float32(n)
	for i := range n {
		for c := range v.channels {
			v.pcm[i*v.channels+c] *= from
		}
		from += step
	}
}

// power is the mean square of the last n samples.
//
//go:norace
func (v *voice) power(n int) float32 {
	var sum float32
	for _, x := range v.pcm[:n*v.channels] {
		sum += x * x
	}
	return sum / float32(n*v.channels)
}
