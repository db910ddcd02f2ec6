package native

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

// source is where peer connections come from.
type source struct {
	listen func() (net.PacketConn, error)
	net    transport.Net
	engine *peer.Engine // if there is no listen
	log    *slog.Logger
}

// media is a peer connection whose fate somebody waits for.
type media struct {
	pc      *webrtc.PeerConnection
	release func() // what it stands on
	changed chan struct{}
}

// open makes a peer connection, on a socket of its own.
func (s source) open() (*media, error) {
	if s.listen == nil {
		return newMedia(s.engine, func() {})
	}
	socket, err := s.listen()
	if err != nil {
		return nil, fmt.Errorf("open media socket: %w", err)
	}
	engine, err := peer.New(peer.Config{Conn: socket, Net: s.net, Log: s.log, SenderReports: true})
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return newMedia(engine, func() {
		_ = engine.Close()
		_ = socket.Close()
	})
}

func newMedia(engine *peer.Engine, release func()) (*media, error) {
	pc, err := engine.NewPeerConnection()
	if err != nil {
		release()
		return nil, err
	}
	m := &media{pc: pc, release: release, changed: make(chan struct{}, 1)}
	// The states are told in any order, so only that there is news counts.
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) {
		select {
		case m.changed <- struct{}{}:
		default:
		}
	})
	return m, nil
}

// watch calls up when media flows and returns why it does not any more, or
// never did. A pause in which nothing arrives is left to ICE to mend.
func (m *media) watch(ctx context.Context, up func()) error {
	reach := time.NewTimer(reachTimeout)
	defer reach.Stop()
	secure := time.NewTimer(secureTimeout)
	defer secure.Stop()
	connected := false
	for {
		switch m.pc.ConnectionState() {
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
			if s := m.pc.ICEConnectionState(); !connected && (s == webrtc.ICEConnectionStateNew || s == webrtc.ICEConnectionStateChecking) {
				return fmt.Errorf("room server's media address does not answer within %v", reachTimeout)
			}
		case <-secure.C:
			if !connected {
				return fmt.Errorf("media connection not secured within %v", secureTimeout)
			}
		}
	}
}

// close ends the connection and waits for its goroutines, but not for ever.
func (m *media) close(log *slog.Logger) {
	closed := make(chan error, 1)
	go func() {
		err := m.pc.GracefulClose()
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
