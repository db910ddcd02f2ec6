// Package peer is the one place that says how this project speaks WebRTC:
// Opus with NACK, the header extensions, the interceptors, the timeouts.
//
// In the line it lies below both ends of a call: rooms/sfu builds the server's
// connections with it, joiner/native the client's, so that both ends repair
// losses by the same rules. It promises that a packet lost on the way is asked
// for again every 20 ms until it arrives or leaves the history of 512 packets,
// that retransmissions up to 2048 packets late pass SRTP's replay protection,
// and that many connections share the wakeups by which packets are received:
// a server's one UDP socket, clients' sockets that are watched together. It
// negotiates nothing: offers, answers and tracks are the caller's.
package peer

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/udp"
)

const (
	// PayloadType is the Opus payload type of our own offers.
	PayloadType = 111
	// RedPayloadType is the payload type of redundant audio in our own offers,
	// and RedType its name in session descriptions.
	RedPayloadType = 63
	RedType        = "audio/red"
	// LevelURI is the audio level header extension (RFC 6464).
	LevelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	// MidURI is the media identification header extension (RFC 9143).
	MidURI = "urn:ietf:params:rtp-hdrext:sdes:mid"
	// SendTimeURI is the absolute send time header extension.
	SendTimeURI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

	resendSize   = 1024 // packets a sender keeps for retransmission, 20 s of audio
	replayWindow = 2048 // packets; the usual 64 would throw repairs away

	// A link cut for 10 to 20 s heals by itself; signalling waits 30 s.
	disconnectedAfter = 5 * time.Second
	failedAfter       = 30 * time.Second
	keepAlive         = 2 * time.Second

	certificateLife = 7 * 24 * time.Hour
)

// Config says what an [Engine] builds its connections on.
type Config struct {
	// Conn is a UDP socket that all connections share through an ICE mux, which
	// suits a server; the Engine reads it until Close and does not close it.
	// Clients need sockets of their own: two connections of theirs towards the
	// same server would have the same addresses at both ends, and nobody could
	// tell their packets apart.
	Conn net.PacketConn
	// Sockets is where connections get sockets of their own if there is
	// neither Conn nor Net; nil is the machine's network, with a wakeup for
	// each packet. The caller closes it after the connections.
	Sockets *udp.Group
	// Net is the network; nil is the machine's. Tests pass a vnet.
	Net transport.Net
	// Lite makes the connections ICE-lite (RFC 8445, section 2.5): the
	// server's side.
	Lite bool
	// Log gets what WebRTC has to say; nil is silence.
	Log *slog.Logger
	// SenderReports sends RTCP sender reports for what the connections send.
	// Publishers want them; the SFU forwards its publishers' reports instead.
	SenderReports bool
	// OwnResends leaves retransmission to the caller, who reads RTCP from its
	// senders: the SFU keeps one history for each stream, not for each player.
	OwnResends bool
	// AskAlways asks for what is lost although the sender has not said that it
	// sends again, as LiveKit does for redundant audio and nevertheless can.
	AskAlways bool
}

// Engine makes peer connections that share a configuration and, if it has one,
// a UDP socket. It is safe for concurrent use.
type Engine struct {
	api     *webrtc.API
	mux     *ice.UDPMuxDefault
	conn    *sharedConn
	sockets *udp.Group

	mu          sync.Mutex
	certificate *webrtc.Certificate
	renew       time.Time
}

