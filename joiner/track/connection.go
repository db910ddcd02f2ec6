package track

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"mixdown/joiner"
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

	mu     sync.Mutex
	closed bool           // no track is read any more
	tracks sync.WaitGroup // that are read
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

// Receive leads each track that comes to the slot that find has for it; without
// one it is not read. It is called before the first offer or answer. fail is
// given the panic of a receiver.
func (m *Connection) Receive(find func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) *Slot, fail func(error)) {
	// pion calls it on a goroutine of its own, with the first packet waiting in t.
	m.PC.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		to := find(t, r)
		if to == nil || !m.enter() {
			return
		}
		go m.serve(fail, func() { receiveReports(r, to) }) // Close waits for it
		m.serve(fail, func() { receivePackets(t, formatOf(r), m.engine.Arrival, to) })
	})
}

// enter counts the two that read a track, unless it is too late for them.
func (m *Connection) enter() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.tracks.Add(2)
	}
	return !m.closed
}

// serve reads to the end of a track.
func (m *Connection) serve(fail func(error), read func()) {
	defer m.tracks.Done()
	defer func() {
		if v := recover(); v != nil {
			fail(fmt.Errorf("%w: receiver panicked: %v\n%s", joiner.ErrPermanent, v, debug.Stack()))
		}
	}()
	read()
}

// Close ends the connection and waits for its goroutines, for pion's not for
// ever.
func (m *Connection) Close(log *slog.Logger) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	defer m.tracks.Wait()
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
