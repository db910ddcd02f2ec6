package roomstest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// listener accepts streams from hosts, like a TCP listener.
type listener struct {
	mu     sync.Mutex
	queue  chan net.Conn
	closed chan struct{}
}

func newListener() *listener {
	return &listener{queue: make(chan net.Conn), closed: make(chan struct{})}
}

var errRefused = errors.New("connection refused")

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

// dial opens a stream over a link. An attempt that gets no answer is repeated
// after 1, 3 and 7 s, as Linux does.
func (l *listener) dial(ctx context.Context, link *Link) (net.Conn, error) {
	for wait := time.Second; ; wait *= 2 {
		delay, cut, _ := link.stream()
		if !cut {
			if err := sleep(ctx, 2*delay); err != nil {
				return nil, err
			}
			client, server := newStream(link)
			select {
			case l.queue <- server:
				return client, nil
			case <-l.closed:
				return nil, errRefused
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// half is one direction of a stream. What is written waits in it, as long as
// the link is cut, too.
type half struct {
	link *Link

	mu       sync.Mutex
	queue    []chunk
	ended    bool      // by the writer
	broken   bool      // by the reader
	deadline time.Time // for reading
	wake     chan struct{}
}

type chunk struct {
	due  time.Time
	data []byte
}

func (h *half) change() {
	close(h.wake)
	h.wake = make(chan struct{})
}

func (h *half) write(b []byte) (int, error) {
	delay, cut, _ := h.link.stream()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return 0, net.ErrClosed
	case h.broken && cut:
		return len(b), nil // nobody can tell
	case h.broken:
		return 0, errors.New("broken pipe")
	}
	h.queue = append(h.queue, chunk{time.Now().Add(delay), append([]byte(nil), b...)})
	h.change()
	return len(b), nil
}

func (h *half) read(b []byte) (int, error) {
	for {
		_, cut, changed := h.link.stream()
		h.mu.Lock()
		now := time.Now()
		switch {
		case h.broken:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case !h.deadline.IsZero() && !now.Before(h.deadline):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case !cut && len(h.queue) > 0 && !h.queue[0].due.After(now):
			n := copy(b, h.queue[0].data)
			if h.queue[0].data = h.queue[0].data[n:]; len(h.queue[0].data) == 0 {
				h.queue = h.queue[1:]
			}
			h.mu.Unlock()
			return n, nil
		case !cut && len(h.queue) == 0 && h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		until := h.deadline
		if !cut && len(h.queue) > 0 && (until.IsZero() || h.queue[0].due.Before(until)) {
			until = h.queue[0].due
		}
		wake := h.wake
		h.mu.Unlock()
		await(wake, changed, until)
	}
}

func (h *half) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.change()
}

// stream is one end of a connection.
type stream struct{ in, out *half }

func newStream(link *Link) (client, server *stream) {
	up := &half{link: link, wake: make(chan struct{})}
	down := &half{link: link, wake: make(chan struct{})}
	return &stream{in: down, out: up}, &stream{in: up, out: down}
}

func (s *stream) Read(b []byte) (int, error)  { return s.in.read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.out.write(b) }

func (s *stream) Close() error {
	s.in.update(func() { s.in.broken = true })
	s.out.update(func() { s.out.ended = true })
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)} }
func (s *stream) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)} }

func (s *stream) SetReadDeadline(t time.Time) error {
	s.in.update(func() { s.in.deadline = t })
	return nil
}

func (s *stream) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
