package flac

import (
	"math/bits"

	"github.com/mewkiz/flac/frame"

	"mixdown/mixer/pcm"
)

// maxRice is the largest Rice parameter that is not the escape code.
const maxRice = 14

// predict chooses how the samples of s are coded: as a constant, by the fixed
// predictor (RFC 9639 section 9.2.5) whose residuals are smallest, or verbatim.
// It guesses from sums as libFLAC does; the library's own search tries every
// order with every parameter and costs several times the coding. rice is room
// for the parameters.
//
//go:norace
func predict(s *frame.Subframe, rice *frame.RiceSubframe) {
	s.SubHeader = frame.SubHeader{Pred: frame.PredVerbatim}
	var sums [5]uint64 // of the residuals' sizes, by predictor order
	var last [5]int32  // the newest residual of each order
	constant := true
	for i, v := range s.Samples {
		constant = constant && v == s.Samples[0]
		for order := range sums {
			v, last[order] = v-last[order], v
			if i >= order {
				// The residual of this order, folded to 0, 1, 2 … for 0, -1, 1 …
				r := last[order]
				sums[order] += uint64(uint32(r<<1 ^ r>>31))
			}
		}
	}
	if constant {
		s.Pred = frame.PredConstant
		return
	}
	best := uint64(pcm.FrameSize * 16)
	for order, sum := range sums {
		n := uint64(pcm.FrameSize - order)
		k := min(max(bits.Len64(sum/n)-1, 0), maxRice)
		for _, k := range []int{k, min(k+1, maxRice)} {
			size := uint64(order)*16 + n*uint64(k+1) + sum>>k
			if size < best {
				best = size
				s.Pred, s.Order = frame.PredFixed, order
				s.ResidualCodingMethod = frame.ResidualCodingMethodRice1
				rice.PartOrder = 0
				rice.Partitions = append(rice.Partitions[:0], frame.RicePartition{Param: uint(k)})
				s.RiceSubframe = rice
			}
		}
	}
}
