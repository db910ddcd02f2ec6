package mixer

import "mixdown/mixer/pcm"

// sum is a frame under addition. It is kept in float64, where a float32 sample
// times a float32 gain is exact, and sums of them nearly always are: a
// mix-minus can be the full mix less one speaker, and nothing of the speaker
// is left behind.
//
// Nearly all speakers are mono; they are added once, for both channels.
type sum struct {
	mono    [pcm.FrameSize]float64
	stereo  [pcm.FrameSize][2]float64
	inMono  bool // something is in mono
	inPairs bool // something is in stereo
	rounded pcm.Frame
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

func (s *sum) accumulate(in *input, sign float32) {
	if !in.heard() {
		return
	}
	if in.gain != in.target {
		s.ramp(in, sign)
		return
	}
	f, g := &in.frame, float64(in.gain*sign)
	if in.mono {
		s.inMono = true
		for i := range f {
			s.mono[i] += float64(f[i][0]) * g
		}
		return
	}
	s.inPairs = true
	for i := range f {
		s.stereo[i][0] += float64(f[i][0]) * g
		s.stereo[i][1] += float64(f[i][1]) * g
	}
}

// ramp adds an input whose gain changes during the frame.
func (s *sum) ramp(in *input, sign float32) {
	s.inPairs = true
	step := (in.target - in.gain) / pcm.FrameSize
	for i, x := range &in.frame {
		g := float64((in.gain + step*float32(i+1)) * sign)
		s.stereo[i][0] += float64(x[0]) * g
		s.stereo[i][1] += float64(x[1]) * g
	}
}

// round brings the sum into float32.
func (s *sum) round() {
	switch {
	case s.inPairs:
		for i := range s.rounded {
			s.rounded[i][0] = float32(s.stereo[i][0] + s.mono[i])
			s.rounded[i][1] = float32(s.stereo[i][1] + s.mono[i])
		}
	case s.inMono:
		for i := range s.rounded {
			x := float32(s.mono[i])
			s.rounded[i] = [2]float32{x, x}
		}
	default:
		s.rounded = pcm.Frame{}
	}
}
