// Package sfu forwards audio: what one login publishes goes, packet by
// packet, to every login that plays it.
//
// It is the media half of the embedded room service. Package rooms calls it
// and carries the session descriptions; rooms/peer says how it speaks WebRTC.
// One PeerConnection is made for each published stream ([Server.Publish]), one
// for everything that a login plays ([Server.NewPlayer]), one for each WHEP
// session ([Server.Whep]), all through one UDP socket.
//
// It promises that a packet leaves as it came: sequence number, time stamp,
// marker, payload and audio level are the publisher's own, only SSRC, payload
// type and extension ids are the player's, and who cannot take redundant audio
// gets packets without; that it leaves the moment it
// arrives, late retransmissions too; that the publisher's sender reports come
// through with its own clock; and that losses are repaired on both legs apart.
// A player that asks for it gets a young stream from its first packet on.
//
// It decodes nothing, mixes nothing, knows no rooms and no rights.
package sfu

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/pion/transport/v5"

	"mixdown/rooms/peer"
)

// ErrBadSDP is wrapped by the errors of [Server.Publish], [Server.Whep] and
// [Player.Answer] when the other end's session description is refused.
var ErrBadSDP = errors.New("bad session description")

// ErrClosed is wrapped by what is asked of a closed [Server] or [Player].
var ErrClosed = errors.New("closed")

// ErrHangup tells that the other end closed the connection.
var ErrHangup = errors.New("the other end closed the connection")

// ErrTimeout tells that nothing came from the other end for so long (about
// 35 s) that the connection was given up.
var ErrTimeout = errors.New("connection timed out")

// Config is what a [Server] stands on.
type Config struct {
	// Conn is the UDP socket for all media. The Server reads it until Close
	// and leaves it open.
	Conn net.PacketConn
	// Net is the network behind Conn; nil is the machine's, tests pass a vnet.
	Net transport.Net
	// Log gets broken connections; nil is silence.
	Log *slog.Logger
}

// Server forwards audio. It is safe for concurrent use.
type Server struct {
	engine *peer.Engine
	addr   net.Addr
	log    *slog.Logger

	mu     sync.Mutex
	closed bool
	lives  map[*life]struct{}
	wg     sync.WaitGroup
}

// New makes a Server: ICE-lite, every connection through c.Conn. It owns
// goroutines, which Close ends.
func New(c Config) (*Server, error) {
	if c.Conn == nil {
		return nil, errors.New("new SFU: no UDP socket")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	engine, err := peer.New(peer.Config{Conn: c.Conn, Net: c.Net, Lite: true, Log: c.Log, OwnResends: true})
	if err != nil {
		return nil, fmt.Errorf("new SFU: %w", err)
	}
	return &Server{engine: engine, addr: c.Conn.LocalAddr(), log: c.Log, lives: make(map[*life]struct{})}, nil
}

// Addr is the address of the UDP socket.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends every connection and waits for all goroutines and callbacks. It
// must not be called from a callback.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for l := range s.lives {
		l.end(nil)
	}
	s.mu.Unlock()
	s.wg.Wait()
	if err := s.engine.Close(); err != nil {
		return fmt.Errorf("close SFU: %w", err)
	}
	return nil
}
