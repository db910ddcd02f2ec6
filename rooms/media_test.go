package rooms_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
	"mixdown/rooms/signal"
)

// publisher is the media side of one published stream.
type publisher struct {
	w       *world
	engine  *peer.Engine
	pc      *webrtc.PeerConnection
	track   *webrtc.TrackLocalStaticRTP
	sender  *webrtc.RTPSender
	seq     uint16
	closing sync.Once
	done    sync.WaitGroup
}

func (w *world) publisher() *publisher {
	w.Helper()
	p := &publisher{w: w, engine: w.engine(), seq: 100}
	var err error
	p.pc, err = p.engine.NewPeerConnection()
	check(w, err)
	p.track, err = webrtc.NewTrackLocalStaticRTP(peer.Opus().RTPCodecCapability, "a", "s")
	check(w, err)
	transceiver, err := p.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	check(w, err)
	p.sender = transceiver.Sender()
	p.done.Go(func() {
		for buf := make([]byte, 1500); ; {
			if _, _, err := p.sender.Read(buf); err != nil {
				return
			}
		}
	})
	return p
}

func (p *publisher) offer() string {
	p.w.Helper()
	offer, err := p.pc.CreateOffer(nil)
	check(p.w, err)
	gathered := webrtc.GatheringCompletePromise(p.pc)
	check(p.w, p.pc.SetLocalDescription(offer))
	<-gathered
	return p.pc.LocalDescription().SDP
}

func (p *publisher) accept(answer string) {
	p.w.Helper()
	check(p.w, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
}

// speak publishes a stream with media and waits until it is connected.
func (c *client) speak(streamID string) *publisher {
	c.Helper()
	p := c.publisher()
	var answer signal.SDP
	c.do(signal.StartPublishing, signal.PublishParams{StreamID: streamID, SDP: p.offer()}, &answer)
	p.accept(answer.SDP)
	c.connected(p)
	return p
}

func (w *world) connected(p *publisher) {
	w.Helper()
	for range 1000 {
		if p.pc.ConnectionState() == webrtc.PeerConnectionStateConnected {
			synctest.Wait()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Fatalf("media did not connect: %s", p.pc.ConnectionState())
}

// talk sends n packets of 20 ms, the payload names the speaker; level is in
// -dBov.
func (p *publisher) talk(n int, name string, level uint8) {
	p.w.Helper()
	var id uint8
	for _, x := range p.sender.GetParameters().HeaderExtensions {
		if x.URI == peer.LevelURI {
			id = uint8(x.ID)
		}
	}
	for range n {
		packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: p.seq, Timestamp: uint32(p.seq) * 960}, Payload: []byte(name)}
		if id != 0 {
			check(p.w, packet.Header.SetExtension(id, []byte{level}))
		}
		check(p.w, p.track.WriteRTP(packet))
		p.seq++
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *publisher) close() {
	p.closing.Do(func() {
		check(p.w, p.pc.GracefulClose())
		check(p.w, p.engine.Close())
		p.done.Wait()
	})
}

// ear is the media side of what a client plays.
type ear struct {
	*client
	engine *peer.Engine
	pc     *webrtc.PeerConnection
	done   sync.WaitGroup

	mu    sync.Mutex
	heard []string // payloads, in order, repetitions left out
	count map[string]int
}

func (c *client) ear() *ear {
	c.Helper()
	e := &ear{client: c, engine: c.engine(), count: map[string]int{}}
	var err error
	e.pc, err = e.engine.NewPeerConnection()
	check(c, err)
	e.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		e.done.Go(func() {
			for {
				p, _, err := track.ReadRTP()
				if err != nil {
					return
				}
				name := string(p.Payload)
				e.mu.Lock()
				if e.count[name]++; !slices.Contains(e.heard, name) {
					e.heard = append(e.heard, name)
				}
				e.mu.Unlock()
			}
		})
	})
	return e
}

// answerOffer takes the one offer that must have come and answers it; it
// returns the streams it names.
func (e *ear) answerOffer() map[string]string {
	e.Helper()
	time.Sleep(100 * time.Millisecond)
	offers := e.news(signal.Offer)
	if len(offers) != 1 {
		e.Fatalf("%d offers, want 1", len(offers))
	}
	var p signal.OfferParams
	check(e, json.Unmarshal(offers[0], &p))
	check(e, e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: p.SDP}))
	answer, err := e.pc.CreateAnswer(nil)
	check(e, err)
	gathered := webrtc.GatheringCompletePromise(e.pc)
	check(e, e.pc.SetLocalDescription(answer))
	<-gathered
	e.do(signal.Answer, signal.SDP{SDP: e.pc.LocalDescription().SDP}, nil)
	time.Sleep(time.Second)
	return p.Streams
}

func (e *ear) hears(name string) int {
	time.Sleep(100 * time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count[name]
}

func (e *ear) close() {
	check(e, e.pc.GracefulClose())
	check(e, e.engine.Close())
	e.done.Wait()
}
