package capture

import (
	"context"
	"sync"

	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// PCMStart says how the frames of a tap are to be read.
type PCMStart struct {
	Start    storage.Time // of sample 0: the capture's start
	Channels int          // of the mix; each frame has two
}

// tapFrames is how far a listener may fall behind: one second.
const tapFrames = 50

// ListenPCM hands the frames of what sel names to write as they are mixed,
// until the capture or ctx ends or write fails. Frame positions count from the
// capture's start on its clock and are equal or rise by 960 a frame: what a
// slow write misses shows as a jump, and is counted. Start is called first.
func (c *Capture) ListenPCM(ctx context.Context, sel Selection, start func(PCMStart) error, write func(sample int64, f *pcm.Frame) error) (dropped int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ending, func() { cancel(ErrEnded) })()
	if err := start(PCMStart{storage.At(c.clock.start), c.live.channels}); err != nil {
		return 0, err
	}
	l := c.live
	t := &tap{clock: c.clock, wake: make(chan struct{}, 1)}
	remove := l.mixer.AddOutput(&veil{to: t, output: ListenersOutput, settings: l.settings}, selection(sel.only(), sel.Except)...)
	l.want(1)
	defer l.want(-1)
	defer remove()
	var frame pcm.Frame
	for {
		pos, ok := t.take(&frame)
		if !ok {
			select {
			case <-t.wake:
			case <-ctx.Done():
				return t.missed(), context.Cause(ctx)
			}
			continue
		}
		if err := write(pos, &frame); err != nil {
			return t.missed(), err
		}
	}
}

// tap is a bounded row of frames with their positions. The mixer's clock
// writes and never waits: what does not fit is dropped and counted.
type tap struct {
	clock *clock
	wake  chan struct{}

	mu      sync.Mutex
	began   bool
	next    int64 // position of the frame that is written next
	at      [tapFrames]int64
	frames  [tapFrames]pcm.Frame
	head    int
	used    int
	dropped int64
}

// WriteFrame implements pcm.Writer.
func (t *tap) WriteFrame(f *pcm.Frame) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.began {
		t.began, t.next = true, frameAt(t.clock.now())*pcm.FrameSize
	}
	pos := t.next
	t.next += pcm.FrameSize
	if t.used == tapFrames {
		t.dropped++
		return nil
	}
	i := (t.head + t.used) % tapFrames
	t.at[i], t.frames[i] = pos, *f
	t.used++
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return nil
}

func (t *tap) take(f *pcm.Frame) (pos int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used == 0 {
		return 0, false
	}
	pos = t.at[t.head]
	*f = t.frames[t.head]
	t.head = (t.head + 1) % tapFrames
	t.used--
	return pos, true
}

func (t *tap) missed() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped
}
