package sfu

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

// batchTime is how long a change waits for others, so that a hundred streams
// asked for at once are one offer.
const batchTime = 10 * time.Millisecond

// PlayerConfig says what a [Player] does and whom it tells. The calls come
// from one goroutine, one at a time, and must return fast.
type PlayerConfig struct {
	// Backlog sends a stream that is younger than 5 s from its first packet.
	Backlog bool
	// Offer carries an offer to the client, who replies through
	// [Player.Answer]. streams names the stream of each mid that is active.
	Offer func(sdp string, streams map[string]string)
	// State tells that a stream plays (its packets flow from now on), that it
	// stopped as asked (false, nil), or that the connection is lost.
	State func(streamID string, playing bool, err error)
}

// Player is everything that one login plays, over one connection. The server
// offers, the client answers. Media sections of stopped streams are used again
// for later ones once the client has agreed to the stop, so the session
// description does not grow without end.
//
// A section is offered as inactive when its stream stops, and in later offers,
// while it waits for another stream, as sendonly without an SSRC: it sends
// nothing, but the client keeps a receiver for it. A pion client that is told
// twice that a section is inactive stops a receiver that never had a track,
// makes no other, and does not hear the stream that comes there next. Our own
// connection knows nothing of it, else it would think the section taken.
type Player struct {
	*life
	config PlayerConfig
	slots  []*slot // run's own
	tracks int     // made so far; run's own

	mu      sync.Mutex
	wanted  map[string]wish
	wishes  int             // so far
	order   []string        // the wanted streams, as they were asked for
	offered bool            // an offer waits for its answer
	mids    []string        // of that offer, in its order
	waiting map[string]bool // which of them wait for a stream
}

// wish is what a stream is to be played from.
type wish struct {
	number  int // another one after each Stop
	up      *Upstream
	backlog bool // from its first packet on
}

// slot is one media section of a player's connection.
type slot struct {
	transceiver *webrtc.RTPTransceiver
	streamID    string // "" while the section is free
	wish        int    // the number of the wish that it serves
	forward     *forward
	sender      *webrtc.RTPSender
	source      *Upstream // what is forwarded, nil before it plays
	served      bool      // the client's feedback is read
	answered    bool      // the client has agreed to it
	reusable    bool      // the client has agreed that it is free
}

// NewPlayer makes a Player, which lives until its Close or the Server's, or
// until the client's connection is lost.
func (s *Server) NewPlayer(c PlayerConfig) (*Player, error) {
	l, err := s.newLife()
	if err != nil {
		return nil, fmt.Errorf("new player: %w", err)
	}
	p := &Player{life: l, config: c, wanted: make(map[string]wish)}
	if err := l.start(p.step, p.ended); err != nil {
		l.abandon()
		return nil, fmt.Errorf("new player: %w", err)
	}
	return p, nil
}

// Play plays u as streamID. It returns at once; an offer follows if one is
// needed. Another Upstream for a streamID that plays already takes the first
// one's place without an offer: mid and SSRC stay, the numbers go on.
func (p *Player) Play(streamID string, up *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, known := p.wanted[streamID]
	if !known {
		p.order = append(p.order, streamID)
		p.wishes++
		w.number = p.wishes
	}
	if w.up != up {
		p.wanted[streamID] = wish{w.number, up, p.config.Backlog && up.isYoung()}
	}
	p.poke()
}

// Stop stops playing streamID. It returns at once.
func (p *Player) Stop(streamID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.wanted[streamID]; !known {
		return
	}
	delete(p.wanted, streamID)
	for i, id := range p.order {
		if id == streamID {
			p.order = append(p.order[:i:i], p.order[i+1:]...)
			break
		}
	}
	p.poke()
}

// Answer takes the client's answer to the last offer. The error wraps
// [ErrBadSDP] when it is refused or when no offer waits for one. An answer that
// does not look like one may be followed by a better one; one that turns out
// unusable while it is applied ends the connection.
func (p *Player) Answer(sdp string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.offered {
		return fmt.Errorf("answer: %w: no offer waits for it", ErrBadSDP)
	}
	if err := checkAnswer(sdp, p.mids); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	sdp = redirect(sdp, p.waiting, "recvonly", "inactive")
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		// It was applied in part: nothing can be built on that.
		err = fmt.Errorf("answer: %w: %w", ErrBadSDP, err)
		p.end(err)
		return err
	}
	p.offered = false
	p.expect()
	p.poke()
	return nil
}

// Close ends the connection. It returns at once and may be called from
// anywhere; a callback may still be running, and [Server.Close] waits for it.
func (p *Player) Close() error {
	p.end(nil)
	return nil
}

// step brings the connection to what is wanted. It is the only place that
// changes slots, called by one goroutine.
func (p *Player) step() {
	p.update()
	if !p.behind() {
		return
	}
	batch := time.NewTimer(batchTime)
	defer batch.Stop()
	select {
	case <-batch.C:
	case <-p.ending:
		return
	}
	if err := p.offer(); err != nil {
		p.end(err)
	}
}

