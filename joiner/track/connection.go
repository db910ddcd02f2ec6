package track

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"mixdown/rooms/peer"
)

const (
	// ICE tries for 1.4 s and then gives up silently; DTLS repeats lost
	// messages after 1, 3 and 7 s.
	reachTimeout  = 2 * time.Second
	secureTimeout = 10 * time.Second
	closeTimeout  = time.Second
)

// Source is where peer connections come from: Listen opens the UDP socket of
// one, on Net; without Listen, Engine makes them.
type Source struct {
	Listen func() (net.PacketConn, error)
	Net    transport.Net
	Engine *peer.Engine
	Log    *slog.Logger
}

// Connection is a peer connection whose fate somebody waits for.
type Connection struct {
	PC      *webrtc.PeerConnection
	engine  *peer.Engine
	release func() // what it stands on
	changed chan struct{}
}

// Open makes a peer connection, on a socket of its own.
func (s Source) Open() (*Connection, error) {
	if s.Listen == nil {
		return newConnection(s.Engine, func() {})
	}
	socket, err := s.Listen()
	if err != nil {
		return nil, fmt.Errorf("open media socket: %w", err)
	}
	engine, err := peer.New(peer.Config{Conn: socket, Net: s.Net, Log: s.Log, SenderReports: true})
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return newConnection(engine, func() {
		_ = engine.Close()
		_ = socket.Close()
	})
}

func newConnection(engine *peer.Engine, release func()) (*Connection, error) {
	pc, err := engine.NewPeerConnection()
	if err != nil {
		release()
		return nil, err
	}
	m := &Connection{PC: pc, engine: engine, release: release, changed: make(chan struct{}, 1)}
	// The states are told in any order, so only that there is news counts.
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) {
		select {
		case m.changed <- struct{}{}:
		default:
		}
	})
	return m, nil
}

// Watch calls up when media flows and returns why it does not any more, or
// never did. A pause in which nothing arrives is left to ICE to mend.
func (m *Connection) Watch(ctx context.Context, up func()) error {
	reach := time.NewTimer(reachTimeout)
	defer reach.Stop()
	secure := time.NewTimer(secureTimeout)
	defer secure.Stop()
	connected := false
	for {
		switch m.PC.ConnectionState() {
		case webrtc.PeerConnectionStateConnected:
			if !connected {
				connected = true
				up()
			}
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			return errors.New("media connection lost")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.changed:
		case <-reach.C:
			if s := m.PC.ICEConnectionState(); !connected && (s == webrtc.ICEConnectionStateNew || s == webrtc.ICEConnectionStateChecking) {
				return fmt.Errorf("room server's media address does not answer within %v", reachTimeout)
			}
		case <-secure.C:
			if !connected {
				return fmt.Errorf("media connection not secured within %v", secureTimeout)
			}
		}
	}
}

// Close ends the connection and waits for its goroutines, but not for ever.
func (m *Connection) Close(log *slog.Logger) {
	closed := make(chan error, 1)
	go func() {
		err := m.PC.GracefulClose()
		m.release()
		closed <- err
	}()
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	select {
	case err := <-closed:
		if err != nil {
			log.Debug("close media connection", "err", err)
		}
	case <-late.C:
		log.Warn("media connection is slow to close")
	}
}
