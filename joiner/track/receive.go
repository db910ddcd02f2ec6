// Package track is the media of a login over WebRTC, whichever system the room
// is of: a received track led to its [joiner.Receiver], a publication led to
// the track that is sent, and a peer connection whose fate somebody waits for.
//
// In the line it is the very beginning and, for what is published, the very
// end; the systems below package joiner build on it and do the signalling. It
// promises that a receiver gets packets and reports of its stream only, with
// their instants, and nothing once its [Slot] has another one. It decodes
// nothing and keeps no packet.
package track

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/mixer/playout"
	"mixdown/rooms/peer"
)

// MaxPacket is the largest RTP packet that is read; Ethernet's limit.
const MaxPacket = 1500

// Slot is where the packets of a stream go during a connection. The stream's
// track may change below it and its receiver above it.
type Slot struct {
	mu       sync.Mutex
	receiver joiner.Receiver
	end      time.Time // of the stream; zero while it lasts
}

// Set exchanges the receiver. When it returns the former one gets nothing
// more.
func (s *Slot) Set(r joiner.Receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver, s.end = r, time.Time{}
}

// End says that the stream has ended. Signalling overtakes media that wait for
// their turn: the receiver still gets what has come to the machine by now, so
// that the last syllable is not lost.
func (s *Slot) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = time.Now()
}

func (s *Slot) packet(p *rtp.Packet, level uint8, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver != nil && (s.end.IsZero() || at.Before(s.end)) {
		s.receiver.Packet(p, level, at)
	}
}

func (s *Slot) report(r joiner.SenderReport, at time.Time) {
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

// format is what was negotiated for a track.
type format struct {
	level uint8 // ID of the audio level extension, 0 for none
	red   uint8 // payload type of redundant audio, 0 for none
}

func formatOf(r *webrtc.RTPReceiver) (f format) {
	negotiated := r.GetParameters()
	for _, x := range negotiated.HeaderExtensions {
		if x.URI == peer.LevelURI {
			f.level = uint8(x.ID)
		}
	}
	for _, c := range negotiated.Codecs {
		if c.MimeType == peer.RedType {
			f.red = uint8(c.PayloadType)
		}
	}
	return f
}

// receivePackets reads a track to its end. It is the hot path: one buffer and one packet are used for all.
func receivePackets(track reader, f format, arrival func(ssrc uint32, seq uint16) time.Time, to *Slot) {
	buffer := make([]byte, MaxPacket)
	var p rtp.Packet
	for {
		n, _, err := track.Read(buffer)
		if err != nil && n == 0 {
			return
		}
		if err != nil || p.Unmarshal(buffer[:n]) != nil {
			continue // a payload type that was not negotiated, or no RTP
		}
		switch {
		case f.red != 0 && p.PayloadType == f.red:
			p.PayloadType = joiner.Red
		case p.PayloadType == joiner.Red:
			p.PayloadType = peer.PayloadType // it is Opus, by another number
		}
		to.packet(&p, level(&p, f.level), arrival(p.SSRC, p.SequenceNumber))
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

// receiveReports reads the RTCP of a track to its end. A goroutine per track
// wakes once per report, which is cheaper than polling and keeps the arrival
// times true.
func receiveReports(rtcp reader, to *Slot) {
	buffer := make([]byte, MaxPacket)
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
