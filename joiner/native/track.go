package native

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/mixer/playout"
	"mixdown/rooms/peer"
)

// maxPacket is the largest RTP packet that is read; Ethernet's limit.
const maxPacket = 1500

// slot is where the packets of a stream go during a connection. The stream's
// track may change below it and its receiver above it.
type slot struct {
	mu       sync.Mutex
	receiver joiner.Receiver
}

// set exchanges the receiver. When it returns the former one gets nothing
// more.
func (s *slot) set(r joiner.Receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver = r
}

func (s *slot) packet(p *rtp.Packet, level uint8, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver != nil {
		s.receiver.Packet(p, level, at)
	}
}

func (s *slot) report(r joiner.SenderReport, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver != nil {
		s.receiver.Report(r, at)
	}
}

// reader is what a received track and a track's RTCP are read from.
type reader interface {
	Read(b []byte) (int, interceptor.Attributes, error)
}

// receivePackets reads a track to its end. It is the hot path: one buffer and
// one packet are used for all.
func receivePackets(track reader, f format, to *slot) {
	buffer := make([]byte, maxPacket)
	var p rtp.Packet
	for {
		n, _, err := track.Read(buffer)
		if err != nil && n == 0 {
			return
		}
		at := time.Now()
		if err != nil || p.Unmarshal(buffer[:n]) != nil {
			continue // a payload type that was not negotiated, or no RTP
		}
		switch {
		case f.red != 0 && p.PayloadType == f.red:
			p.PayloadType = joiner.Red
		case p.PayloadType == joiner.Red:
			p.PayloadType = peer.PayloadType // it is Opus, by another number
		}
		to.packet(&p, level(&p, f.level), at)
	}
}

// level is a packet's audio level (RFC 6464, section 3), without the voice bit.
func level(p *rtp.Packet, id uint8) uint8 {
	if id != 0 {
		if x := p.GetExtension(id); len(x) > 0 {
			return x[0] & 0x7f
		}
	}
	return playout.NoLevel
}

// receiveReports reads a track's RTCP to its end. A goroutine per track wakes
// once per report, which is cheaper than polling and keeps the arrival times
// true.
func receiveReports(rtcp reader, to *slot) {
	buffer := make([]byte, maxPacket)
	for {
		n, _, err := rtcp.Read(buffer)
		if err != nil {
			return
		}
		if r, ok := findSenderReport(buffer[:n]); ok {
			to.report(r, time.Now())
		}
	}
}

// findSenderReport looks for a sender report in a compound RTCP packet (RFC
// 3550, sections 6.1 and 6.4.1).
func findSenderReport(b []byte) (joiner.SenderReport, bool) {
	const senderReport = 200
	for len(b) >= 4 {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if b[0]>>6 != 2 || size > len(b) {
			break
		}
		if b[1] == senderReport && size >= 28 {
			return joiner.SenderReport{
				SSRC: binary.BigEndian.Uint32(b[4:]),
				NTP:  binary.BigEndian.Uint64(b[8:]),
				RTP:  binary.BigEndian.Uint32(b[16:]),
			}, true
		}
		b = b[size:]
	}
	return joiner.SenderReport{}, false
}
