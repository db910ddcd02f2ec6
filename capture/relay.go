package capture

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
)

// relay is one republished mix as it is asked for now.
type relay struct {
	spec    RepublishSpec
	*air    // of the mix, through all changes of what is in it
	queue   *pcm.Queue
	running bool   // only live.run looks
	stop    func() // set when it runs
}

// air is the stream that carries a republished mix. It goes on, and its RTP time
// with it, when another encoder takes over.
type air struct {
	pub   *joiner.Publication
	turn  chan struct{} // held by whoever writes packets, and what follows
	began time.Time     // when sample 0 was mixed
	next  int64         // sample of the next packet

	pushing context.CancelFunc // only live.run looks; nil while it is not sent elsewhere
	over    atomic.Bool        // it ends with its relay
}

// republishQueue is how far an encoder may fall behind the clock before its
// frames become silence.
const republishQueue = 10

// republishLoss is the loss, in percent, that a republished mix is armed
// against. Up to 5 libopus takes its word for FEC and makes CELT packets, which
// have none; the copies of speech cost a room 1 % of a core.
const republishLoss = 10

// relay brings the republished mixes in line with the settings, but for
// starting them, which run does. The caller holds mu.
func (l *live) relay(want []RepublishSpec) {
	before := l.relays
	l.relays = nil
	for _, spec := range want {
		r := &relay{spec: spec, queue: pcm.NewQueue(republishQueue)}
		for _, old := range before {
			switch {
			case spec.equals(old.spec):
				r = old
			case spec.sameStream(old.spec):
				r.air = old.air
			}
		}
		l.relays = append(l.relays, r)
	}
	for _, old := range before {
		if slices.Contains(l.relays, old) {
			continue
		}
		l.ended = append(l.ended, old)
		if !slices.ContainsFunc(l.relays, func(r *relay) bool { return r.air == old.air }) {
			old.over.Store(true)
			if old.spec.WHIP == "" {
				l.pubs.Remove(old.spec.StreamID)
			}
		}
	}
	for _, r := range l.relays {
		if r.air == nil { // after the removals: another stream may have had its name
			r.air = l.newAir(r.spec)
		}
	}
}

func (l *live) newAir(spec RepublishSpec) *air {
	pub := joiner.NewPublication(spec.StreamID, spec.Channels)
	if spec.WHIP == "" {
		pub = l.pubs.Add(spec.StreamID, publishedInfo(l.id), spec.Channels)
	}
	return &air{pub: pub, turn: make(chan struct{}, 1)}
}

// sameStream says that r is carried by the stream that carried o: who plays a
// stream was told its number of channels.
func (r RepublishSpec) sameStream(o RepublishSpec) bool {
	return o.StreamID == r.StreamID && o.WHIP == r.WHIP && o.Token == r.Token && o.Channels == r.Channels
}

func (r RepublishSpec) equals(o RepublishSpec) bool {
	return r.sameStream(o) && o.Bitrate == r.Bitrate && slices.Equal(o.Only, r.Only) && slices.Equal(o.Except, r.Except)
}

// reconcile starts and ends the encoders of the republished mixes.
func (l *live) reconcile(ctx context.Context, wg *sync.WaitGroup) {
	l.mu.Lock()
	relays, ended := slices.Clone(l.relays), l.ended
	l.ended = nil
	l.mu.Unlock()
	for _, r := range ended {
		if r.running {
			r.stop()
		}
		if r.over.Load() && r.pushing != nil {
			r.pushing()
		}
	}
	for _, r := range relays {
		if r.running {
			continue
		}
		r.running = true
		if r.spec.WHIP != "" && r.pushing == nil {
			var pushed context.Context
			pushed, r.pushing = context.WithCancel(ctx)
			wg.Go(func() {
				l.push.Push(pushed, joiner.Endpoint{StreamID: r.spec.StreamID, URL: r.spec.WHIP, Token: r.spec.Token}, r.pub)
			})
		}
		ctx, cancel := context.WithCancel(ctx)
		remove := l.mixer.AddOutput(&veil{to: r.queue, output: r.spec.StreamID, settings: l.settings}, selection(r.spec.Only, r.spec.Except)...)
		r.stop = func() {
			remove()
			cancel()
		}
		wg.Go(func() {
			defer r.queue.Close()
			if err := l.republish(ctx, r); ctx.Err() == nil {
				l.log.Error("republishing ended", "stream", r.spec.StreamID, "err", err)
			}
			cancel()
		})
	}
}

// republish encodes one mix and publishes it. Its RTP time is the time of the mix:
// after another encoder's packets it goes on by the clock.
func (l *live) republish(ctx context.Context, r *relay) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	enc, err := opus.NewEncoder(opus.EncoderConfig{
		Channels: r.spec.Channels, Bitrate: r.spec.Bitrate, FEC: true, LossPercent: republishLoss,
	})
	if err != nil {
		return fmt.Errorf("republish %s: %w", r.spec.StreamID, err)
	}
	var frame pcm.Frame
	var buf [1500]byte
	for first := true; ; first = false {
		if err := r.queue.Read(ctx, &frame); err != nil {
			return err
		}
		if first {
			r.reach(time.Now())
		}
		n, err := enc.Encode(&frame, buf[:])
		if err != nil {
			return fmt.Errorf("republish %s: %w", r.spec.StreamID, err)
		}
		_ = r.pub.WritePacket(joiner.OutPacket{ // counted by the publication
			Pos: r.next, Samples: pcm.FrameSize, Level: audioLevel(&frame), Payload: buf[:n],
		})
		r.next += pcm.FrameSize
		l.latency.sent(l.oldest())
	}
}

// reach begins the stream, or takes it to where it is at an instant: what
// nobody encoded between two encoders is no time that did not pass.
func (a *air) reach(now time.Time) {
	if a.began.IsZero() {
		a.began = now
	}
	frames := (now.Sub(a.began) + pcm.FrameTime/2) / pcm.FrameTime
	a.next = max(a.next, int64(frames)*pcm.FrameSize)
}

// audioLevel is the level of a frame as RFC 6464 wants it.
//
//go:norace
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
