package playout

import (
	"time"

	"mixdown/mixer/pcm"
)

// A sender put on hold may stop its RTP time and go on afterwards as if
// nothing had been. Its packets come late then like those of a blackout, but
// unlike them they stay late: nothing catches up.
const (
	holdLeast  = pcm.Rate               // shorter is a matter of the network
	holdProof  = 300 * time.Millisecond // of packets that do not catch up
	holdProofs = 3
	// holdHorizon is how far behind a frame arrivals are asked. Deep is read five
	// seconds late, so they are there.
	holdHorizon = 4900 * pcm.Rate / 1000
	holdFrame   = 40 * time.Millisecond // that the last proof may be short of the horizon
)

// resumed tells whether p, the first that waits in e and due at pos, goes on
// after a hold. Only what arrived within the horizon is asked; what came so
// late that it ends the proof early has to do with three packets. What came
// later still has an epoch of its own already.
func (e *epoch) resumed(p *entry, pos int64) bool {
	at := samplesAt(p.at)
	if !p.top || at-pos < holdLeast {
		return false
	}
	last, proofs := p.at, 0
	for _, q := range e.queue[1:] {
		late := samplesAt(q.at) - at
		if !q.top || samplesAt(q.at) > pos+holdHorizon {
			continue
		}
		if late-(q.media-p.media) < -jump {
			return false
		}
		last, proofs = max(last, q.at), proofs+1
	}
	heard := time.Duration(pos+holdHorizon-at)*time.Second/pcm.Rate - holdFrame
	return proofs >= holdProofs && last-p.at >= min(holdProof, heard)
}

// resume gives what waits in e a timeline of its own, placed by its arrival.
// It is false when there is no room for another epoch.
func (d *Deep) resume(e *epoch) bool {
	p := e.queue[0]
	n := &epoch{
		ssrc: e.ssrc, firstAt: p.at, lastAt: e.lastAt, least: samplesAt(p.at) - p.media,
		top: e.top, topMedia: e.topMedia, seen: e.seen, queue: e.queue,
	}
	for _, q := range n.queue {
		if at := samplesAt(q.at); q.top && q.at <= p.at+holdProof {
			n.least = min(n.least, at-q.media)
		}
	}
	e.queue = nil
	if len(d.epochs) == epochsMax && !d.forget() {
		e.queue = n.queue
		return false
	}
	d.epochs = append(d.epochs, n)
	return true
}
