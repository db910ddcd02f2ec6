package sfu_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
)

// sent is what a test compares of a packet.
type sent struct {
	seq     uint16
	ts      uint32
	marker  bool
	level   int // -1 none
	payload string
}

type publisher struct {
	t      testing.TB
	ip     string
	engine *peer.Engine
	pc     *webrtc.PeerConnection
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	level  uint8
	up     *sfu.Upstream
	up1    chan struct{} // closed when connected
	closed chan error
	seq    uint16
	ts     uint32
	all    []sent
	done   sync.WaitGroup
}

func publish(t testing.TB, server *sfu.Server, engine *peer.Engine, ip string) *publisher {
	t.Helper()
	p := &publisher{t: t, ip: ip, engine: engine, up1: make(chan struct{}), closed: make(chan error, 2), seq: 65500, ts: 1<<32 - 5000}
	var err error
	p.pc, err = engine.NewPeerConnection()
	check(t, err)
	p.track, err = webrtc.NewTrackLocalStaticRTP(peer.Opus().RTPCodecCapability, "a", "s")
	check(t, err)
	transceiver, err := p.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	check(t, err)
	p.sender = transceiver.Sender()
	p.done.Go(func() {
		for buf := make([]byte, 1500); ; {
			if _, _, err := p.sender.Read(buf); err != nil {
				return
			}
		}
	})
	answer, up, err := server.Publish(context.Background(), localOffer(t, p.pc), sfu.UpstreamEvents{
		Connected: func() { close(p.up1) },
		Closed:    func(err error) { p.closed <- err },
	})
	check(t, err)
	p.up = up
	check(t, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	for _, x := range p.sender.GetParameters().HeaderExtensions {
		if x.URI == peer.LevelURI {
			p.level = uint8(x.ID)
		}
	}
	if p.level == 0 {
		t.Fatal("the server does not want audio levels")
	}
	<-p.up1
	waitState(t, p.pc, webrtc.PeerConnectionStateConnected)
	return p
}

// next sends the next packet of a stream of 20 ms frames.
func (p *publisher) next() sent {
	s := sent{seq: p.seq, ts: p.ts, level: int(p.seq % 128), marker: p.seq%16 == 0, payload: fmt.Sprintf("%s/%d", p.ip, p.seq)}
	p.seq, p.ts = p.seq+1, p.ts+960
	p.all = append(p.all, s)
	p.send(s)
	return s
}

func (p *publisher) send(s sent) {
	p.t.Helper()
	packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: s.seq, Timestamp: s.ts, Marker: s.marker}, Payload: []byte(s.payload)}
	if s.level >= 0 {
		check(p.t, packet.Header.SetExtension(p.level, []byte{byte(s.level)}))
	}
	check(p.t, p.track.WriteRTP(packet))
}

// talk sends n packets, one each 20 ms.
func (p *publisher) talk(n int) {
	for range n {
		p.next()
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *publisher) close() {
	check(p.t, p.pc.GracefulClose())
	check(p.t, p.engine.Close())
	p.done.Wait()
}

// listener is a client that plays.
type listener struct {
	t      testing.TB
	ip     string
	engine *peer.Engine
	pc     *webrtc.PeerConnection
	player *sfu.Player

	mu      sync.Mutex
	offers  []string
	streams []map[string]string // of each offer
	got     map[string][]sent   // by mid
	ssrcs   map[string][]uint32
	reports map[uint32][]rtcp.SenderReport
	states  []string
	told    func(streamID string, playing bool) // may be nil
	done    sync.WaitGroup
	pending chan string
}

func play(t testing.TB, server *sfu.Server, engine *peer.Engine, ip string, backlog bool) *listener {
	t.Helper()
	l := &listener{t: t, ip: ip, engine: engine, got: make(map[string][]sent), ssrcs: make(map[string][]uint32),
		reports: make(map[uint32][]rtcp.SenderReport), pending: make(chan string, 64)}
	var err error
	l.pc, err = engine.NewPeerConnection()
	check(t, err)
	l.pc.OnTrack(l.track)
	l.player, err = server.NewPlayer(sfu.PlayerConfig{
		Backlog: backlog,
		Offer: func(sdp string, streams map[string]string) {
			l.mu.Lock()
			l.offers, l.streams = append(l.offers, sdp), append(l.streams, streams)
			l.mu.Unlock()
			l.pending <- sdp
		},
		State: func(id string, playing bool, err error) {
			l.mu.Lock()
			l.states = append(l.states, fmt.Sprint(id, " ", playing, " ", err))
			told := l.told
			l.mu.Unlock()
			if told != nil {
				told(id, playing)
			}
		},
	})
	check(t, err)
	return l
}

// answer answers the next offer.
func (l *listener) answer() {
	l.t.Helper()
	offer := <-l.pending
	check(l.t, l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}))
	answer, err := l.pc.CreateAnswer(nil)
	check(l.t, err)
	check(l.t, l.player.Answer(local(l.t, l.pc, answer)))
}

