// Package whep joins rooms that are lists of addresses: each stream is played
// from a media server of its own by WHEP (draft-ietf-wish-whep). The other way
// round it publishes a stream to a media server by WHIP (RFC 9725).
//
// In the line it stands behind [joiner.System] and [joiner.Pusher]; package
// capture calls it. Each stream has a session of its own and is a user of its
// own. A server that says that a stream is not there (404, 409) is asked again
// and again: the stream comes when it is live and ends when it is not. A session
// that is lost is made anew. Only when no server is reached at all is the login
// lost, as it is in a room whose server is down; [joiner.Participant] decides
// about that, and about the end when no server takes its token.
//
// It promises what package joiner/track does about packets, that a dead server
// is noticed within 8 s and never delays another stream, that the addresses
// that servers name pass the same guard as their URLs, and that no error or log
// line shows a token or a path. It knows no trickle ICE, no ICE servers (Link)
// and no ICE restart: a new session is as quick.
package whep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pion/transport/v5"

	"mixdown/joiner"
	"mixdown/joiner/track"
	"mixdown/netguard"
	"mixdown/rooms/peer"
)

// Config is what a System is built on.
type Config struct {
	// Engine makes the peer connections, with sockets of their own. Tests give
	// Listen and Net instead.
	Engine *peer.Engine
	Listen func() (net.PacketConn, error)
	Net    transport.Net
	// Guard decides which addresses may be reached, by HTTP and by media; nil
	// lets everything through.
	Guard *netguard.Guard
	// Transport is for HTTP; nil is the Guard's.
	Transport http.RoundTripper
	// Log gets what happens to sessions; nil is silence.
	Log *slog.Logger
}

// System is the joiner.System of WHEP, and the joiner.Pusher of WHIP. It serves
// any number of participants at once.
type System struct {
	source track.Source
	client *client
	log    *slog.Logger
}

var _ joiner.System = (*System)(nil)

// New returns a System. It starts nothing.
func New(c Config) *System {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil && c.Guard != nil {
		c.Transport = c.Guard.Transport()
	}
	return &System{
		source: track.Source{Listen: c.Listen, Net: c.Net, Engine: c.Engine, Log: c.Log},
		client: newClient(c.Transport, c.Guard, c.Log),
		log:    c.Log,
	}
}

// answersDue is how long the first answers of slow servers are waited for when
// others have answered: those are told when they come.
const answersDue = 3 * time.Second

var errNoRoom = errors.New("a room of WHEP streams takes none; give it a whip address")

// login serves the streams of one Connect.
type login struct {
	s    *System
	room joiner.Room
	pubs *joiner.Publications
	log  *slog.Logger
	end  context.CancelCauseFunc

	mu      sync.Mutex // held while room is called, too
	streams []*stream
	changed chan struct{} // a stream was answered
}

// Connect implements joiner.System. login.URL and login.Token mean nothing.
func (s *System) Connect(ctx context.Context, l joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	if len(l.Streams) == 0 {
		return fmt.Errorf("%w: the room has no streams", joiner.ErrPermanent)
	}
	if pubs == nil {
		pubs = new(joiner.Publications)
	}
	work, end := context.WithCancelCause(ctx)
	c := &login{s: s, room: room, pubs: pubs, log: s.log.With("room", l.RoomID), end: end, changed: make(chan struct{}, 1)}
	var running sync.WaitGroup
	defer running.Wait()
	defer end(nil)
	for _, e := range l.Streams {
		c.streams = append(c.streams, &stream{c: c, at: e, log: c.log.With("stream", e.StreamID)})
	}
	for _, st := range c.streams {
		running.Go(func() { st.run(work) })
	}
	if c.answered(work) {
		c.up()
	}
	for {
		changed := pubs.Changed()
		for _, p := range pubs.List() {
			p.Detach(errNoRoom)
		}
		select {
		case <-work.Done():
			return context.Cause(work)
		case <-changed:
		}
	}
}

// answered waits until every server has said something, or at least one when
// the others take long; false: the login is over.
func (c *login) answered(ctx context.Context) bool {
	due := time.NewTimer(answersDue)
	defer due.Stop()
	late := false
	for {
		asking := c.count(asking)
		if asking == 0 || late && asking < len(c.streams) {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-c.changed:
		case <-due.C:
			late = true
		}
	}
}

// up tells that the login is done, and what was played before and is not now.
func (c *login) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var there joiner.Present
	for _, st := range c.streams {
		if st.told {
			there.Users = append(there.Users, st.user().ID)
			there.Streams = append(there.Streams, st.at.StreamID)
		}
	}
	c.room.Event(there)
	c.room.Event(joiner.StateChanged{State: joiner.Connected})
}

func (c *login) count(s state) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.countLocked(s)
}

func (c *login) countLocked(s state) (n int) {
	for _, st := range c.streams {
		if st.state == s {
			n++
		}
	}
	return n
}
