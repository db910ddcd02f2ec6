package opus

import (
	"fmt"

	libopus "gopkg.in/hraban/opus.v2"

	"mixdown/mixer/pcm"
)

// Decoder turns packets of one stream into samples. Packets must come in the
// order of their time, and each lost stretch must be filled by DecodeFEC or
// Conceal, for the codec carries state from packet to packet.
type Decoder struct {
	channels int
	lib      libopus.Decoder
}

// NewDecoder makes a decoder that delivers 1 or 2 channels at 48 kHz whatever
// the packets carry: stereo is mixed down, mono is doubled.
func NewDecoder(channels int) (*Decoder, error) {
	d := &Decoder{channels: channels}
	if err := d.Reset(); err != nil {
		return nil, err
	}
	return d, nil
}

// Reset forgets all history, as before the first packet. It allocates.
func (d *Decoder) Reset() error {
	d.lib = libopus.Decoder{}
	if err := d.lib.Init(pcm.Rate, d.channels); err != nil {
		return fmt.Errorf("open opus decoder of %d channels: %w", d.channels, err)
	}
	return nil
}

// Decode decodes one packet into out, interleaved, and returns its samples per
// channel. out of MaxSamples*channels values holds every packet; a shorter one
// that cannot hold this packet gives [ErrBuffer]. After an error the decoder
// is as it was.
func (d *Decoder) Decode(packet []byte, out []float32) (samples int, err error) {
	samples, err = Duration(packet)
	if err != nil {
		return 0, err
	}
	n := samples * d.channels
	if len(out) < n {
		return 0, ErrBuffer
	}
	// The binding takes the room from the capacity, not from the length.
	return d.lib.DecodeFloat32(packet, out[:n:n])
}

// DecodeFEC restores the audio right before the packet next from the copy that
// next carries; len(out)/channels samples, a multiple of 120, are missing. Where
// the copy is shorter than the hole, or next carries none, the rest is
// concealed. Decode(next) follows.
func (d *Decoder) DecodeFEC(next []byte, out []float32) error {
	if _, err := parse(next); err != nil {
		return err
	}
	if !d.grained(out) {
		return ErrBuffer
	}
	return d.lib.DecodeFECFloat32(next, out[:len(out):len(out)])
}

// Conceal fills len(out)/channels samples, a multiple of 120, with the
// codec's guess of what was lost (PLC). It fades to silence by itself.
func (d *Decoder) Conceal(out []float32) error {
	if !d.grained(out) {
		return ErrBuffer
	}
	return d.lib.DecodePLCFloat32(out[:len(out):len(out)])
}

func (d *Decoder) grained(out []float32) bool {
	return len(out) > 0 && len(out)%(Grain*d.channels) == 0
}
