package opus

import (
	"cmp"
	"math"

	"mixdown/mixer/pcm"
)

const (
	// narrowAfter is how many frames in a row must be the same on both channels
	// before packets become mono: 1 s, so that a voice on one side does not turn
	// them with each of its pauses.
	narrowAfter = 50
	// warmUp is how many frames an encoder hears before the first one that counts.
	// The transform looks back 2.5 ms, the filter that takes direct current out
	// longer: in 100 ms it has forgotten all but a seventh.
	warmUp = 5
	// celtBitrate is the least bitrate at which libopus makes CELT packets of any
	// sound, mono or stereo, unless it is to care for speech or losses.
	celtBitrate = 32000
	// narrowComplexity is what a mono packet needs at the bitrate of a stereo one
	// to be better than that. What is left out is the pitch filter, for low
	// bitrates, how time and frequency and pulses are spread, and more than half
	// of the work. At 0 nothing would be known of onsets.
	narrowComplexity = 1
)

// width is an encoder of two channels that makes mono packets while both are
// the same, bit by bit, as they are in nearly every mix of what browsers send.
// Any packet of a stream may be mono (RFC 6716, section 3.1, the bit s): all
// bits go into one channel, and the encoder has half to do.
//
// The half is saved by two encoders of libopus, of which one works. The other
// takes over with a packet that stands for itself, after it has heard the last
// frames, so that the halves of the two transforms that overlap belong to the
// same sound; and nothing may come through the decoder's pitch filter then.
// SILK's packets cannot be made to stand for themselves, nor does a pitch filter
// end in time: where they may come, one encoder is told how many channels to
// make of its two, which libopus turns smoothly.
//
// The packets depend on the frames of the last second and on what the codec
// itself remembers, so an encoder that starts in the middle finds into line.
type width struct {
	config EncoderConfig
	mono   *libEncoder // nil where one encoder does both
	stereo *libEncoder // nil until there is something for it
	wide   bool        // packets are stereo
	alike  int         // frames in a row with the same on both channels

	recent [warmUp]pcm.Frame // the last frames, for take-overs
	heard  int               // frames so far
}

func newWidth(c EncoderConfig) (*width, error) {
	w := &width{config: c}
	var err error
	if c.FEC || c.Voice || c.Bitrate < celtBitrate || c.Complexity > narrowComplexity {
		w.stereo, err = c.open(2)
		if err == nil {
			err = w.stereo.set(forceChannels, 1)
		}
		return w, err
	}
	mono := c
	mono.Complexity = cmp.Or(c.Complexity, narrowComplexity)
	w.mono, err = mono.open(1)
	return w, err
}

// encode makes the packet of f. in is scratch.
func (w *width) encode(f *pcm.Frame, in *[2 * pcm.FrameSize]float32, out []byte) (n int, err error) {
	w.alike++
	if !one(f, in) {
		w.alike = 0
	}
	switch {
	case w.mono != nil && !w.wide && w.alike > 0:
		n, err = w.mono.encode(in[:pcm.FrameSize], out)
	case !w.wide && w.alike == 0:
		n, err = w.turn(true, f, in, out)
	case w.wide && w.alike >= narrowAfter:
		n, err = w.turn(false, f, in, out)
	case w.wide && w.alike == narrowAfter-1 && w.mono != nil:
		n, err = w.alone(f, in, out) // it ends the pitch filter
	default:
		n, err = w.make(f, in, out)
	}
	w.recent[w.heard%warmUp] = *f
	w.heard++
	return n, err
}

// make lets the encoder that works hear f.
func (w *width) make(f *pcm.Frame, in *[2 * pcm.FrameSize]float32, out []byte) (int, error) {
	if w.mono != nil && !w.wide {
		return w.mono.encode(mean(f, in), out)
	}
	return w.stereo.encode(pairs(f, in), out)
}

// works is the encoder that works.
func (w *width) works() *libEncoder {
	if w.mono != nil && !w.wide {
		return w.mono
	}
	return w.stereo
}

// alone makes a packet that needs none before it, after those that the encoder
// is to have heard.
func (w *width) alone(f *pcm.Frame, in *[2 * pcm.FrameSize]float32, out []byte, before ...*pcm.Frame) (int, error) {
	if err := w.works().set(unpredicted, 1); err != nil {
		return 0, err
	}
	for _, b := range before {
		if _, err := w.make(b, in, out); err != nil {
			return 0, err
		}
	}
	n, err := w.make(f, in, out)
	if err != nil {
		return 0, err
	}
	return n, w.works().set(unpredicted, 0)
}

// turn makes the first packet of another width.
func (w *width) turn(wide bool, f *pcm.Frame, in *[2 * pcm.FrameSize]float32, out []byte) (n int, err error) {
	w.wide = wide
	if w.mono == nil {
		channels := 1
		if wide {
			channels = auto
		}
		if err := w.stereo.set(forceChannels, channels); err != nil {
			return 0, err
		}
		return w.make(f, in, out)
	}
	if w.stereo == nil {
		if w.stereo, err = w.config.open(2); err != nil {
			return 0, err
		}
	}
	if w.heard == 0 {
		return w.make(f, in, out)
	}
	if err := w.works().reset(); err != nil {
		return 0, err
	}
	var before [warmUp]*pcm.Frame
	count := min(w.heard, warmUp)
	for i := range count {
		before[i] = &w.recent[(w.heard-count+i)%warmUp]
	}
	return w.alone(f, in, out, before[:count]...)
}

// one writes what both channels are into in, and says whether they are the
// same; if not, what it wrote is of no use.
//
//go:norace
func one(f *pcm.Frame, in *[2 * pcm.FrameSize]float32) bool {
	const signless, full = 1<<31 - 1, 0x3f800000 // full is 1
	var differ, top uint32                       // without their signs, floats lie in the order of their bits
	mono := (*[pcm.FrameSize]float32)(in[:])
	for i := range f {
		left := math.Float32bits(f[i][0])
		differ |= left ^ math.Float32bits(f[i][1])
		top = max(top, left&signless)
		mono[i] = f[i][0]
	}
	if top > full { // rare, and so is what is no number
		for i := range mono {
			mono[i] = clip(mono[i])
		}
	}
	return differ == 0
}
