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
// at.
//
//go:norace
func bound(sound *[Latency + pcm.FrameSize][2]float32) float32 {
	part := sound[ahead-loudness.Reach:]
	var top, bend uint32 // magnitudes, whose bits are in the order of their values
	bits := func(x float32) uint32 { return math.Float32bits(x) &^ (1 << 31) }
	a, b := part[0], part[1]
	top = max(bits(a[0]), bits(a[1]), bits(b[0]), bits(b[1]))
	for _, c := range part[2:] {
		top = max(top, bits(c[0]), bits(c[1]))
		bend = max(bend, bits(c[0]-b[0]-(b[0]-a[0])), bits(c[1]-b[1]-(b[1]-a[1])))
		a, b = b, c
	}
	return loudness.Bound(math.Float32frombits(top), math.Float32frombits(bend))
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
