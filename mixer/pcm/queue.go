package pcm

import (
	"context"
	"io"
	"sync"
)

// Queue is the one boundary between a clock, which must never wait, and a
// writer that may: an encoder, a disk, a network. The clock writes, one other
// goroutine reads.
//
// It keeps the time whatever happens. A frame that finds the queue full is
// dropped and counted, but its place is kept: the reader gets 20 ms of silence
// there. Behind the queue, frame n is still frame n.
type Queue struct {
	wake chan struct{} // holds one token after a write or Close that the reader has not seen

	mu      sync.Mutex
	slots   []slot
	head    int // the oldest slot in use
	used    int
	tail    int64 // frames dropped behind the newest slot
	waiting int64 // frames not yet read, silent ones included
	dropped int64
	closed  bool
}

// slot is one kept frame and the number of frames dropped right before it.
type slot struct {
	gap   int64
	frame Frame
}

// NewQueue makes a queue that holds at least one frame, at most frames.
func NewQueue(frames int) *Queue {
	return &Queue{wake: make(chan struct{}, 1), slots: make([]slot, max(frames, 1))}
}

// WriteFrame puts a copy of f at the end. It never blocks, and a full queue is
// no error. After Close it returns io.ErrClosedPipe.
func (q *Queue) WriteFrame(f *Frame) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return io.ErrClosedPipe
	}
	q.waiting++
	if q.used == len(q.slots) {
		q.tail++
		q.dropped++
		return nil
	}
	s := &q.slots[(q.head+q.used)%len(q.slots)]
	s.gap, q.tail = q.tail, 0
	s.frame = *f
	q.used++
	q.notify()
	return nil
}

// Read takes the oldest frame, waiting for it if need be. It returns io.EOF
// when the queue is closed and empty, and the cause of ctx when that ends
// first; frames that are there go before a context that has ended.
func (q *Queue) Read(ctx context.Context, f *Frame) error {
	for {
		ok, err := q.TryRead(f)
		if ok || err != nil {
			return err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// TryRead takes the oldest frame if there is one: true, nil. Otherwise it
// leaves f alone and returns false with nil, or with io.EOF when the queue is
// closed and empty.
func (q *Queue) TryRead(f *Frame) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		if q.closed {
			return false, io.EOF
		}
		return false, nil
	}
	q.waiting--
	gap := &q.tail
	if q.used > 0 {
		gap = &q.slots[q.head].gap
	}
	if *gap > 0 {
		*gap--
		*f = Frame{}
		return true, nil
	}
	*f = q.slots[q.head].frame
	q.head = (q.head + 1) % len(q.slots)
	q.used--
	return true, nil
}

// Close ends the writing. What is in the queue can still be read. It is
// harmless to repeat, and either side may call it.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.notify()
}

// Dropped is the number of frames that became silence so far.
func (q *Queue) Dropped() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Len is the number of frames that can be read without waiting, the silent
// ones of a full queue included.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.waiting)
}

func (q *Queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
