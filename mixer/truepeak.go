package mixer

import (
	"math"

	"mixdown/mixer/loudness"
	"mixdown/mixer/pcm"
)

// block is how many samples are looked over at once: most blocks have no
// sample large enough for a peak between them, and cost little.
const block = 32

// bound is a magnitude that no true peak exceeds which reductions would look
// at, of in, which bends so, behind delay.
func bound(delay *[Latency][2]float32, in *pcm.Frame, b bent) float32 {
	const reach = 2 * loudness.Reach // samples on both sides of the seam
	var seam [2 * reach][2]float32
	copy(seam[:reach], delay[Latency-reach:])
	copy(seam[reach:], in[:reach])
	s := bend(seam[:])
	return loudness.Bound(math.Float32frombits(max(b.top, s.top)), math.Float32frombits(max(b.bend, s.bend)))
}

// reductions finds, for the frame that starts ahead samples into sound, how
// much each sample must be turned down so that neither it nor the signal
// around it exceeds the ceiling. before is the true peak right before the
// frame; the one right behind its last sample is returned, and whether any
// sample needs it.
//
//go:norace
func reductions(sound *[Latency + pcm.FrameSize][2]float32, need *[pcm.FrameSize]int64, before float32) (after float32, some bool) {
	for b := 0; b < pcm.FrameSize; b += block {
		// From the first tap before the block to the last one behind it.
		part := (*[block + 2*loudness.Reach][2]float32)(sound[ahead+b-loudness.Reach:])
		if max(pcm.Peak(part[:])*loudness.Overshoot(), before) <= ceiling {
			before = 0
			continue
		}
		var line [2][block + 2*loudness.Reach]float32
		mono := true
		for i, s := range part {
			line[0][i], line[1][i] = s[0], s[1]
			mono = mono && s[0] == s[1]
		}
		for i := range block {
			at := i + loudness.Reach
			here := max(before, abs(line[0][at]), abs(line[1][at]))
			before = between(&line[0], i+1)
			if !mono {
				before = max(before, between(&line[1], i+1))
			}
			if here = max(here, before); here > ceiling {
				need[b+i] = int64(math.Ceil((1 - float64(ceiling)/float64(here)) * one))
				some = true
			}
		}
	}
	return before, some
}

// between is the true peak in the middle of the 2 × loudness.Reach samples
// from first on, between its two middle samples.
//
//go:norace
func between(line *[block + 2*loudness.Reach]float32, first int) float32 {
	return loudness.Between((*[2 * loudness.Reach]float32)(line[first:]))
}

func abs(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}
