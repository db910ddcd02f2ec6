package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/pion/webrtc/v4"
)

// Opus is the codec: 48 kHz, mono or stereo as the sender likes, FEC on,
// NACK asked for. RFC 7587, section 7: stereo and usedtx speak of the
// receiver, which takes both.
func Opus() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType:     webrtc.MimeTypeOpus,
			ClockRate:    48000,
			Channels:     2,
			SDPFmtpLine:  "minptime=10;useinbandfec=1",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}},
		},
		PayloadType: PayloadType,
	}
}

// Red is redundant audio (RFC 2198): packets that carry copies of the Opus
// packets before them. Whoever sends it chose to; we take it and pass it on.
func Red() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType:     RedType,
			ClockRate:    48000,
			Channels:     2,
			SDPFmtpLine:  strconv.Itoa(PayloadType) + "/" + strconv.Itoa(PayloadType),
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}},
		},
		PayloadType: RedPayloadType,
	}
}

func mediaEngine() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	for _, codec := range []webrtc.RTPCodecParameters{Opus(), Red()} {
		if err := m.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("register %s: %w", codec.MimeType, err)
		}
	}
	for _, uri := range []string{LevelURI, MidURI, SendTimeURI} {
		extension := webrtc.RTPHeaderExtensionCapability{URI: uri}
		if err := m.RegisterHeaderExtension(extension, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("register header extension %s: %w", uri, err)
		}
	}
	return m, nil
}

func newCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make DTLS key: %w", err)
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make DTLS certificate: %w", err)
	}
	return certificate, nil
}
