package opus

import (
	"fmt"

	"mixdown/mixer/pcm"
)

// EncoderConfig says how to encode. The zero value of a number means its
// default.
type EncoderConfig struct {
	Channels    int  // 1 or 2; default 2
	Bitrate     int  // bit/s, 6000 to 510000; default 32000 a channel
	Complexity  int  // 1 to 10; default 5, which costs a fifth of voice at 10
	Voice       bool // tune for one voice (application voip) instead of a mix (audio)
	FEC         bool // repeat speech in the next packet; needs LossPercent
	LossPercent int  // loss to arm against, 0 to 100
	DTX         bool // send next to nothing in silence
}

const (
	defaultComplexity = 5
	channelBitrate    = 32000

	// lookahead is Fs/400 of CELT overlap plus Fs/250 of delay that lets SILK
	// and CELT meet, as libopus answers OPUS_GET_LOOKAHEAD for the applications
	// voip and audio.
	lookahead = pcm.Rate/400 + pcm.Rate/250
)

// Encoder turns frames into packets of 20 ms. One of two channels makes mono
// packets of frames that are the same on both, see [width].
type Encoder struct {
	channels int
	lib      *libEncoder
	width    *width // of two channels
	in       [2 * pcm.FrameSize]float32
}

// NewEncoder opens an encoder.
func NewEncoder(c EncoderConfig) (*Encoder, error) {
	if c.Channels == 0 {
		c.Channels = 2
	}
	if c.Bitrate == 0 {
		c.Bitrate = channelBitrate * c.Channels
	}
	if c.Bitrate < 6000 || c.Bitrate > 510000 {
		return nil, fmt.Errorf("opus: bitrate %d is not in 6000 to 510000", c.Bitrate)
	}
	e := &Encoder{channels: c.Channels}
	var err error
	if c.Channels == 2 {
		e.width, err = newWidth(c)
	} else {
		e.lib, err = c.open(c.Channels)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// open opens libopus for so many channels.
func (c EncoderConfig) open(channels int) (*libEncoder, error) {
	if c.Complexity == 0 {
		c.Complexity = defaultComplexity
	}
	application := anyInput
	if c.Voice {
		application = voipInput
	}
	lib, err := newLibEncoder(channels, application)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		what           string
		request, value int
	}{
		{"bitrate", bitrate, c.Bitrate},
		{"complexity", complexity, c.Complexity},
		{"FEC", inbandFEC, number(c.FEC)},
		{"loss percentage", lossPercent, c.LossPercent},
		{"DTX", dtx, number(c.DTX)},
	} {
		if err := lib.set(s.request, s.value); err != nil {
			return nil, fmt.Errorf("set opus %s to %d: %w", s.what, s.value, err)
		}
	}
	return lib, nil
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Encode encodes one frame into out and returns the bytes used; MaxFrameBytes+1
// always suffice, less lowers the quality. Mono is the mean of left and right.
// Values outside [-1, 1] are clipped, NaN is silence.
func (e *Encoder) Encode(f *pcm.Frame, out []byte) (n int, err error) {
	if len(out) == 0 {
		return 0, ErrBuffer
	}
	if e.width != nil {
		n, err = e.width.encode(f, &e.in, out)
	} else {
		n, err = e.lib.encode(mean(f, &e.in), out)
	}
	if err != nil {
		return 0, fmt.Errorf("encode opus frame: %w", err)
	}
	return n, nil
}

// Lookahead is the number of samples by which decoded audio lags behind the
// encoded frames: sample n of the input is sample n+Lookahead of the output.
func (e *Encoder) Lookahead() int { return lookahead }

// mean writes the mean of both channels into in and returns what it wrote.
//
//go:norace
func mean(f *pcm.Frame, in *[2 * pcm.FrameSize]float32) []float32 {
	for i := range f {
		in[i] = clip((f[i][0] + f[i][1]) / 2)
	}
	return in[:pcm.FrameSize]
}

// pairs writes both channels into in.
//
//go:norace
func pairs(f *pcm.Frame, in *[2 * pcm.FrameSize]float32) []float32 {
	for i := range f {
		in[2*i], in[2*i+1] = clip(f[i][0]), clip(f[i][1])
	}
	return in[:]
}

//go:norace
func clip(v float32) float32 {
	switch {
	case v >= -1 && v <= 1:
		return v
	case v > 1:
		return 1
	case v < -1:
		return -1
	default:
		return 0 // NaN would poison the encoder's state for good
	}
}
