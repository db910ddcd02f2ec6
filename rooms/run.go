package rooms

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"

	"mixdown/rooms/sfu"
	"mixdown/rooms/signal"
)

const (
	tick            = 250 * time.Millisecond // of deadlines
	levelInterval   = time.Second
	countInterval   = 30 * time.Second
	expiryWarning   = 30 * time.Second
	remember        = time.Hour // what ended sessions must hear if they come back
	maxRemembered   = 10000
	farewellTimeout = 2 * time.Second
)

// Run keeps the service's time until ctx ends: deadlines, sound levels, user
// counts and the closing of media connections. Then it refuses new connections,
// closes all of them and every session, and waits for their goroutines. The
// media server is left to its owner, who closes it after that.
func (s *Service) Run(ctx context.Context) error {
	workers, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.events.run(workers, s, "media event") })
	wg.Go(func() { s.graves.run(workers, s, "media close") })

	deadlines := time.NewTicker(tick)
	defer deadlines.Stop()
	levels := time.NewTicker(levelInterval)
	defer levels.Stop()
	counts := time.NewTicker(countInterval)
	defer counts.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-deadlines.C:
			s.guard("deadlines", func() { s.update(func() { s.checkDeadlines(now) }) })
		case <-levels.C:
			s.guard("sound levels", s.sendLevels)
		case <-counts.C:
			s.guard("user counts", func() { s.update(s.sendCounts) })
		}
	}
	s.shutDown()
	stop()
	wg.Wait()
	// Closing media reports its end, which may leave something to close.
	for range 2 {
		s.events.drain(s, "media event")
		s.graves.drain(s, "media close")
	}
	return nil
}

// shutDown ends every connection and session and waits for the goroutines.
func (s *Service) shutDown() {
	s.update(func() {
		s.closed = true
		for c := range s.conns {
			c.out.end(websocket.StatusGoingAway, errEnded.Error())
		}
		for _, l := range s.sessions {
			if l.conn != nil {
				l.conn.login, l.conn = nil, nil // nobody hears of the ends
			}
		}
		for _, l := range s.sessions {
			s.end(l, signal.DeletedByServer)
		}
		for _, w := range s.wheps {
			s.closeWHEP(w)
		}
		for _, r := range s.retired {
			s.graves.add(r.playback.close)
		}
		s.retired = nil
	})
	force := time.AfterFunc(farewellTimeout, func() {
		s.locked(func() {
			for c := range s.conns {
				c.cancel(errEnded)
			}
		})
	})
	defer force.Stop()
	s.visitors.Wait()
}

// checkDeadlines ends what has been away for too long. A panic over one login
// leaves the others their turn.
func (s *Service) checkDeadlines(now time.Time) {
	for c := range s.conns {
		if c.login == nil && now.Sub(c.idle) >= s.cfg.LoginTimeout {
			c.out.end(websocket.StatusPolicyViolation, "no login")
		}
	}
	for _, l := range s.sessions {
		s.guard("deadline of a login", func() { s.checkLogin(l, now) })
	}
	for _, st := range s.streams {
		if st.deadline.IsZero() || st.owner.dropped || now.Before(st.deadline) {
			continue
		}
		s.guard("deadline of a stream", func() {
			st.tellOwner(signal.NoPublish, signal.CodePublishRetryTimeout, "the stream was not published again in time")
			s.deleteStreams(st.room(), signal.DeletedConnection, st)
			s.leaveIfIdle(st.owner)
		})
	}
	waiting := s.retired[:0]
	for _, r := range s.retired {
		if now.Before(r.at) {
			waiting = append(waiting, r)
		} else {
			s.graves.add(r.playback.close)
		}
	}
	clear(s.retired[len(waiting):])
	s.retired = waiting
	for session, e := range s.past {
		if now.Sub(e.at) > remember || len(s.past) > maxRemembered {
			delete(s.past, session)
		}
	}
}

func (s *Service) checkLogin(l *login, now time.Time) {
	if l.dropped && !now.Before(l.deadline) {
		s.log.Info("session ended", "room", l.room.id, "user", l.user.UserID, "reason", l.dropReason)
		s.end(l, l.dropReason)
		return
	}
	if l.conn != nil && !l.warned && !now.Before(l.claims.Expires.Add(-expiryWarning)) {
		l.warned = true
		l.notify(signal.TokenWillExpire, signal.RoomParams{RoomID: l.room.id})
	}
}

// sendCounts tells every login the number of users if it was told another.
func (s *Service) sendCounts() {
	for _, r := range s.rooms {
		var message []byte
		for _, l := range r.logins {
			if l.conn == nil || l.count == r.visible {
				continue
			}
			if message == nil {
				message = notification(signal.RoomOnlineUserCountUpdate, signal.UserCountParams{RoomID: r.id, Count: r.visible})
			}
			l.count = r.visible
			l.send(message)
		}
	}
}

// sendLevels measures outside the lock and sends inside it, so that nobody is
// told of a room that they left.
func (s *Service) sendLevels() {
	type measured struct {
		r   *room
		ups map[string]*sfu.Upstream
	}
	var all []measured
	s.locked(func() {
		for _, r := range s.rooms {
			if len(r.streams) == 0 {
				continue
			}
			ups := make(map[string]*sfu.Upstream, len(r.streams))
			for _, st := range r.streams {
				ups[st.id] = nil
				if !st.feed.dead {
					ups[st.id] = st.feed.up
				}
			}
			all = append(all, measured{r, ups})
		}
	})
	for _, m := range all {
		levels := make(map[string]int, len(m.ups))
		for id, up := range m.ups {
			levels[id] = level(up)
		}
		message := notification(signal.RoomSoundLevel, signal.SoundLevelParams{RoomID: m.r.id, Levels: levels})
		s.locked(func() {
			for _, l := range m.r.logins {
				l.send(message)
			}
		})
	}
}

// level is the sound level of an upstream in dBov; silence if there is none.
func level(up *sfu.Upstream) int {
	if up == nil {
		return -127
	}
	return up.Level()
}
