package sfu

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// life is one peer connection from its making to its end. Whatever goes wrong
// ends this connection and no other.
//
// One goroutine, run, waits for its end, closes the connection, waits for the
// media goroutines started with media, and only then lets go.
type life struct {
	server *Server
	pc     *webrtc.PeerConnection
	wake   chan struct{} // the connection state changed, or the owner poked

	once   sync.Once
	ending chan struct{}
	err    error // why, valid once ending is closed

	mu       sync.Mutex
	closed   bool
	patience *time.Timer // ends what never connects
	wg       sync.WaitGroup

	stood atomic.Bool // was connected once
}

// connectTime is how long a connection may take to be made: ICE-lite itself
// waits for ever.
const connectTime = 35 * time.Second

// newLife makes a connection. It lives once run has been started.
func (s *Server) newLife() (*life, error) {
	pc, err := s.engine.NewPeerConnection()
	if err != nil {
		return nil, err
	}
	l := &life{server: s, pc: pc, wake: make(chan struct{}, 1), ending: make(chan struct{})}
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { l.poke() })
	return l, nil
}

// start runs the life until its end: step is called at every poke, ended once
// at the end. The Server's Close waits for it.
func (l *life) start(step func(), ended func(err error)) error {
	s := l.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("SFU: %w", ErrClosed)
	}
	s.lives[l] = struct{}{}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		l.run(step)
		s.mu.Lock()
		delete(s.lives, l)
		s.mu.Unlock()
		ended(l.err)
	}()
	return nil
}

func (l *life) run(step func()) {
	defer func() {
		l.mu.Lock()
		l.closed = true
		if l.patience != nil {
			l.patience.Stop()
		}
		l.mu.Unlock()
		if err := l.pc.GracefulClose(); err != nil {
			l.server.log.Debug("close peer connection", "error", err)
		}
		l.wg.Wait()
	}()
	defer l.guard()
	for {
		select {
		case <-l.ending:
			return
		case <-l.wake:
		}
		switch l.pc.ConnectionState() {
		case webrtc.PeerConnectionStateFailed:
			l.end(ErrTimeout)
			return
		case webrtc.PeerConnectionStateClosed:
			l.end(ErrHangup)
			return
		case webrtc.PeerConnectionStateConnected:
			l.stood.Store(true)
		}
		step()
	}
}

// expect gives the other end, who has all it needs, time to connect.
func (l *life) expect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.patience != nil {
		return
	}
	l.patience = time.AfterFunc(connectTime, func() {
		if !l.stood.Load() {
			l.end(ErrTimeout)
		}
	})
}

// media runs f in a goroutine that the end of the connection waits for. An
// error of f ends the connection.
func (l *life) media(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		defer l.guard()
		if err := f(); err != nil {
			l.end(err)
		}
	}()
}

// guard turns a panic into the end of this connection.
func (l *life) guard() {
	if r := recover(); r != nil {
		l.server.log.Error("media connection panicked", "panic", r, "stack", string(debug.Stack()))
		l.end(fmt.Errorf("internal error: %v", r))
	}
}

func (l *life) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// end begins the end of the connection; the first reason counts. It does not
// wait, so that it may be called under locks that callbacks need.
func (l *life) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.ending)
	})
}

// abandon closes a connection that was never started.
func (l *life) abandon() { _ = l.pc.GracefulClose() }

// answer takes an offer and makes the complete answer.
func (l *life) answer(ctx context.Context, offer string) (string, error) {
	if err := l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	answer, err := l.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	return l.describe(ctx, answer)
}

// describe applies a local description and returns it with all candidates.
func (l *life) describe(ctx context.Context, d webrtc.SessionDescription) (string, error) {
	if ctx.Err() != nil {
		return "", fmt.Errorf("gather candidates: %w", context.Cause(ctx))
	}
	gathered := webrtc.GatheringCompletePromise(l.pc)
	if err := l.pc.SetLocalDescription(d); err != nil {
		return "", fmt.Errorf("apply local description: %w", err)
	}
	select {
	case <-gathered:
	case <-l.ending:
		return "", fmt.Errorf("gather candidates: %w", ErrClosed)
	case <-ctx.Done():
		return "", fmt.Errorf("gather candidates: %w", context.Cause(ctx))
	}
	return l.pc.LocalDescription().SDP, nil
}
