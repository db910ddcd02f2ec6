package opus

import (
	"fmt"

	libopus "gopkg.in/hraban/opus.v2"

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
	// voip and audio; the binding does not offer that call.
	lookahead = pcm.Rate/400 + pcm.Rate/250
)

// Encoder turns frames into packets of 20 ms.
type Encoder struct {
	channels int
	lib      *libopus.Encoder
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
	if c.Complexity == 0 {
		c.Complexity = defaultComplexity
	}
	if c.Bitrate < 6000 || c.Bitrate > 510000 {
		return nil, fmt.Errorf("opus: bitrate %d is not in 6000 to 510000", c.Bitrate)
	}
	application := libopus.AppAudio
	if c.Voice {
		application = libopus.AppVoIP
	}
	lib, err := libopus.NewEncoder(pcm.Rate, c.Channels, application)
	if err != nil {
		return nil, fmt.Errorf("open opus encoder of %d channels: %w", c.Channels, err)
	}
	if err := lib.SetBitrate(c.Bitrate); err != nil {
		return nil, fmt.Errorf("set opus bitrate %d: %w", c.Bitrate, err)
	}
	if err := lib.SetComplexity(c.Complexity); err != nil {
		return nil, fmt.Errorf("set opus complexity %d: %w", c.Complexity, err)
	}
	if err := lib.SetInBandFEC(c.FEC); err != nil {
		return nil, fmt.Errorf("set opus FEC: %w", err)
	}
	if err := lib.SetPacketLossPerc(c.LossPercent); err != nil {
		return nil, fmt.Errorf("set opus loss of %d percent: %w", c.LossPercent, err)
	}
	if err := lib.SetDTX(c.DTX); err != nil {
		return nil, fmt.Errorf("set opus DTX: %w", err)
	}
	return &Encoder{channels: c.Channels, lib: lib}, nil
}

// Encode encodes one frame into out and returns the bytes used; MaxFrameBytes+1
// always suffice, less lowers the quality. Mono is the mean of left and right.
// Values outside [-1, 1] are clipped, NaN is silence.
func (e *Encoder) Encode(f *pcm.Frame, out []byte) (n int, err error) {
	if len(out) == 0 {
		return 0, ErrBuffer
	}
	in := e.in[:pcm.FrameSize*e.channels]
	if e.channels == 1 {
		for i := range f {
			in[i] = clip((f[i][0] + f[i][1]) / 2)
		}
	} else {
		for i := range f {
			in[2*i], in[2*i+1] = clip(f[i][0]), clip(f[i][1])
		}
	}
	n, err = e.lib.EncodeFloat32(in, out[:len(out):len(out)])
	if err != nil {
		return 0, fmt.Errorf("encode opus frame: %w", err)
	}
	return n, nil
}

// Lookahead is the number of samples by which decoded audio lags behind the
// encoded frames: sample n of the input is sample n+Lookahead of the output.
func (e *Encoder) Lookahead() int { return lookahead }

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
