package peer

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	// window is how many packets, the newest included, may be asked for: 10 s
	// of audio.
	window = 512
	// guess is how many packets before the first one are asked for, guessTries
	// times: the stream may have begun earlier and lost its beginning. A sender
	// that never sent them has nothing to send again.
	guess      = 17 // one NACK pair
	guessTries = 3
)

// inbound is the state of one incoming stream.
type inbound struct {
	ssrc, rate uint32
	repaired   bool // the sender answers NACKs

	started bool
	newest  uint16
	cycles  uint16 // of newest, RFC 3550 appendix A.1
	span    uint16 // packets from the oldest one watched to newest, at most window
	have    [window]bool
	asked   [window]uint8
	guesses int // tries left

	expected, received            int64 // packets
	expectedReported, gotReported int64 // at the last report
	transit                       int32 // RTP units
	jitter                        float64
	lastReport                    uint32 // middle of the last sender report's NTP time
	lastReportAt                  time.Time
}

// receive notes a packet and says whether something is missing that was not
// before.
func (s *inbound) receive(seq uint16, ts uint32, now time.Time) (gap bool) {
	if !s.started {
		s.started, s.newest, s.span = true, seq, 1
		s.have[seq%window] = true
		s.expected, s.received, s.guesses = 1, 1, guessTries
		s.transit = s.transitOf(ts, now)
		return true
	}
	ahead := int16(seq - s.newest)
	if ahead > 0 {
		return s.advance(seq, uint16(ahead), ts, now)
	}
	behind := uint16(-int32(ahead))
	switch {
	case behind >= window:
		return false // asked for no more
	case behind >= s.span:
		// The stream began earlier than we knew.
		for i := s.span; i <= behind; i++ {
			s.forget(s.newest - i)
		}
		s.expected += int64(behind + 1 - s.span)
		s.span, s.guesses, gap = behind+1, guessTries, true
	case s.have[seq%window]:
		return false
	}
	s.have[seq%window] = true
	s.received++
	return gap
}

func (s *inbound) advance(seq, ahead uint16, ts uint32, now time.Time) (gap bool) {
	if seq < s.newest {
		s.cycles++
	}
	for i := uint16(1); i <= min(ahead, window); i++ {
		s.forget(seq - min(ahead, window) + i)
	}
	s.have[seq%window] = true
	s.newest, s.span = seq, min(s.span+min(ahead, window), window)
	s.expected += int64(ahead)
	s.received++
	transit := s.transitOf(ts, now)
	d := float64(transit - s.transit)
	s.transit = transit
	s.jitter += (max(d, -d) - s.jitter) / 16
	return ahead > 1
}

func (s *inbound) forget(seq uint16) {
	s.have[seq%window], s.asked[seq%window] = false, 0
}

// transitOf is RFC 3550's relative transit time: arrival less time stamp.
func (s *inbound) transitOf(ts uint32, now time.Time) int32 {
	seconds, rest := now.Unix(), int64(now.Nanosecond())
	return int32(uint32(seconds*int64(s.rate)+rest*int64(s.rate)/1e9) - ts)
}

// missing returns what to ask for now, in NACK pairs.
func (s *inbound) missing() []rtcp.NackPair {
	if !s.started {
		return nil
	}
	var pairs []rtcp.NackPair
	if s.guesses > 0 && s.span <= window-guess {
		s.guesses--
		pairs = append(pairs, rtcp.NackPair{PacketID: s.newest - s.span + 1 - guess, LostPackets: 0xffff})
	}
	for i := s.span; i > 1; i-- { // the newest one is here
		seq := s.newest + 1 - i
		if s.have[seq%window] || s.asked[seq%window] >= nackMax {
			continue
		}
		s.asked[seq%window]++
		if n := len(pairs); n > 0 && seq-pairs[n-1].PacketID-1 < 16 {
			pairs[n-1].LostPackets |= 1 << (seq - pairs[n-1].PacketID - 1)
		} else {
			pairs = append(pairs, rtcp.NackPair{PacketID: seq})
		}
	}
	return pairs
}

// report makes the report block since the last one, RFC 3550 appendix A.3.
// Repaired packets count as received.
func (s *inbound) report(now time.Time) rtcp.ReceptionReport {
	expected := s.expected - s.expectedReported
	lost := expected - (s.received - s.gotReported)
	s.expectedReported, s.gotReported = s.expected, s.received
	r := rtcp.ReceptionReport{
		SSRC:               s.ssrc,
		LastSequenceNumber: uint32(s.cycles)<<16 | uint32(s.newest),
		TotalLost:          uint32(min(max(s.expected-s.received, 0), 0x7fffff)),
		Jitter:             uint32(s.jitter),
		LastSenderReport:   s.lastReport,
	}
	if expected > 0 && lost > 0 {
		r.FractionLost = uint8(min(lost*256/expected, 255))
	}
	if !s.lastReportAt.IsZero() {
		r.Delay = uint32(now.Sub(s.lastReportAt).Seconds() * 65536)
	}
	return r
}
