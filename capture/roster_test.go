package capture_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/joiner"
)

// part lets a user go with all their streams.
func (s *stage) part(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := joiner.User{ID: user, Name: user}
	s.users = slices.DeleteFunc(s.users, func(other joiner.User) bool { return other == u })
	for id, p := range s.players {
		if p.stream.User != u {
			continue
		}
		delete(s.players, id)
		for room := range s.rooms {
			room.Event(joiner.StreamRemoved{StreamID: id, Reason: "left"})
		}
	}
	for room := range s.rooms {
		room.Event(joiner.UserRemoved{User: u})
	}
}

// TestWhoLeftMeanwhile: who goes while the recorder has no link, or is dead, has
// left; who comes back by another stream is not there twice at any time.
func TestWhoLeftMeanwhile(t *testing.T) {
	away := map[string]func(h *house, s *stage, meanwhile func()) *house{
		"without a link": func(h *house, s *stage, meanwhile func()) *house {
			s.link(false)
			meanwhile()
			s.link(true)
			return h
		},
		"dead": func(h *house, s *stage, meanwhile func()) *house {
			image := h.kill()
			meanwhile()
			return open(h.t, image, s)
		},
	}
	for name, recorder := range away {
		t.Run(name, func(t *testing.T) {
			a, b := newVoice(t, "one", 400), newVoice(t, "two", 900)
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				s.enter("one", "ann", 1)
				s.enter("bob-mic", "bob", 2)
				h := open(t, t.TempDir(), s)
				h.start("c1")
				a.speak(s, 5*time.Second)
				synctest.Wait()
				h = recorder(h, s, func() {
					time.Sleep(3 * time.Second)
					s.part("bob")
					s.leave("one")
					s.enter("two", "ann", 3)
				})
				b.speak(s, 10*time.Second)
				m := h.finish("c1")
				left := map[string]time.Time{}
				for _, s := range m.Streams {
					if leave := s.Joins[0].Leave; s.StreamID != "two" && leave != nil {
						left[s.StreamID] = leave.Time
					}
				}
				for _, s := range m.Streams {
					if s.StreamID == "two" && (left["one"].IsZero() || s.Joins[0].Join.Time.Before(left["one"])) {
						t.Errorf("ann's first stream left at %v, her second came at %v", left["one"], s.Joins[0].Join.Time)
					}
				}
				for _, u := range m.Users {
					gone := u.Joins[0].Leave != nil && time.Since(u.Joins[0].Leave.Time) > 5*time.Second // a login may take two to come back
					if len(u.Joins) != 1 || gone != (u.UserID == "bob") {
						t.Errorf("%s was there %+v", u.UserID, u.Joins)
					}
				}
				if left["bob-mic"].IsZero() || len(m.Users) != 2 || len(m.Streams) != 3 {
					t.Errorf("users %+v, streams %+v", m.Users, m.Streams)
				}
			})
		})
	}
}
