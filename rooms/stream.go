package rooms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
)

// stream is what a user publishes. It outlives its media by the resume window:
// a new media connection of the same user takes its place, and nobody else
// notices. Guarded by Service.mu.
type stream struct {
	id        string
	extraInfo string
	owner     *login
	since     time.Time
	players   map[*login]struct{}
	wheps     map[*whepSession]struct{}
	whip      string // the WHIP session that publishes it

	feed      *feed     // that players hear
	next      *feed     // that will replace feed once it is connected
	renewable bool      // the owner may publish it again
	deadline  time.Time // when it is deleted unless published again; zero if it is well
	ended     bool
	reason    int // of its deletion
}

// feed is one media connection that carries, or carried, a stream.
type feed struct {
	up        *sfu.Upstream
	stream    *stream // nil until the stream exists
	connected bool
	dead      bool
}

func (st *stream) describe() signal.Stream {
	return signal.Stream{StreamID: st.id, User: st.owner.user, ExtraInfo: st.extraInfo}
}

func (st *stream) tellOwner(state signal.State, code int, why string) {
	st.owner.notify(signal.PublisherStateUpdate, signal.StreamStateParams{
		StreamID: st.id, State: state, ErrorCode: code, ExtendedData: why})
}

func (c *connection) startPublishing(ctx context.Context, q *request) error {
	p, err := decode[signal.PublishParams](q)
	if err != nil {
		return err
	}
	l, err := c.current("")
	if err != nil {
		return err
	}
	return asError(c.s.publish(ctx, l, p, func(answer string) { q.reply(signal.SDP{SDP: answer}) }))
}

// publish sets up the media of a stream, new or published again, and calls
// reply with the answer, under the lock, before anybody learns of the stream.
func (s *Service) publish(ctx context.Context, l *login, p signal.PublishParams, reply func(answer string)) (f *signal.Error) {
	if f := checkStreamID(p.StreamID); f != nil {
		return f
	}
	if f := checkExtraInfo(p.ExtraInfo); f != nil {
		return f
	}
	if p.SDP == "" {
		return fault(signal.CodePublishBadSDP, "sdp is empty")
	}
	s.locked(func() { f = s.claim(l, p.StreamID) })
	if f != nil {
		return f
	}
	fd := &feed{}
	answer, up, err := s.media(ctx, fd, p.SDP)
	fd.up = up
	s.update(func() {
		if s.claims[p.StreamID] == l {
			delete(s.claims, p.StreamID)
		}
		switch {
		case err != nil:
			f = mediaFault(err, signal.CodePublishBadSDP, signal.CodePublishMediaFailed)
		case l.ended:
			f = fault(signal.CodeNotLoggedIn, "the login ended meanwhile")
		case fd.dead:
			f = fault(signal.CodePublishMediaFailed, "the media connection ended at once")
		default:
			reply(answer)
			s.commit(l, fd, p)
			return
		}
		if up != nil {
			s.bury(fd)
		}
	})
	return f
}

func mediaFault(err error, bad, failed int) *signal.Error {
	if errors.Is(err, sfu.ErrBadSDP) {
		return fault(bad, "%v", err)
	}
	return fault(failed, "the media connection could not be set up")
}

// claim checks that the login may publish the stream now and reserves its ID.
func (s *Service) claim(l *login, id string) *signal.Error {
	if l.ended {
		return fault(signal.CodeNotLoggedIn, "log in to a room first")
	}
	if !l.claims.MayPublish(id) {
		return fault(signal.CodePublishAuthFailed, "the token does not allow to publish this stream")
	}
	st, claimant := s.streams[id], s.claims[id]
	renewal := st != nil && st.owner == l && st.renewable && claimant == nil
	switch {
	case renewal:
		// It runs already, so an expired token does not stop it.
	case claimant == l || st != nil && st.owner == l:
		return fault(signal.CodeAlreadyPublishing, "you are publishing this stream already")
	case claimant != nil || st != nil:
		return fault(signal.CodeDuplicateStream, "another user is publishing a stream of this streamID")
	case !time.Now().Before(l.claims.Expires):
		return fault(signal.CodeTokenExpired, "the token has expired; renew it first")
	case len(l.streams)+s.claimed(l) >= s.cfg.MaxStreamsPerUser:
		return fault(signal.CodePublishForbidden, "a user publishes at most %d streams", s.cfg.MaxStreamsPerUser)
	}
	s.claims[id] = l
	return nil
}

// claimed counts the streams that a login is about to publish, besides those
// that it publishes and is about to renew.
func (s *Service) claimed(l *login) (n int) {
	for id, claimant := range s.claims {
		if claimant == l && l.streams[id] == nil {
			n++
		}
	}
	return n
}

// media makes the media connection. What it reports comes from media goroutines
// and is handed to Run's.
func (s *Service) media(ctx context.Context, fd *feed, offer string) (string, *sfu.Upstream, error) {
	answer, up, err := s.cfg.Media.Publish(ctx, offer, sfu.UpstreamEvents{
		Connected: func() { s.events.add(func() { s.update(func() { s.feedConnected(fd) }) }) },
		Closed:    func(err error) { s.events.add(func() { s.update(func() { s.feedClosed(fd, err) }) }) },
	})
	if err != nil {
		return "", nil, fmt.Errorf("publish: %w", err)
	}
	return answer, up, nil
}