// New makes an Engine. With a Conn it starts one goroutine that reads it,
// which Close ends.
func New(c Config) (*Engine, error) {
	media, err := mediaEngine()
	if err != nil {
		return nil, err
	}
	e := &Engine{sockets: c.Sockets}
	registry, err := interceptors(c, e)
	if err != nil {
		return nil, err
	}
	logs := loggers{log: c.Log}
	var s webrtc.SettingEngine
	s.LoggerFactory = logs
	s.SetLite(c.Lite)
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(disconnectedAfter, failedAfter, keepAlive)
	s.SetSRTPReplayProtectionWindow(replayWindow)
	// AES-GCM costs a tenth to a fifth less than AES-CM with HMAC.
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	switch {
	case c.Net != nil:
		s.SetNet(c.Net)
	case c.Conn == nil && c.Sockets != nil:
		network, err := newGroupNet(c.Sockets)
		if err != nil {
			return nil, err
		}
		s.SetNet(network)
	}
	if c.Conn != nil {
		e.conn = newSharedConn(c.Conn)
		e.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{
			Logger:  logs.NewLogger("ice-mux"),
			UDPConn: e.conn,
			Net:     c.Net,
		})
		s.SetICEUDPMux(newOrderedMux(e.mux))
	}
	e.api = webrtc.NewAPI(
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(s),
	)
	return e, nil
}

// NewPeerConnection makes a connection. The caller closes it, before the
// Engine.
func (e *Engine) NewPeerConnection() (*webrtc.PeerConnection, error) {
	certificate, err := e.currentCertificate()
	if err != nil {
		return nil, err
	}
	pc, err := e.api.NewPeerConnection(webrtc.Configuration{
		BundlePolicy:  webrtc.BundlePolicyMaxBundle,
		RTCPMuxPolicy: webrtc.RTCPMuxPolicyRequire,
		Certificates:  []webrtc.Certificate{certificate},
		// Cryptex (RFC 9335) hides no more than the audio level and is new
		// everywhere.
		RTPHeaderEncryptionPolicy: webrtc.RTPHeaderEncryptionPolicyDisable,
	})
	if err != nil {
		return nil, fmt.Errorf("new peer connection: %w", err)
	}
	return pc, nil
}

// Arrival is when an RTP packet that has just been read came to the machine: it
// may have waited for its turn since, see [udp.Group]. Where that is not known
// it is now.
func (e *Engine) Arrival(ssrc uint32, seq uint16) time.Time {
	if e.sockets != nil {
		if at, ok := e.sockets.Arrival(ssrc, seq); ok {
			return at
		}
	}
	return time.Now()
}

// hasten lets the sockets be looked at soon: an answer is waited for.
func (e *Engine) hasten() {
	if e.sockets != nil {
		e.sockets.Hasten()
	}
}

// Close stops reading the shared socket, which stays open. Connections still
// open lose their transport.
func (e *Engine) Close() error {
	if e.mux == nil {
		return nil
	}
	// The mux closes its socket with a lock held that its goroutines may want
	// before they end: stop its reading first.
	if err := e.conn.Close(); err != nil {
		return fmt.Errorf("stop reading: %w", err)
	}
	if err := e.mux.Close(); err != nil {
		return fmt.Errorf("close ICE mux: %w", err)
	}
	return nil
}

// currentCertificate returns the DTLS certificate that new connections share:
// making one costs more than the rest of a connection. pion's are valid for a
// month; a new one is made every week.
func (e *Engine) currentCertificate() (webrtc.Certificate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.certificate != nil && time.Now().Before(e.renew) {
		return *e.certificate, nil
	}
	certificate, err := newCertificate()
	if err != nil {
		return webrtc.Certificate{}, err
	}
	e.certificate, e.renew = certificate, time.Now().Add(certificateLife)
	return *certificate, nil
}

func interceptors(c Config, e *Engine) (*interceptor.Registry, error) {
	registry := &interceptor.Registry{}
	if !c.OwnResends {
		responder, err := nack.NewResponderInterceptor(nack.ResponderSize(resendSize))
		if err != nil {
			return nil, fmt.Errorf("NACK responder: %w", err)
		}
		registry.Add(responder)
	}
	registry.Add(receptions{always: c.AskAlways, arrival: e.Arrival, asked: e.hasten})
	if c.SenderReports {
		sender, err := report.NewSenderInterceptor()
		if err != nil {
			return nil, fmt.Errorf("sender reports: %w", err)
		}
		registry.Add(senders{sender})
	}
	return registry, nil
}
