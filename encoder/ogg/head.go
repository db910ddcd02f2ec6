package ogg

import (
	"bytes"
	"encoding/binary"
	"math"

	"mixdown/mixer/pcm"
)

// vendor names the writer in OpusTags.
const vendor = "mixdown"

// Head is the identification header of an Opus stream (RFC 7845 section 5.1),
// channel mapping family 0.
type Head struct {
	Channels int // 1 or 2
	PreSkip  int // samples at 48 kHz to drop from the decoder's output
	Gain     int // to apply to the output, 1/256 dB
}

// appendHead writes the OpusHead packet.
func appendHead(b []byte, h Head) []byte {
	b = append(b, "OpusHead\x01"...)
	b = append(b, byte(h.Channels))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.PreSkip))
	b = binary.LittleEndian.AppendUint32(b, pcm.Rate)
	b = binary.LittleEndian.AppendUint16(b, uint16(int16(h.Gain)))
	return append(b, 0)
}

// parseHead reads an OpusHead packet of mapping family 0.
func parseHead(p []byte) (Head, bool) {
	// Section 5.1.1: minor versions (low nibble) stay readable.
	if len(p) < 19 || !bytes.HasPrefix(p, []byte("OpusHead")) || p[8]>>4 != 0 || p[18] != 0 {
		return Head{}, false
	}
	h := Head{
		Channels: int(p[9]),
		PreSkip:  int(binary.LittleEndian.Uint16(p[10:])),
		Gain:     int(int16(binary.LittleEndian.Uint16(p[16:]))),
	}
	return h, h.Channels == 1 || h.Channels == 2
}

// factor is the gain as a multiplier.
func (h Head) factor() float32 {
	return float32(math.Pow(10, float64(h.Gain)/(20*256)))
}

// appendTags writes the OpusTags packet (RFC 7845 section 5.2).
func appendTags(b []byte, comments []string) []byte {
	text := func(s string) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	b = append(b, "OpusTags"...)
	text(vendor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(comments)))
	for _, c := range comments {
		text(c)
	}
	return b
}

// parseTags reads the comments of an OpusTags packet; ok tells whether it is one.
func parseTags(p []byte) (comments []string, ok bool) {
	p, ok = bytes.CutPrefix(p, []byte("OpusTags"))
	if !ok {
		return nil, false
	}
	text := func() (s string, ok bool) {
		if len(p) < 4 {
			return "", false
		}
		n := uint64(binary.LittleEndian.Uint32(p))
		if n > uint64(len(p)-4) {
			return "", false
		}
		s, p = string(p[4:4+n]), p[4+n:]
		return s, true
	}
	if _, ok := text(); !ok || len(p) < 4 {
		return nil, true
	}
	count := binary.LittleEndian.Uint32(p)
	p = p[4:]
	for range count {
		c, ok := text()
		if !ok {
			break
		}
		comments = append(comments, c)
	}
	return comments, true
}
