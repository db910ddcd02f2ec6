package playout

import (
	"math"
	"time"

	"mixdown/mixer/pcm"
)

// Quality is how well a stream arrives, counted from its first packet.
type Quality struct {
	Packets    int64   // arrived, whatever became of them
	Lost       int64   // missing when their audio was due
	Late       int64   // arrived after their audio was due
	Duplicates int64   // arrived more than once
	Broken     int64   // arrived with a payload that is no Opus packet
	Dropped    int64   // refused because the buffer was full
	Cut        int64   // Deep: not handed to Placed because the sender's clock runs fast
	Concealed  int64   // Live: samples made up for what had not come
	Spliced    int64   // Live: samples of sound left out or repeated, to come closer to the target
	Jitter     float64 // interarrival jitter in ms (RFC 3550, section 6.4.1)
	Level      uint8   // of the newest packet, as in Packet
}

// jitter is the estimator of RFC 3550, section 6.4.1, in samples.
type jitter struct {
	value float64
	last  int64 // transit time of the packet before
	known bool
}

func (j *jitter) add(transit int64) {
	if j.known {
		if d := math.Abs(float64(transit - j.last)); d < pcm.Rate {
			j.value += (d - j.value) / 16
		}
	}
	j.last, j.known = transit, true
}

func (j *jitter) ms() float64 { return j.value * 1000 / pcm.Rate }

// seen remembers which of the newest 2048 sequence numbers have arrived.
type seen struct {
	bits [32]uint64
	top  int64
}

const seenSpan = 32 * 64

// add notes seq and says whether it was there before. What is too old to be
// remembered counts as new.
func (s *seen) add(seq int64) (again bool) {
	if seq > s.top {
		if seq-s.top >= seenSpan {
			s.bits = [32]uint64{}
		} else {
			for n := s.top + 1; n < seq; n++ {
				s.bits[n&(seenSpan-1)>>6] &^= 1 << (n & 63)
			}
		}
		s.top = seq
		s.bits[seq&(seenSpan-1)>>6] |= 1 << (seq & 63)
		return false
	}
	if s.top-seq >= seenSpan {
		return false
	}
	word, bit := &s.bits[seq&(seenSpan-1)>>6], uint64(1)<<(seq&63)
	again = *word&bit != 0
	*word |= bit
	return again
}

// has tells whether seq has arrived, or is too old to tell.
func (s *seen) has(seq int64) bool {
	if seq > s.top {
		return false
	}
	return s.top-seq >= seenSpan || s.bits[seq&(seenSpan-1)>>6]&(1<<(seq&63)) != 0
}

// samplesAt is the position of an arrival on the timeline.
func samplesAt(at time.Duration) int64 { return pcm.Samples(at) }
