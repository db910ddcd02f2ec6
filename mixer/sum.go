package mixer

import "mixdown/mixer/pcm"

// sum is a frame under addition. It is kept in float64, where a float32 sample
// times a float32 gain is exact, and sums of them nearly always are: a
// mix-minus can be the full mix less one speaker, and nothing of the speaker
// is left behind.
//
// Nearly all speakers are mono; they are added once, for both channels.
type sum struct {
	mono     [pcm.FrameSize]float64
	stereo   [pcm.FrameSize][2]float64
	inMono   bool // something is in mono
	inPairs  bool // something is in stereo
	levelled bool // inputs come at the level of their levellers
	rounded  pcm.Frame
}

// room is the sum if it is needed, made anew if there is none.
func (s *sum) room(needed, levelled bool) *sum {
	if !needed {
		return nil
	}
	if s == nil {
		s = &sum{levelled: levelled}
	}
	return s
}

func (s *sum) clear() {
	if s.inMono {
		s.mono = [pcm.FrameSize]float64{}
	}
	if s.inPairs {
		s.stereo = [pcm.FrameSize][2]float64{}
	}
	s.inMono, s.inPairs = false, false
}

func (s *sum) copy(o *sum) {
	s.clear()
	if o.inMono {
		s.mono, s.inMono = o.mono, true
	}
	if o.inPairs {
		s.stereo, s.inPairs = o.stereo, true
	}
}

func (s *sum) add(in *input) { s.accumulate(in, 1) }

func (s *sum) subtract(in *input) { s.accumulate(in, -1) }

// slope is a gain that starts at one value and gains step with each sample; a
// step of 0 leaves it exactly as it is.
type slope struct{ from, step float32 }

func (g slope) at(i int) float64 { return float64(g.from + g.step*float32(i+1)) }

// gainOf is the gain of an input in this sum during the frame.
func (s *sum) gainOf(in *input, sign float32) slope {
	from, to := in.gain*sign, in.target*sign
	if s.levelled && in.level != nil {
		from *= in.level.from
		to *= in.level.to
	}
	return slope{from, (to - from) / pcm.FrameSize}
}

//go:norace
func (s *sum) accumulate(in *input, sign float32) {
	if !in.heard() {
		return
	}
	g := s.gainOf(in, sign)
	f := &in.frame
	switch {
	case in.mono && g.step == 0:
		s.inMono = true
		addMono(&s.mono, f, float64(g.from))
	case in.mono:
		s.inMono = true
		for i := range f {
			s.mono[i] += float64(f[i][0]) * g.at(i)
		}
	default:
		s.inPairs = true
		for i := range f {
			gain := g.at(i)
			s.stereo[i][0] += float64(f[i][0]) * gain
			s.stereo[i][1] += float64(f[i][1]) * gain
		}
	}
}

// place adds the mean of both channels of an input to one side only.
//
//go:norace
func (s *sum) place(in *input, side int) {
	if !in.heard() {
		return
	}
	s.inPairs = true
	g := s.gainOf(in, 1)
	for i, x := range &in.frame {
		s.stereo[i][side] += (float64(x[0]) + float64(x[1])) / 2 * g.at(i)
	}
}

// round brings the sum into float32.
//
//go:norace
func (s *sum) round() {
	switch {
	case s.inPairs:
		for i := range s.rounded {
			s.rounded[i][0] = float32(s.stereo[i][0] + s.mono[i])
			s.rounded[i][1] = float32(s.stereo[i][1] + s.mono[i])
		}
	case s.inMono:
		round(&s.rounded, &s.mono)
	default:
		s.rounded = pcm.Frame{}
	}
}
