package capture

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
)

// ErrNoStream is returned by Listen for a stream that is not in the capture.
var ErrNoStream = errors.New("no such stream in this capture")

// Selection says what a listener hears: everything, one stream, or everything
// but some.
type Selection struct {
	Stream string
	Except []string
}

func (s Selection) only() []string {
	if s.Stream == "" {
		return nil
	}
	return []string{s.Stream}
}

// ErrEnded is returned by Listen for a capture that has ended.
var ErrEnded = errors.New("the capture has ended")

// CanListen says why there is nothing to hear, or nil.
func (c *Capture) CanListen(sel Selection) error {
	if s := c.Status().State; s.Ended() || s == Finalizing {
		return fmt.Errorf("listen to %s: %w", c.id, ErrEnded)
	}
	return c.live.has(sel)
}

// Listen writes what sel names as never-ending Ogg Opus to w, until the
// capture or ctx ends or w fails.
func (c *Capture) Listen(ctx context.Context, sel Selection, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ending, func() { cancel(ErrEnded) })()
	return c.live.listen(ctx, sel, w)
}

func (l *live) has(sel Selection) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sel.Stream != "" && l.streams[sel.Stream] == nil {
		return fmt.Errorf("listen to %s: %w", sel.Stream, ErrNoStream)
	}
	return nil
}

// selection is what a mix hears of the streams: only some, all but some, or
// all.
func selection(only, except []string) []mixer.Option {
	opts := []mixer.Option{mixer.Levelled()}
	if len(only) > 0 {
		opts = append(opts, mixer.Only(only...))
	}
	if len(except) > 0 {
		opts = append(opts, mixer.Except(except...))
	}
	return opts
}

// listen writes what sel names as never-ending Ogg Opus until w fails or ctx
// ends.
func (l *live) listen(ctx context.Context, sel Selection, w io.Writer) error {
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: l.channels, Bitrate: 64000})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	stream, err := ogg.NewLive(w, l.channels, enc.Lookahead())
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	q := pcm.NewQueue(50)
	remove := l.mixer.AddOutput(&veil{to: q, output: ListenersOutput, settings: l.settings}, selection(sel.only(), sel.Except)...)
	l.want(1)
	defer l.want(-1)
	defer remove()
	var frame pcm.Frame
	var buf [1500]byte
	for {
		if err := q.Read(ctx, &frame); err != nil {
			return err
		}
		n, err := enc.Encode(&frame, buf[:])
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if err := stream.WritePacket(buf[:n], pcm.FrameSize); err != nil {
			return err
		}
	}
}
