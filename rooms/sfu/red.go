package sfu

import (
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

// Redundant audio (RFC 2198) goes from a publisher that sends it to those who
// take it, copies and all: it repairs what nobody can ask for again in time.
// Others get what a packet is about, its primary block.

const redHeader = 4 // bytes before each copy's data: F, type, offset, length

// formats are payload types of a connection; 0 is none.
type formats struct{ opus, red uint8 }

// formatsOf finds them in what was negotiated.
func formatsOf(codecs []webrtc.RTPCodecParameters) (f formats) {
	for _, c := range codecs {
		switch {
		case c.ClockRate != 48000:
		case c.MimeType == webrtc.MimeTypeOpus && f.opus == 0:
			f.opus = uint8(c.PayloadType)
		case c.MimeType == peer.RedType && f.red == 0:
			f.red = uint8(c.PayloadType)
		}
	}
	return f
}

// rename gives the blocks of Opus in redundant audio the payload type that we
// offer to players. The type of a block is that of the connection it came by,
// and a packet is for many.
func rename(payload []byte, opus uint8) {
	for head := payload; len(head) > 0; head = head[redHeader:] {
		more := head[0] & 0x80
		if head[0]&0x7f == opus {
			head[0] = more | peer.PayloadType
		}
		if more == 0 || len(head) < redHeader {
			return
		}
	}
}

// primary is the newest block, which the packet is about; nil if the headers do
// not describe the payload.
func primary(payload []byte) []byte {
	copies, head := 0, payload
	for len(head) >= redHeader && head[0]&0x80 != 0 {
		copies += int(head[2]&3)<<8 | int(head[3])
		head = head[redHeader:]
	}
	if len(head) == 0 || head[0] != peer.PayloadType || copies > len(head)-1 {
		return nil
	}
	return head[1+copies:]
}
