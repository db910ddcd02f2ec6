package rooms

import (
	"fmt"
	"sync"
	"time"

	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
)

// playerOverlap is how long the player of a resumed session still plays, so
// that the new one can take over without a gap.
const playerOverlap = 5 * time.Second

// playback is the media side of what a login plays. Changes are decided under
// Service.mu, in order, and made outside of it, in the same order.
type playback struct {
	s       *Service
	l       *login
	changes []change // guarded by Service.mu

	turn   sync.Mutex // held while changes are made; never taken under Service.mu
	player *sfu.Player
	over   bool
}

// change binds a stream to an upstream; nil takes it out of the player.
type change struct {
	streamID string
	up       *sfu.Upstream
}

func (l *login) tellPlayer(streamID string, state signal.State, code int, why string) {
	l.notify(signal.PlayerStateUpdate, signal.StreamStateParams{StreamID: streamID, State: state, ErrorCode: code, ExtendedData: why})
}

// play changes what a login hears. The caller holds the lock, inside update.
func (s *Service) play(l *login, streamID string, up *sfu.Upstream) {
	p := l.playback
	if p == nil {
		if up == nil {
			return
		}
		p = &playback{s: s, l: l}
		l.playback = p
	}
	if len(p.changes) == 0 {
		s.later(p.make)
	}
	p.changes = append(p.changes, change{streamID, up})
}

// make carries out what was decided.
func (p *playback) make() {
	p.turn.Lock()
	defer p.turn.Unlock()
	for {
		var changes []change
		p.s.locked(func() { changes, p.changes = p.changes, nil })
		if len(changes) == 0 {
			return
		}
		if err := p.ready(); err != nil {
			p.s.log.Error("player", "user", p.l.user.UserID, "error", err)
			p.s.locked(func() { p.fail(signal.CodePlayFailed, "the media connection could not be set up") })
			return
		}
		for _, c := range changes {
			if c.up == nil {
				p.player.Stop(c.streamID)
			} else {
				p.player.Play(c.streamID, c.up)
			}
		}
	}
}

// ready makes the player at the first change.
func (p *playback) ready() error {
	if p.over {
		return fmt.Errorf("play: %w", sfu.ErrClosed)
	}
	if p.player != nil {
		return nil
	}
	player, err := p.s.cfg.Media.NewPlayer(sfu.PlayerConfig{Backlog: p.l.hidden, Offer: p.offer, State: p.state})
	if err != nil {
		return fmt.Errorf("make player: %w", err)
	}
	p.player = player
	return nil
}

// close ends the player; it runs on the worklist of what is to be closed.
func (p *playback) close() {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.over = true
	if p.player == nil {
		return
	}
	if err := p.player.Close(); err != nil {
		p.s.log.Warn("close player", "error", err)
	}
	p.player = nil
}

// fail gives up everything that the login plays; it may ask again.
func (p *playback) fail(code int, why string) {
	l := p.l
	if l.playback != p {
		return
	}
	l.playback = nil
	p.s.graves.add(p.close)
	for id, st := range l.plays {
		delete(st.players, l)
		l.tellPlayer(id, signal.NoPlay, code, why)
	}
	clear(l.plays)
}

// offer passes the player's offer on. Like state it is called by media
// goroutines.
func (p *playback) offer(sdp string, streams map[string]string) {
	p.s.guard("offer", func() {
		message := notification(signal.Offer, signal.OfferParams{SDP: sdp, Streams: streams})
		p.s.locked(func() {
			if p.l.playback == p {
				p.l.send(message)
			}
		})
	})
}

// state passes on what became of a played stream. Stops were asked for and are
// no news; an error means that the whole connection is lost.
func (p *playback) state(streamID string, playing bool, err error) {
	p.s.guard("player state", func() {
		p.s.locked(func() {
			switch {
			case p.l.playback != p:
			case playing && p.l.plays[streamID] != nil:
				p.l.tellPlayer(streamID, signal.Playing, 0, "")
			case err != nil:
				p.fail(signal.CodePlayInterrupted, "the media connection was lost; play again")
			}
		})
	})
}
