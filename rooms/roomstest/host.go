package roomstest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/native"
)

// Host is a client's machine: one link, one joiner.System for any number of
// participants.
type Host struct {
	Link   *Link
	System *native.System
	// HTTP reaches the Bed's server over the link.
	HTTP *http.Client
	// Listen opens UDP sockets on the link, each of a port of its own. They are
	// used with [Bed.Net].
	Listen func() (net.PacketConn, error)

	number  int
	mu      sync.Mutex
	streams []net.Conn
}

// Host makes a machine with a perfect link.
func (b *Bed) Host() *Host {
	b.t.Helper()
	b.mu.Lock()
	b.hosts++
	number := b.hosts + 1
	b.mu.Unlock()
	h := &Host{Link: newLink(), number: number}
	log := b.Log.With("host", strconv.Itoa(number))
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.dial(ctx, h) }}
	h.HTTP = &http.Client{Transport: transport}
	var port atomic.Int32
	h.Listen = func() (net.PacketConn, error) {
		return b.network.listen(h.address(5000+int(port.Add(1))), h.Link), nil
	}
	h.System = native.New(native.Config{
		Listen:     h.Listen,
		Net:        b.machine,
		HTTPClient: h.HTTP,
		Log:        log,
	})
	b.t.Cleanup(transport.CloseIdleConnections)
	return h
}

// Net stands for the interfaces of every machine of the Bed.
func (b *Bed) Net() transport.Net { return b.machine }

func (h *Host) address(port int) netip.AddrPort { return address(h.number, port) }

func (b *Bed) dial(ctx context.Context, h *Host) (net.Conn, error) {
	b.mu.Lock()
	s := b.server
	b.mu.Unlock()
	if s == nil {
		_, cut, _ := h.Link.stream()
		if cut {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errRefused
	}
	c, err := s.listener.dial(ctx, h.Link)
	if err == nil {
		h.mu.Lock()
		h.streams = append(h.streams, c)
		h.mu.Unlock()
	}
	return c, err
}

// drop loses what waits in the host's streams, with the streams.
func (h *Host) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.streams {
		s := c.(*stream)
		s.in.update(func() { s.in.queue, s.in.ended = nil, true })
		s.out.update(func() { s.out.queue, s.out.broken = nil, true })
	}
	h.streams = nil
}

// Speaker is a participant on a Host of its own who publishes one stream, into
// which its Voice speaks.
type Speaker struct {
	*Host
	*joinertest.Voice
	StreamID string

	end    context.CancelFunc
	ended  chan struct{}
	result error
}

// Speaker logs a user in who publishes the stream userID + "-voice". The call
// returns when the stream can be heard.
func (b *Bed) Speaker(roomID, userID string) *Speaker {
	b.t.Helper()
	return b.SpeakerOf(roomID, userID, userID+"-voice")
}

// SpeakerOf is [Bed.Speaker] with a stream ID of its own.
func (b *Bed) SpeakerOf(roomID, userID, streamID string) *Speaker {
	b.t.Helper()
	h := b.Host()
	s := &Speaker{Host: h, StreamID: streamID, ended: make(chan struct{})}
	pubs := new(joiner.Publications)
	pub := pubs.Add(s.StreamID, "", 1)
	p := joiner.NewParticipant(h.System, b.Login(roomID, userID, false), deaf{}, pubs, nil, b.Log.With("host", userID))
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	s.end = cancel
	go func() {
		defer close(s.ended)
		s.result = p.Run(ctx)
	}()
	b.t.Cleanup(s.Leave)
	for deadline := time.Now().Add(10 * time.Second); !pub.Stats().Published; {
		if time.Now().After(deadline) {
			b.t.Fatalf("speaker %s is not published: %v", userID, pub.Stats().Err)
		}
		time.Sleep(time.Millisecond)
	}
	s.Voice = joinertest.NewVoice(pub)
	return s
}

// Leave logs the speaker out and waits for it.
func (s *Speaker) Leave() {
	s.end()
	<-s.ended
}

// Ended is closed when the speaker's login is over; Err says why then.
func (s *Speaker) Ended() <-chan struct{} { return s.ended }

// Err is why the speaker's login ended.
func (s *Speaker) Err() error {
	<-s.ended
	return s.result
}

// deaf is a room of which nothing is played.
type deaf struct{}

func (deaf) Event(joiner.Event)                   {}
func (deaf) Stream(joiner.Stream) joiner.Receiver { return nil }
