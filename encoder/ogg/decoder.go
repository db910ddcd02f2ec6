package ogg

import (
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/opus"
)

// Decoder plays an Ogg Opus input as RFC 7845 wants it: pre-skip dropped, end
// trimmed, gain applied. Audio lost to damage is silence of the same length,
// so that time stays true. Streams joined end to end play one after another.
type Decoder struct {
	r     *Reader
	dec   *opus.Decoder
	link  int
	start int64 // first granule position that is heard
	pos   int64 // granule position reached
	gain  float32
	gap   int64 // samples of silence due

	pending []float32 // decoded, not delivered yet; interleaved
	next    Packet    // waits behind the gap
	waiting bool
	buf     [2 * opus.MaxSamples]float32
}

// maxGap bounds the silence for one hole, so that a false position cannot
// make an endless file: a day.
const maxGap = 24 * 3600 * 48000

// NewDecoder decodes from r, which it buffers.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: NewReader(r), link: -1} }

// Read fills out with stereo samples at 48 kHz; mono sounds on both sides. It
// returns fewer than len(out) only at the end or at an error, and io.EOF with 0
// behind the last sample.
func (d *Decoder) Read(out [][2]float32) (n int, err error) {
	for n < len(out) {
		switch {
		case len(d.pending) > 0:
			n += d.deliver(out[n:])
		case d.gap > 0:
			k := min(d.gap, int64(len(out)-n))
			clear(out[n : n+int(k)])
			n += int(k)
			d.gap -= k
		default:
			if err := d.fill(); err != nil {
				if n > 0 && errors.Is(err, io.EOF) {
					return n, nil
				}
				return n, err
			}
		}
	}
	return n, nil
}

// deliver moves decoded samples to out.
//
//go:norace
func (d *Decoder) deliver(out [][2]float32) int {
	ch := d.r.Head().Channels
	n := min(len(out), len(d.pending)/ch)
	for i := range n {
		out[i] = [2]float32{d.pending[i*ch] * d.gain, d.pending[i*ch+ch-1] * d.gain}
	}
	d.pending = d.pending[n*ch:]
	return n
}

// fill takes the next packet: it either decodes it or opens the gap before it.
func (d *Decoder) fill() error {
	p := d.next
	if !d.waiting {
		var err error
		if p, err = d.r.Next(); err != nil {
			return err
		}
		if p.Link != d.link {
			if err := d.begin(p); err != nil {
				return err
			}
		}
		if hole := p.Start - d.pos; hole > 0 {
			d.gap = min(hole, maxGap)
			if early := d.start - d.pos; early > 0 {
				d.gap = max(0, d.gap-early)
			}
			d.next, d.waiting = p, true
			return nil
		}
	}
	d.waiting = false
	d.pos = max(d.pos, p.Start)
	return d.decode(p)
}

// begin resets everything for the stream that p opens.
func (d *Decoder) begin(p Packet) error {
	h := d.r.Head()
	dec, err := opus.NewDecoder(h.Channels)
	if err != nil {
		return err
	}
	d.dec, d.link, d.gain = dec, p.Link, h.factor()
	d.pos = p.Start
	d.start = p.Start + int64(h.PreSkip)
	return nil
}

// decode decodes p; a malformed packet is left out.
func (d *Decoder) decode(p Packet) error {
	if p.Samples == 0 {
		return nil
	}
	ch := d.r.Head().Channels
	n, err := d.dec.Decode(p.Data, d.buf[:opus.MaxSamples*ch])
	if err != nil {
		return fmt.Errorf("decode packet at sample %d: %w", p.Start, err)
	}
	from := max(d.start, d.pos) - p.Start
	to := min(p.End-p.Start, int64(n))
	d.pos = max(d.pos, p.End)
	if from < to {
		d.pending = d.buf[from*int64(ch) : to*int64(ch)]
	}
	return nil
}
