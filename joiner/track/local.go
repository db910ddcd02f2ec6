package track

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
	"mixdown/rooms/peer"
)

// Stereo is an offer to send so many channels, made of one that says nothing of
// them: RFC 7587, section 7.1, what is sent is worth decoding in stereo.
func Stereo(sdp string, channels int) string {
	if channels == 2 {
		return strings.ReplaceAll(sdp, "useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1")
	}
	return sdp
}

// PreferStereo is an offer to receive that says that stereo is welcome.
func PreferStereo(sdp string) string {
	return strings.ReplaceAll(sdp, "useinbandfec=1", "useinbandfec=1;stereo=1")
}

// Retransmit reads a sender's RTCP to its end: that is what lets the
// interceptors see it and send again.
func Retransmit(s *webrtc.RTPSender) {
	buffer := make([]byte, MaxPacket)
	for {
		if _, _, err := s.Read(buffer); err != nil {
			return
		}
	}
}

// Local is the sending end of a publication in a peer connection: a
// webrtc.TrackLocal that leaves number, time and marker of a packet alone.
type Local struct {
	id string

	mu          sync.Mutex
	out         webrtc.TrackLocalWriter
	ssrc        uint32
	payloadType uint8
	level       uint8   // ID of the audio level extension, 0: not negotiated
	extension   [1]byte // its content
}

var (
	_ webrtc.TrackLocal   = (*Local)(nil)
	_ joiner.PacketWriter = (*Local)(nil)
)

// NewLocal returns a track with an id, which is its stream's, too.
func NewLocal(id string) *Local { return &Local{id: id} }

// Bind implements webrtc.TrackLocal.
func (t *Local) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		if !strings.EqualFold(codec.MimeType, webrtc.MimeTypeOpus) {
			continue
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.out, t.ssrc, t.payloadType = c.WriteStream(), uint32(c.SSRC()), uint8(codec.PayloadType)
		for _, e := range c.HeaderExtensions() {
			if e.URI == peer.LevelURI {
				t.level = uint8(e.ID)
			}
		}
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind implements webrtc.TrackLocal.
func (t *Local) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *Local) ID() string { return t.id }

// RID implements webrtc.TrackLocal.
func (t *Local) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *Local) StreamID() string { return t.id }

// Kind implements webrtc.TrackLocal.
func (t *Local) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// WriteRTP implements joiner.PacketWriter.
func (t *Local) WriteRTP(p *rtp.Packet, level uint8) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return errors.New("no media connection")
	}
	p.SSRC, p.PayloadType = t.ssrc, t.payloadType
	if t.level != 0 {
		// RFC 6464, section 3: the level, and voice activity in the top bit.
		t.extension[0] = min(level, 127)
		if level < 127 {
			t.extension[0] |= 0x80
		}
		if err := p.SetExtension(t.level, t.extension[:]); err != nil {
			return fmt.Errorf("audio level: %w", err)
		}
	}
	_, err := t.out.WriteRTP(&p.Header, p.Payload)
	return err
}
