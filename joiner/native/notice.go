package native

import (
	"context"
	"encoding/json"
	"fmt"

	"mixdown/joiner"
	"mixdown/rooms/signal"
)

// notice takes one notification of the server's. Those of no use here
// (counts, messages, the room's extra info) are ignored.
func (c *connection) notice(work context.Context, m signal.Message) error {
	switch m.Method {
	case signal.RoomStateUpdate:
		return take(m, func(p signal.RoomStateParams) error {
			if p.State == signal.Disconnected {
				return dismissed(p)
			}
			return nil
		})
	case signal.RoomUserUpdate:
		return take(m, func(p signal.UserUpdateParams) error {
			if p.UpdateType == signal.Delete {
				c.usersRemoved(p.UserList)
			} else {
				c.usersAdded(p.UserList)
			}
			return nil
		})
	case signal.RoomStreamUpdate:
		return take(m, func(p signal.StreamUpdateParams) error {
			if p.UpdateType == signal.Delete {
				c.streamsRemoved(p.StreamList, p.ExtendedData)
			} else {
				c.streamsAdded(p.StreamList)
			}
			return nil
		})
	case signal.StreamExtraInfoUpdate:
		return take(m, func(p signal.StreamExtraInfoParams) error {
			for _, s := range p.StreamList {
				c.room.Event(joiner.StreamChanged{Stream: stream(s)})
			}
			return nil
		})
	case signal.RoomSoundLevel:
		return take(m, func(p signal.SoundLevelParams) error {
			c.room.Event(joiner.SoundLevels{Levels: p.Levels})
			return nil
		})
	case signal.Offer:
		return take(m, func(p signal.OfferParams) error {
			c.player.offer(p)
			return nil
		})
	case signal.PublisherStateUpdate:
		return take(m, func(p signal.StreamStateParams) error {
			for pub, publisher := range c.publishers {
				if pub.StreamID() == p.StreamID {
					publisher.state(p)
				}
			}
			return nil
		})
	case signal.PlayerStateUpdate:
		return take(m, func(p signal.StreamStateParams) error {
			// The end of a stream is told by roomStreamUpdate.
			if p.State == signal.NoPlay && p.ErrorCode != 0 && p.ErrorCode != signal.CodePlayNoSuchStream {
				return fmt.Errorf("room server stopped playing %s (code %d)", p.StreamID, p.ErrorCode)
			}
			return nil
		})
	case signal.TokenWillExpire:
		if c.renewing.CompareAndSwap(false, true) {
			c.tasks.Go(func() { c.renew(work) })
		}
	}
	return nil
}

func take[P any](m signal.Message, do func(P) error) error {
	var p P
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return fmt.Errorf("room server's %s: %w", m.Method, err)
	}
	return do(p)
}

func (c *connection) usersAdded(users []signal.User) {
	for _, u := range users {
		if u.UserID != c.login.UserID {
			c.room.Event(joiner.UserAdded{User: joiner.User{ID: u.UserID, Name: u.UserName}})
		}
	}
}

func (c *connection) usersRemoved(users []signal.User) {
	for _, u := range users {
		if u.UserID != c.login.UserID {
			c.room.Event(joiner.UserRemoved{User: joiner.User{ID: u.UserID, Name: u.UserName}})
		}
	}
}

func (c *connection) streamsAdded(streams []signal.Stream) {
	var wishes []wish
	for _, s := range streams {
		// The answer to the login and the first notification tell the same.
		if s.User.UserID == c.login.UserID || c.streams[s.StreamID] {
			continue
		}
		c.streams[s.StreamID] = true
		if r := c.room.Stream(stream(s)); r != nil {
			wishes = append(wishes, wish{s.StreamID, r})
		} else {
			c.unplayed[s.StreamID] = s
		}
	}
	c.player.play(wishes)
}

// offerAgain offers what the room did not want, when it asks for that.
func (c *connection) offerAgain() {
	n := c.pubs.Offers()
	if n == c.offers {
		return
	}
	c.offers = n
	var again []signal.Stream
	for id, s := range c.unplayed {
		again = append(again, s)
		delete(c.streams, id)
	}
	clear(c.unplayed)
	c.streamsAdded(again)
}

func (c *connection) streamsRemoved(streams []signal.Stream, extendedData string) {
	reason := deletion(extendedData)
	for _, s := range streams {
		if s.User.UserID == c.login.UserID {
			continue
		}
		delete(c.streams, s.StreamID)
		delete(c.unplayed, s.StreamID)
		c.player.end(s.StreamID)
		c.room.Event(joiner.StreamRemoved{StreamID: s.StreamID, Reason: reason})
	}
}

func stream(s signal.Stream) joiner.Stream {
	return joiner.Stream{ID: s.StreamID, User: joiner.User{ID: s.User.UserID, Name: s.User.UserName}, ExtraInfo: s.ExtraInfo}
}

// deletion words the reason in a deletion's extendedData.
func deletion(extendedData string) string {
	var d struct {
		Reasons []struct {
			Code int `json:"code"`
		} `json:"stream_delete_reason"`
	}
	if json.Unmarshal([]byte(extendedData), &d) != nil || len(d.Reasons) == 0 {
		return ""
	}
	switch d.Reasons[0].Code {
	case signal.DeletedByUser:
		return "stopped by the user"
	case signal.DeletedHeartbeat:
		return "heartbeat timeout"
	case signal.DeletedRepeatedLogin:
		return "user logged in elsewhere"
	case signal.DeletedKicked:
		return "user kicked"
	case signal.DeletedConnection:
		return "connection lost"
	case signal.DeletedByServer:
		return "removed by the server"
	}
	return fmt.Sprintf("reason %d", d.Reasons[0].Code)
}
