package mixer

import (
	"slices"
	"strings"

	"mixdown/mixer/pcm"
)

// leave lets an input that is taken out in the middle of a word fade over one
// more frame, for a sound that is cut off clicks. Its reader, which may be
// gone by then, is not asked: the frame is foretold from the last one.
func (m *Mixer) leave(in *input) {
	if !in.played || in.silent || in.gain == 0 {
		return
	}
	ghost := &input{id: in.id, frame: in.frame, mono: in.mono, gain: in.gain}
	if in.level != nil {
		still := *in.level
		still.from = still.to
		ghost.level = &still
	}
	i, _ := slices.BinarySearchFunc(m.leaving, in.id, func(g *input, id string) int { return strings.Compare(g.id, id) })
	m.leaving = slices.Insert(m.leaving, i, ghost)
}

// foretell puts what would have come next into the frame.
func (in *input) foretell() {
	continueLine(&in.frame, 0)
	if !in.mono {
		continueLine(&in.frame, 1)
		return
	}
	for i := range in.frame {
		in.frame[i][1] = in.frame[i][0]
	}
}

const (
	order = 32                // of the linear prediction
	past  = pcm.FrameSize / 2 // samples it learns from
)

// continueLine overwrites one channel with its continuation by linear
// prediction, as Burg's method finds it from the last 10 ms: a vowel goes on
// as the vowel, noise dies away. That method never finds a filter that grows.
func continueLine(f *pcm.Frame, channel int) {
	var forward, backward [past]float64
	for i := range forward {
		forward[i] = float64(f[pcm.FrameSize-past+i][channel])
	}
	backward = forward
	var taps, before [order]float64
	for n := range order {
		var cross, energy float64
		for i := n + 1; i < past; i++ {
			cross += forward[i] * backward[i-1]
			energy += forward[i]*forward[i] + backward[i-1]*backward[i-1]
		}
		if !(energy > 1e-12) {
			break // foretold exactly
		}
		k := 2 * cross / energy
		before = taps
		taps[n] = k
		for i := range n {
			taps[i] = before[i] - k*before[n-1-i]
		}
		for i := past - 1; i > n; i-- {
			fi, bi := forward[i], backward[i-1]
			forward[i], backward[i] = fi-k*bi, bi-k*fi
		}
	}
	var line [order + pcm.FrameSize]float64
	for i := range order {
		line[i] = float64(f[pcm.FrameSize-order+i][channel])
	}
	for i := range f {
		var x float64
		for t, tap := range taps {
			x += tap * line[order+i-1-t]
		}
		x = min(max(x, -loudest), loudest)
		line[order+i] = x
		f[i][channel] = float32(x)
	}
}