// commit makes the stream, or gives an existing one its new feed.
func (s *Service) commit(l *login, fd *feed, p signal.PublishParams) {
	st := s.streams[p.StreamID]
	if st == nil {
		st = &stream{
			id: p.StreamID, extraInfo: p.ExtraInfo, owner: l, since: time.Now(), feed: fd,
			players: map[*login]struct{}{}, wheps: map[*whepSession]struct{}{},
		}
		fd.stream = st
		s.streams[st.id], l.streams[st.id] = st, st
		l.room.streams = append(l.room.streams, st)
		l.room.tell(l, signal.RoomStreamUpdate, signal.StreamUpdateParams{
			RoomID: l.room.id, UpdateType: signal.Add, StreamList: []signal.Stream{st.describe()}})
		s.watch(StreamAdded, l, st)
		s.log.Info("stream added", "room", l.room.id, "user", l.user.UserID, "stream", st.id)
		return
	}
	fd.stream = st
	st.deadline = time.Time{}
	if st.next != nil {
		s.bury(st.next)
	}
	st.next = fd
	if st.feed.dead || fd.connected {
		s.promote(st)
	}
	if st.extraInfo != p.ExtraInfo {
		st.setExtraInfo(p.ExtraInfo)
	}
}

// promote lets the players hear the stream's new feed.
func (s *Service) promote(st *stream) {
	old := st.feed
	st.feed, st.next = st.next, nil
	for l := range st.players {
		s.play(l, st.id, st.feed.up)
	}
	for w := range st.wheps {
		s.closeWHEP(w) // it hears one feed only
	}
	s.bury(old)
}

// bury closes a feed's media connection soon.
func (s *Service) bury(fd *feed) {
	fd.stream = nil
	up := fd.up
	s.graves.add(func() {
		if err := up.Close(); err != nil {
			s.log.Warn("close upstream", "error", err)
		}
	})
}

func (s *Service) feedConnected(fd *feed) {
	fd.connected = true
	st := fd.stream
	if st == nil {
		return
	}
	if st.next == fd {
		s.promote(st)
	}
	st.renewable = false
	st.tellOwner(signal.Publishing, 0, "")
}

func (s *Service) feedClosed(fd *feed, err error) {
	fd.dead = true
	st := fd.stream
	if st == nil {
		return
	}
	if st.next == fd {
		s.bury(fd)
		st.next = nil
		if !st.feed.dead {
			return // the connection it was to replace still works
		}
	}
	if st.next != nil {
		return // its successor is on the way
	}
	st.renewable = true
	st.deadline = time.Now().Add(s.cfg.ResumeWindow)
	s.log.Info("stream interrupted", "stream", st.id, "user", st.owner.user.UserID, "error", err)
	st.tellOwner(signal.PublishRequesting, signal.CodePublishMediaFailed, "the media connection was lost; publish again")
}

// deleteStreams ends streams of one owner and tells everybody concerned.
func (s *Service) deleteStreams(r *room, reason int, list ...*stream) {
	if len(list) == 0 {
		return
	}
	described := make([]signal.Stream, len(list))
	reasons := make([]int, len(list))
	for i, st := range list {
		described[i], reasons[i] = st.describe(), reason
		st.ended, st.reason = true, reason
		delete(s.streams, st.id)
		delete(st.owner.streams, st.id)
		if j := slices.Index(r.streams, st); j >= 0 {
			r.streams = slices.Delete(r.streams, j, j+1)
		}
		s.watch(StreamRemoved, st.owner, st)
		s.log.Info("stream deleted", "room", r.id, "user", st.owner.user.UserID, "stream", st.id, "reason", reason)
	}
	r.tell(list[0].owner, signal.RoomStreamUpdate, signal.StreamUpdateParams{
		RoomID: r.id, UpdateType: signal.Delete, StreamList: described, ExtendedData: deleteReasons(reasons...)})
	for _, st := range list {
		for l := range st.players {
			delete(l.plays, st.id)
			s.play(l, st.id, nil)
			l.tellPlayer(st.id, signal.NoPlay, signal.CodePlayNoSuchStream, "the stream has ended")
		}
		for w := range st.wheps {
			s.closeWHEP(w)
		}
		delete(s.whips, st.whip)
		s.bury(st.feed)
		if st.next != nil {
			s.bury(st.next)
		}
	}
}

// own is a stream that the login publishes.
func (l *login) own(id string) (*stream, error) {
	if f := checkStreamID(id); f != nil {
		return nil, f
	}
	if st := l.streams[id]; st != nil {
		return st, nil
	}
	return nil, fault(signal.CodeNotPublishing, "you are not publishing this stream")
}

func (c *connection) stopPublishing(q *request) error {
	p, err := decode[signal.StreamParams](q)
	if err != nil {
		return err
	}
	return c.withLogin("", func(l *login) error {
		st, err := l.own(p.StreamID)
		if err != nil {
			return err
		}
		q.reply(empty{})
		c.s.deleteStreams(l.room, signal.DeletedByUser, st)
		st.tellOwner(signal.NoPublish, 0, "")
		return nil
	})
}

func (c *connection) setStreamExtraInfo(q *request) error {
	p, err := decode[signal.StreamParams](q)
	if err != nil {
		return err
	}
	return c.withLogin("", func(l *login) error {
		st, err := l.own(p.StreamID)
		if err != nil {
			return err
		}
		if f := checkExtraInfo(p.ExtraInfo); f != nil {
			return f
		}
		q.reply(empty{})
		st.setExtraInfo(p.ExtraInfo)
		return nil
	})
}

func (st *stream) setExtraInfo(text string) {
	st.extraInfo = text
	r := st.owner.room
	r.tell(st.owner, signal.StreamExtraInfoUpdate, signal.StreamExtraInfoParams{
		RoomID: r.id, StreamList: []signal.Stream{st.describe()}})
}