// played waits for a state.
func (l *listener) played(state string) {
	l.t.Helper()
	l.await(func() bool {
		for _, s := range l.states {
			if s == state {
				return true
			}
		}
		return false
	}, state)
}

func (l *listener) await(ok func() bool, what string) {
	l.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return
		}
		<-tick.C
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Fatalf("waited 30 s for %s; states %q", what, l.states)
}

func (l *listener) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	mid := ""
	for _, t := range l.pc.GetTransceivers() {
		if t.Receiver() == receiver {
			mid = t.Mid()
		}
	}
	var level uint8
	for _, x := range receiver.GetParameters().HeaderExtensions {
		if x.URI == peer.LevelURI {
			level = uint8(x.ID)
		}
	}
	l.mu.Lock()
	l.ssrcs[mid] = append(l.ssrcs[mid], uint32(track.SSRC()))
	l.mu.Unlock()
	l.done.Go(func() {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			s := sent{seq: p.SequenceNumber, ts: p.Timestamp, marker: p.Marker, level: -1, payload: string(p.Payload)}
			if x := p.GetExtension(level); x != nil {
				s.level = int(x[0])
			}
			l.mu.Lock()
			l.got[mid] = append(l.got[mid], s)
			l.mu.Unlock()
		}
	})
	l.done.Go(func() {
		for {
			packets, _, err := receiver.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if r, ok := p.(*rtcp.SenderReport); ok {
					l.mu.Lock()
					l.reports[r.SSRC] = append(l.reports[r.SSRC], *r)
					l.mu.Unlock()
				}
			}
		}
	})
}

// heard is what arrived for a stream, as the last offer names it.
func (l *listener) heard(streamID string) []sent {
	l.t.Helper()
	_, streams := l.last()
	for mid, id := range streams {
		if id == streamID {
			return l.packets(mid)
		}
	}
	l.t.Fatalf("stream %s is not in the last offer", streamID)
	return nil
}

func (l *listener) packets(mid string) []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]sent(nil), l.got[mid]...)
}

func (l *listener) count(mid string) int { return len(l.packets(mid)) }

// ssrc is that of the last track under this mid.
func (l *listener) ssrc(mid string) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ssrcs[mid][len(l.ssrcs[mid])-1]
}

// reported says whether a sender report with these times came.
func (l *listener) reported(mid string, ntp uint64, rtp uint32) bool {
	ssrc := l.ssrc(mid)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reports[ssrc] {
		if r.NTPTime == ntp && r.RTPTime == rtp {
			return true
		}
	}
	return false
}

// last is all offers and what the last one names.
func (l *listener) last() ([]string, map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.offers...), l.streams[len(l.streams)-1]
}

func (l *listener) close() {
	check(l.t, l.pc.GracefulClose())
	check(l.t, l.engine.Close())
	l.done.Wait()
}

func localOffer(t testing.TB, pc *webrtc.PeerConnection) string {
	t.Helper()
	offer, err := pc.CreateOffer(nil)
	check(t, err)
	return local(t, pc, offer)
}

func local(t testing.TB, pc *webrtc.PeerConnection, d webrtc.SessionDescription) string {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(pc)
	check(t, pc.SetLocalDescription(d))
	<-gathered
	return pc.LocalDescription().SDP
}

func waitState(t testing.TB, pc *webrtc.PeerConnection, want webrtc.PeerConnectionState) {
	t.Helper()
	changed := make(chan struct{}, 16)
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { changed <- struct{}{} })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for pc.ConnectionState() != want {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("connection is %s, not %s", pc.ConnectionState(), want)
		}
	}
}

func (p *publisher) ssrc() uint32 {
	return uint32(p.sender.GetParameters().Encodings[0].SSRC)
}

// again is another connection of the same client, with a track.
func (p *publisher) again() *webrtc.PeerConnection {
	p.t.Helper()
	pc, err := p.engine.NewPeerConnection()
	check(p.t, err)
	p.t.Cleanup(func() { check(p.t, pc.GracefulClose()) })
	_, err = pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	check(p.t, err)
	return pc
}
