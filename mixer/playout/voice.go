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
	if v.channels > 0 {
		// Reset fails only where NewDecoder would have.
		_ = v.decoders[v.channels-1].Reset()
	}
	v.channels = 0
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
	v.channels = c
	return true
}

// decode decodes a packet. Without ok the payload is broken.
func (v *voice) decode(payload []byte) (n int, ok bool) {
	if c := opus.Channels(payload); c > v.channels && !v.open(c) || v.channels == 0 {
		return 0, false
	}
	if n, err := opus.Duration(payload); err == nil {
		v.room(n)
	}
	n, err := v.decoders[v.channels-1].Decode(payload, v.pcm)
	return n, err == nil && n > 0
}

// fec restores the n samples before payload.
func (v *voice) fec(payload []byte, n int) (ok bool) {
	if v.channels == 0 && !v.open(opus.Channels(payload)) {
		return false
	}
	v.room(n)
	return v.decoders[v.channels-1].DecodeFEC(payload, v.pcm[:n*v.channels]) == nil
}

// conceal guesses n samples, at most opus.MaxSamples.
func (v *voice) conceal(n int) {
	if v.channels == 0 && !v.open(1) {
		v.channels = 1
	}
	whole := (n + opus.Grain - 1) / opus.Grain * opus.Grain
	v.room(whole)
	out := v.pcm[:whole*v.channels]
	if v.decoders[v.channels-1] == nil || v.decoders[v.channels-1].Conceal(out) != nil {
		clear(out)
	}
}

// fade scales the last n samples linearly from gain from to gain to.
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
func (v *voice) power(n int) float32 {
	var sum float32
	for _, x := range v.pcm[:n*v.channels] {
		sum += x * x
	}
	return sum / float32(n*v.channels)
}
