package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// ErrNoStream is returned by Listen for a stream that is not in the capture.
var ErrNoStream = errors.New("no such stream in this capture")

// live is the live path: what must be heard now. Its clock runs while
// somebody asks for it: a republished mix or a listener.
type live struct {
	log   *slog.Logger
	spec  Spec
	pubs  *joiner.Publications
	clock clock
	mixer *mixer.Mixer

	mu      sync.Mutex
	streams map[string]*receiver // by stream id
	wanted  int                  // republished mixes and listeners
	wake    chan struct{}
	queues  []*pcm.Queue // of the republished mixes

	latency latency
}

// republishQueue is how far an encoder may fall behind the clock before its
// frames become silence.
const republishQueue = 10

// republishLoss is the loss, in percent, that a republished mix is armed
// against. Up to 5 libopus takes its word for FEC and makes CELT packets, which
// have none; the copies of speech cost a room 1 % of a core.
const republishLoss = 10

func newLive(spec Spec, id string, c clock, log *slog.Logger) *live {
	l := &live{
		log: log, spec: spec, clock: c, pubs: &joiner.Publications{}, mixer: mixer.New(mixer.Config{Level: spec.Mix.Level}),
		streams: map[string]*receiver{}, wake: make(chan struct{}, 1), wanted: len(spec.Republish),
	}
	for _, r := range spec.Republish {
		l.pubs.Add(r.StreamID, publishedInfo(id), spec.Mix.Channels)
		l.queues = append(l.queues, pcm.NewQueue(republishQueue))
	}
	return l
}

// publishedInfo is the extra info of a stream that a capture publishes.
func publishedInfo(captureID string) string {
	b, _ := json.Marshal(map[string]string{"mixdown": "mix", "capture": captureID}) // two strings
	return string(b)
}

// IsMix says that the extra info of a stream is that of the mix of a capture,
// ours or another's.
func IsMix(extraInfo string) bool {
	var info struct {
		Mixdown string `json:"mixdown"`
	}
	return json.Unmarshal([]byte(extraInfo), &info) == nil && info.Mixdown == "mix"
}

// run drives the live mix until ctx ends; it waits for its encoders.
func (l *live) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, r := range l.spec.Republish {
		q := l.queues[i]
		l.mixer.AddOutput(q, selection(r.Only, r.Except)...)
		pub := l.pubs.List()[i]
		wg.Go(func() {
			defer q.Close()
			if err := l.republish(ctx, q, pub, r); ctx.Err() == nil {
				l.log.Error("republishing ended", "stream", r.StreamID, "err", err)
			}
		})
	}
	for ctx.Err() == nil {
		l.mu.Lock()
		wanted := l.wanted > 0
		l.mu.Unlock()
		if !wanted {
			select {
			case <-ctx.Done():
			case <-l.wake:
			}
			continue
		}
		clocked, stop := context.WithCancel(ctx)
		var ticking sync.WaitGroup
		ticking.Go(func() { _ = l.mixer.Run(clocked) }) // ends with its context only
		l.untilIdle(ctx)
		stop()
		ticking.Wait()
	}
}

// untilIdle waits until nobody wants the live mix.
func (l *live) untilIdle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		l.mu.Lock()
		idle := l.wanted == 0
		l.mu.Unlock()
		if idle {
			return
		}
	}
}

// republish encodes one mix and publishes it; packet n starts at sample
// n*960 of the stream, so its RTP time is the time of the mix.
func (l *live) republish(ctx context.Context, q *pcm.Queue, pub *joiner.Publication, r RepublishSpec) error {
	enc, err := opus.NewEncoder(opus.EncoderConfig{
		Channels: l.spec.Mix.Channels, Bitrate: r.Bitrate, FEC: true, LossPercent: republishLoss,
	})
	if err != nil {
		return fmt.Errorf("republish %s: %w", r.StreamID, err)
	}
	var frame pcm.Frame
	var buf [1500]byte
	for pos := int64(0); ; pos += pcm.FrameSize {
		if err := q.Read(ctx, &frame); err != nil {
			return err
		}
		n, err := enc.Encode(&frame, buf[:])
		if err != nil {
			return fmt.Errorf("republish %s: %w", r.StreamID, err)
		}
		_ = pub.WritePacket(joiner.OutPacket{ // counted by the publication
			Pos: pos, Samples: pcm.FrameSize, Level: audioLevel(&frame), Payload: buf[:n],
		})
		l.latency.sent(l.oldest())
	}
}

// audioLevel is the level of a frame as RFC 6464 wants it.
func audioLevel(f *pcm.Frame) uint8 {
	var sum float64
	for _, s := range f {
		m := float64(s[0]+s[1]) / 2
		sum += m * m
	}
	if sum == 0 {
		return 127
	}
	return uint8(min(127, max(0, -10*math.Log10(sum/pcm.FrameSize))))
}

// addStream brings a stream into the live mix if there is one.
func (l *live) addStream(rec *receiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[rec.stream.ID] = rec
	if l.wanted > 0 {
		l.play(rec)
	}
}

func (l *live) play(rec *receiver) {
	p := playout.NewLive(playout.LiveConfig{Red: joiner.Red})
	id := rec.stream.ID
	l.mixer.SetGain(id, l.spec.Mix.gain(id, rec.stream.User.ID))
	l.mixer.AddInput(id, p)
	rec.live.Store(p)
}

func (l *live) removeStream(rec *receiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[rec.stream.ID] != rec {
		return
	}
	delete(l.streams, rec.stream.ID)
	if p := rec.live.Swap(nil); p != nil {
		p.End()
	}
}

// want counts who needs the live mix; the first starts the inputs, the last
// ends them.
func (l *live) want(n int) {
	l.mu.Lock()
	before := l.wanted
	l.wanted += n
	for _, rec := range l.streams {
		switch {
		case before == 0 && l.wanted > 0:
			l.play(rec)
		case l.wanted == 0:
			if p := rec.live.Swap(nil); p != nil {
				p.End()
			}
			l.mixer.RemoveInput(rec.stream.ID)
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Selection says what a listener hears: everything, one stream, or everything
// but some.
type Selection struct {
	Stream string
	Except []string
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
	var only []string
	if sel.Stream != "" {
		only = []string{sel.Stream}
	}
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: l.spec.Mix.Channels, Bitrate: 64000})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	stream, err := ogg.NewLive(w, l.spec.Mix.Channels, enc.Lookahead())
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	q := pcm.NewQueue(50)
	remove := l.mixer.AddOutput(q, selection(only, sel.Except)...)
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

// oldest is the arrival of the packet that came longest ago among those that
// began to sound in the last frame; zero if none did.
func (l *live) oldest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := time.Duration(math.MaxInt64)
	for _, rec := range l.streams {
		if p := rec.live.Load(); p != nil {
			if at, ok := p.Playing(); ok {
				oldest = min(oldest, at)
			}
		}
	}
	if oldest == math.MaxInt64 {
		return 0
	}
	return max(0, l.clock.now()-oldest)
}
