package mixer

import "mixdown/mixer/pcm"

// guard keeps the true peak of one output: both channels by one limiter, so
// that the image does not move; of a dual output each side by its own, so that
// one who shouts does not turn the other down.
type guard struct {
	dual  bool
	left  limiter // of both channels, if not dual
	right limiter
}

// process takes the next frame and gives the one that is due, as
// [limiter.process] does.
func (g *guard) process(in, out *pcm.Frame) (limited bool) {
	if !g.dual {
		return g.left.process(in, out)
	}
	var alone, other pcm.Frame
	for i, s := range in {
		alone[i] = [2]float32{s[1], s[1]}
	}
	limited = g.right.process(&alone, &other)
	for i, s := range in {
		alone[i] = [2]float32{s[0], s[0]}
	}
	limited = g.left.process(&alone, out) || limited
	for i := range out {
		out[i][1] = other[i][1]
	}
	return limited
}
