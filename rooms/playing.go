package rooms

import (
	"mixdown/rooms/signal"
)

func (c *connection) startPlaying(q *request) error {
	p, err := decode[signal.StreamsParams](q)
	if err != nil {
		return err
	}
	if f := c.checkStreamIDs(p.StreamIDs); f != nil {
		return f
	}
	return c.withLogin("", func(l *login) error {
		var found []*stream
		var missing []string
		asked := map[string]bool{}
		for _, id := range p.StreamIDs {
			st := c.s.streams[id]
			switch {
			case asked[id] || l.plays[id] != nil:
			case st == nil || st.room() != l.room:
				missing = append(missing, id)
			default:
				found = append(found, st)
			}
			asked[id] = true
		}
		if len(found)+len(missing) == 0 {
			return fault(signal.CodeAlreadyPlaying, "you are playing all of these streams already")
		}
		if len(l.plays)+len(found) > c.s.cfg.MaxPlaying {
			return fault(signal.CodeInvalidParams, "a login plays at most %d streams", c.s.cfg.MaxPlaying)
		}
		q.reply(empty{})
		for _, id := range missing {
			l.tellPlayer(id, signal.NoPlay, signal.CodePlayNoSuchStream, "there is no such stream in the room")
		}
		for _, st := range found {
			l.plays[st.id] = st
			l.most = max(l.most, len(l.plays))
			st.players[l] = struct{}{}
			c.s.play(l, st.id, st.feed.up)
		}
		return nil
	})
}

func (st *stream) room() *room { return st.owner.room }

func (c *connection) stopPlaying(q *request) error {
	p, err := decode[signal.StreamsParams](q)
	if err != nil {
		return err
	}
	if f := c.checkStreamIDs(p.StreamIDs); f != nil {
		return f
	}
	return c.withLogin("", func(l *login) error {
		q.reply(empty{})
		for _, id := range p.StreamIDs {
			st := l.plays[id]
			if st == nil {
				continue
			}
			delete(l.plays, id)
			delete(st.players, l)
			l.tellPlayer(id, signal.NoPlay, 0, "")
			c.s.play(l, id, nil)
		}
		return nil
	})
}

func (c *connection) checkStreamIDs(ids []string) *signal.Error {
	if len(ids) == 0 {
		return fault(signal.CodeInvalidParams, "streamIDs is empty")
	}
	if len(ids) > c.s.cfg.MaxPlaying { // an answer each, for which others wait
		return fault(signal.CodeInvalidParams, "streamIDs has %d entries; a login plays at most %d streams", len(ids), c.s.cfg.MaxPlaying)
	}
	for _, id := range ids {
		if f := checkStreamID(id); f != nil {
			return f
		}
	}
	return nil
}

// answer takes the client's answer to the latest offer.
func (c *connection) answer(q *request) error {
	p, err := decode[signal.SDP](q)
	if err != nil {
		return err
	}
	var playback *playback
	err = c.withLogin("", func(l *login) error {
		playback = l.playback
		return nil
	})
	if err != nil {
		return err
	}
	if p.SDP == "" {
		return fault(signal.CodePlayBadSDP, "sdp is empty")
	}
	if playback == nil {
		return fault(signal.CodePlayBadSDP, "there was no offer")
	}
	if err := playback.accept(p.SDP); err != nil {
		return mediaFault(err, signal.CodePlayBadSDP, signal.CodePlayFailed)
	}
	q.reply(empty{})
	return nil
}

func (p *playback) accept(sdp string) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.player == nil {
		return errGone
	}
	return p.player.Answer(sdp)
}
