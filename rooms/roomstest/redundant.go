package roomstest

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner/joinertest"
	"mixdown/rooms/peer"
)

// Redundant is a speaker who publishes by WHIP and sends redundant audio (RFC
// 2198): each packet carries copies of those before it. NACKs are not answered.
type Redundant struct {
	*Host
	// Payload makes the packet of frame number n. Set it before the first Say.
	Payload func(n int64) []byte

	track *webrtc.TrackLocalStaticRTP
	sent  [][]byte
}

// Redundant publishes streamID. The call returns when the stream can be heard.
func (b *Bed) Redundant(roomID, userID, streamID string) *Redundant {
	b.t.Helper()
	h := b.Host()
	socket := b.network.listen(h.address(5000), h.Link)
	engine, err := peer.New(peer.Config{Conn: socket, Net: b.machine, SenderReports: true, OwnResends: true})
	check(b.t, err)
	pc, err := engine.NewPeerConnection()
	check(b.t, err)
	b.t.Cleanup(func() {
		check(b.t, pc.GracefulClose())
		check(b.t, engine.Close())
		check(b.t, socket.Close())
	})
	s := &Redundant{Host: h, Payload: joinertest.Numbered}
	s.track, err = webrtc.NewTrackLocalStaticRTP(peer.Red().RTPCodecCapability, streamID, streamID)
	check(b.t, err)
	_, err = pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	check(b.t, err)
	connected := make(chan struct{})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	b.whip(h, pc, "/whip/"+roomID+"/"+streamID, roomID, userID)
	<-connected
	return s
}

// whip offers what pc sends and takes the answer.
func (b *Bed) whip(h *Host, pc *webrtc.PeerConnection, path, roomID, userID string) {
	b.t.Helper()
	offer, err := pc.CreateOffer(nil)
	check(b.t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	check(b.t, pc.SetLocalDescription(offer))
	<-gathered
	token, err := b.Token(roomID, userID, false)
	check(b.t, err)
	r, err := http.NewRequest(http.MethodPost, "http://room.test"+path, strings.NewReader(pc.LocalDescription().SDP))
	check(b.t, err)
	r.Header.Set("Content-Type", "application/sdp")
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := h.HTTP.Do(r)
	if err != nil {
		b.t.Fatalf("publish by WHIP: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(b.t, err)
	if answer.StatusCode != http.StatusCreated {
		b.t.Fatalf("publish by WHIP: %s: %s", answer.Status, text)
	}
	check(b.t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(text)}))
}

// Say sends a packet every 20 ms for d of virtual time, with copies of the two
// before it.
func (s *Redundant) Say(d time.Duration) {
	for range d / joinertest.FrameTime {
		n := len(s.sent)
		s.sent = append(s.sent, s.Payload(int64(n)))
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * joinertest.FrameSamples)},
			Payload: redundant(s.sent[max(0, n-2):]),
		}
		_ = s.track.WriteRTP(p) // lost like any other
		time.Sleep(joinertest.FrameTime)
	}
}

// redundant packs the last of some packets, one frame apart, with copies of the
// others (RFC 2198, section 3).
func redundant(packets [][]byte) (b []byte) {
	last := len(packets) - 1
	for i, p := range packets[:last] {
		offset := uint32((last - i) * joinertest.FrameSamples)
		b = append(b, 0x80|peer.PayloadType)
		b = binary.BigEndian.AppendUint16(b, uint16(offset<<2)|uint16(len(p)>>8))
		b = append(b, byte(len(p)))
	}
	b = append(b, peer.PayloadType)
	for _, p := range packets {
		b = append(b, p...)
	}
	return b
}
