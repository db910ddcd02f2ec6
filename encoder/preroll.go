package encoder

import (
	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// convergence is how much audio a decoder gets before what it plays counts, in
// samples. RFC 7845 section 4.6 recommends 80 ms; but what a CELT decoder still
// hears of a wrong beginning fades by 6 dB in 20 ms, and after 80 ms a seam
// differs by up to -28 dBFS. 320 ms leave less than a step of 16 bits. A SILK
// decoder's pitch predictor forgets only where the voice pauses; there a seam
// leaves up to -40 dBFS, below the codec's own noise, and more pre-roll would
// not help.
const convergence = 320 * pcm.Rate / 1000

// recent is the end of a packet stream: its newest packet, and before it at
// least convergence samples of those that came earlier, if that many came.
type recent struct {
	ring [convergence/opus.Grain + 2]recentPacket
	next int // slot for the next packet
	held int // slots in use
}

type recentPacket struct {
	data    []byte
	samples int
}

// push makes a copy of packet the newest one.
func (r *recent) push(packet []byte, samples int) {
	p := &r.ring[r.next]
	p.data, p.samples = append(p.data[:0], packet...), samples
	r.next = (r.next + 1) % len(r.ring)
	r.held = min(r.held+1, len(r.ring))
}

// back is the packet n places before the newest.
func (r *recent) back(n int) *recentPacket {
	return &r.ring[(r.next-1-n+2*len(r.ring))%len(r.ring)]
}

// preroll tells how many packets before the newest a decoder must hear first,
// and their samples.
func (r *recent) preroll() (packets, samples int) {
	for packets < r.held-1 && samples < convergence {
		packets++
		samples += r.back(packets).samples
	}
	return packets, samples
}

// begin opens the stream of a segment whose first packet will be the newest,
// and writes the pre-roll. lookahead is what the decoder drops besides it.
func (r *recent) begin(f File, s Segment, channels, lookahead int, comments []string) (*ogg.Writer, error) {
	packets, samples := r.preroll()
	var lead []byte
	if samples+lookahead == 0 {
		// Programs complain about a pre-skip of nothing. A packet without a
		// frame, of the kind that follows, is what a fresh decoder passes over
		// without a trace.
		lead = []byte{r.back(0).data[0] &^ 3}
		n, err := opus.Duration(lead)
		if err != nil {
			return nil, err
		}
		samples = n
	}
	w, err := ogg.NewWriter(f, ogg.Config{
		Head:     ogg.Head{Channels: channels, PreSkip: samples + lookahead},
		Serial:   serial(s),
		Comments: comments,
	})
	if err != nil {
		return nil, err
	}
	if lead != nil {
		if err := w.WritePacket(lead, samples); err != nil {
			return nil, err
		}
	}
	for i := packets; i > 0; i-- {
		p := r.back(i)
		if err := w.WritePacket(p.data, p.samples); err != nil {
			return nil, err
		}
	}
	return w, nil
}
