package opus

// modes are the three codec modes a TOC byte can name (RFC 6716 table 2).
const (
	hybridConfig = 12 // first configuration of hybrid mode; SILK below
	celtConfig   = 16 // first configuration of CELT mode
)

// frameSamples is the length of one frame of the packet with this TOC byte.
func frameSamples(toc byte) int {
	config := int(toc >> 3)
	switch {
	case config >= celtConfig:
		return Grain << (config & 3) // 2.5, 5, 10, 20 ms
	case config >= hybridConfig:
		return 4 * Grain << (config & 1) // 10, 20 ms
	case config&3 == 3:
		return 24 * Grain // 60 ms
	default:
		return 4 * Grain << (config & 3) // 10, 20, 40 ms
	}
}

// layout is what the head of a packet says about its frames.
type layout struct {
	frames int    // number of frames
	first  []byte // compressed bytes of the first frame
}

// parse checks p against the rules R1 to R7 of RFC 6716 section 3.4.
func parse(p []byte) (layout, error) {
	if len(p) == 0 {
		return layout{}, ErrPacket // R1
	}
	body := p[1:]
	switch p[0] & 3 {
	case 0:
		return equalFrames(body, 1)
	case 1:
		return equalFrames(body, 2)
	case 2:
		size, rest, ok := frameLength(body)
		if !ok || size > len(rest) || len(rest)-size > MaxFrameBytes {
			return layout{}, ErrPacket // R2, R4
		}
		return layout{frames: 2, first: rest[:size]}, nil
	default:
		return parseCode3(p[0], body)
	}
}

// parseCode3 reads a packet with a frame count byte, optional padding and
// lengths (RFC 6716 section 3.2.5). body starts at the frame count byte.
func parseCode3(toc byte, body []byte) (layout, error) {
	if len(body) == 0 {
		return layout{}, ErrPacket
	}
	count := body[0]
	frames := int(count & 0x3f)
	if frames == 0 || frames*frameSamples(toc) > MaxSamples {
		return layout{}, ErrPacket // R5
	}
	body = body[1:]
	if count&0x40 != 0 {
		var ok bool
		if body, ok = trimPadding(body); !ok {
			return layout{}, ErrPacket
		}
	}
	if count&0x80 == 0 {
		return equalFrames(body, frames)
	}
	first, sum := -1, 0
	for range frames - 1 {
		size, rest, ok := frameLength(body)
		if !ok {
			return layout{}, ErrPacket
		}
		if first < 0 {
			first = size
		}
		sum += size
		body = rest
	}
	last := len(body) - sum
	if last < 0 || last > MaxFrameBytes {
		return layout{}, ErrPacket // R7, R2
	}
	if first < 0 {
		first = last
	}
	return layout{frames: frames, first: body[:first]}, nil
}

// equalFrames splits body into n frames of the same size (R3, R6).
func equalFrames(body []byte, n int) (layout, error) {
	size := len(body) / n
	if size*n != len(body) || size > MaxFrameBytes {
		return layout{}, ErrPacket
	}
	return layout{frames: n, first: body[:size]}, nil
}

// frameLength reads a frame length of one or two bytes (RFC 6716 section 3.2.1).
func frameLength(b []byte) (size int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0] < 252:
		return int(b[0]), b[1:], true
	case len(b) == 1:
		return 0, nil, false
	default:
		return int(b[0]) + 4*int(b[1]), b[2:], true
	}
}

// trimPadding reads the padding length and cuts the padding off the end.
func trimPadding(b []byte) ([]byte, bool) {
	padding := 0
	for {
		if len(b) == 0 {
			return nil, false
		}
		n := int(b[0])
		b = b[1:]
		if n < 255 {
			padding += n
			break
		}
		padding += 254
	}
	if padding > len(b) {
		return nil, false
	}
	return b[:len(b)-padding], true
}

// Duration is the length of a whole packet in samples at 48 kHz, 120 to 5760.
// The packet is checked against RFC 6716 section 3; a broken one is
// [ErrPacket].
func Duration(packet []byte) (samples int, err error) {
	l, err := parse(packet)
	if err != nil {
		return 0, err
	}
	return l.frames * frameSamples(packet[0]), nil
}

// Channels is the channel count of the packet's TOC byte, 1 or 2; 0 for an
// empty packet.
func Channels(packet []byte) int {
	switch {
	case len(packet) == 0:
		return 0
	case packet[0]&4 != 0:
		return 2
	default:
		return 1
	}
}

// HasFEC tells whether the packet carries a second copy (LBRR, RFC 6716
// section 4.2.4) of the audio before it. CELT packets never do.
func HasFEC(packet []byte) bool {
	l, err := parse(packet)
	if err != nil || len(l.first) == 0 || packet[0]>>3 >= celtConfig {
		return false
	}
	// The header bits come first and with even odds, so the range coder stores
	// them as plain bits: one VAD flag for each 20 ms, then the LBRR flag, for
	// the middle channel and then for the side channel.
	parts := max(1, frameSamples(packet[0])/(8*Grain))
	bits := l.first[0]
	if bits>>(7-parts)&1 != 0 {
		return true
	}
	return Channels(packet) == 2 && bits>>(6-2*parts)&1 != 0
}

// silence holds a packet for each frame length and channel count: CELT
// fullband whose first symbol is the silence flag (RFC 6716 section 4.3).
var silence = [2][4][3]byte{
	{{0xe0, 0xff, 0xfe}, {0xe8, 0xff, 0xfe}, {0xf0, 0xff, 0xfe}, {0xf8, 0xff, 0xfe}},
	{{0xe4, 0xff, 0xfe}, {0xec, 0xff, 0xfe}, {0xf4, 0xff, 0xfe}, {0xfc, 0xff, 0xfe}},
}

// Silence is a packet of 120, 240, 480 or 960 samples for 1 or 2 channels that
// decodes to digital silence. Callers must not change the bytes. Other
// arguments are a programming error and give nil.
func Silence(samples, channels int) []byte {
	if channels != 1 && channels != 2 {
		return nil
	}
	for i := range silence[channels-1] {
		if samples == Grain<<i {
			p := &silence[channels-1][i]
			return p[:len(p):len(p)]
		}
	}
	return nil
}