// update does what needs no offer: stop, play, put another source in place.
func (p *Player) update() {
	p.mu.Lock()
	connected := p.pc.ConnectionState() == webrtc.PeerConnectionStateConnected
	type change struct {
		slot *slot
		wish
	}
	var changes []change
	for _, s := range p.slots {
		if !p.offered {
			s.answered, s.reusable = s.sender != nil, s.sender == nil
		}
		w, _ := p.wishOf(s)
		if s.streamID != "" && s.source != w.up && (w.up == nil || s.answered && connected) {
			changes = append(changes, change{s, w})
		}
	}
	p.mu.Unlock()
	for _, c := range changes {
		s := c.slot
		was := s.source
		s.source = c.up
		switch {
		case c.up == nil:
			s.forward.stop()
			p.tell(s.streamID, false, nil)
		default:
			if !s.served {
				s.served = true
				sender, f := s.sender, s.forward
				p.media(func() error { return f.serve(sender) })
			}
			s.forward.play(c.up, c.backlog)
			if was == nil {
				p.tell(s.streamID, true, nil)
			}
		}
	}
}

// wishOf is the wish that a slot serves, if it is still there: after a Stop,
// even if Play followed at once, it is not. The caller holds mu.
func (p *Player) wishOf(s *slot) (wish, bool) {
	if w, wanted := p.wanted[s.streamID]; wanted && w.number == s.wish {
		return w, true
	}
	return wish{}, false
}

// behind says whether an offer is due.
func (p *Player) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offered {
		return false
	}
	placed := 0
	for _, s := range p.slots {
		if s.streamID == "" {
			continue
		}
		if _, wanted := p.wishOf(s); wanted {
			placed++
		} else if s.stopped() {
			return true
		}
	}
	return placed < len(p.wanted)
}

// offer puts what is wanted into the session description and offers it.
func (p *Player) offer() error {
	sdp, streams, err := p.describeWanted()
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	if p.config.Offer != nil {
		p.config.Offer(sdp, streams)
	}
	return nil
}

func (p *Player) describeWanted() (string, map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	placed := make(map[string]bool)
	for _, s := range p.slots {
		if s.streamID == "" {
			continue
		}
		if _, wanted := p.wishOf(s); wanted {
			placed[s.streamID] = true
		} else if s.stopped() {
			if err := p.free(s); err != nil {
				return "", nil, err
			}
		}
	}
	for _, id := range p.order {
		if !placed[id] {
			if err := p.place(id); err != nil {
				return "", nil, err
			}
		}
	}
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", nil, fmt.Errorf("create offer: %w", err)
	}
	sdp, err := p.describe(context.Background(), offer)
	if err != nil {
		return "", nil, err
	}
	p.offered, p.mids = true, p.mids[:0]
	streams := make(map[string]string)
	p.waiting = make(map[string]bool)
	for _, s := range p.slots {
		mid := s.transceiver.Mid()
		p.mids = append(p.mids, mid)
		if s.streamID != "" {
			streams[mid] = s.streamID
		}
		p.waiting[mid] = s.streamID == "" && s.reusable
	}
	return redirect(sdp, p.waiting, "inactive", "sendonly"), streams, nil
}

// stopped says that what is not wanted any more does not play: where Stop came
// after update, the next one stops it and tells.
func (s *slot) stopped() bool { return s.source == nil }

// free gives a slot back; its media section becomes inactive.
func (p *Player) free(s *slot) error {
	s.forward.stop()
	if err := p.pc.RemoveTrack(s.sender); err != nil {
		return fmt.Errorf("remove track of %s: %w", s.streamID, err)
	}
	*s = slot{transceiver: s.transceiver}
	return nil
}

// place gives a stream a free slot, or a new one.
func (p *Player) place(streamID string) error {
	reusable := false
	for _, s := range p.slots {
		reusable = reusable || s.reusable
	}
	p.tracks++
	number := p.wanted[streamID].number
	f := &forward{id: "audio" + strconv.Itoa(p.tracks), writeRTCP: p.pc.WriteRTCP}
	if !reusable {
		transceiver, err := p.pc.AddTransceiverFromTrack(f,
			webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return fmt.Errorf("add track of %s: %w", streamID, err)
		}
		p.slots = append(p.slots, &slot{transceiver: transceiver, streamID: streamID, wish: number, forward: f, sender: transceiver.Sender()})
		return nil
	}
	sender, err := p.pc.AddTrack(f) // takes a free transceiver
	if err != nil {
		return fmt.Errorf("add track of %s: %w", streamID, err)
	}
	for _, s := range p.slots {
		if s.transceiver.Sender() == sender {
			*s = slot{transceiver: s.transceiver, streamID: streamID, wish: number, forward: f, sender: sender}
			return nil
		}
	}
	return fmt.Errorf("add track of %s: it went to no slot", streamID)
}

func (p *Player) ended(err error) {
	for _, s := range p.slots {
		if s.forward != nil {
			s.forward.stop()
		}
	}
	if err == nil {
		return
	}
	p.mu.Lock()
	lost := append([]string(nil), p.order...)
	p.mu.Unlock()
	for _, id := range lost {
		p.tell(id, false, err)
	}
}

func (p *Player) tell(streamID string, playing bool, err error) {
	if p.config.State != nil {
		p.config.State(streamID, playing, err)
	}
}
