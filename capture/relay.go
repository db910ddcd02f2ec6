package capture

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
)

// relay is one republished mix.
type relay struct {
	spec    RepublishSpec
	pub     *joiner.Publication
	queue   *pcm.Queue
	running bool   // only live.run looks
	stop    func() // set when it runs
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
	same := func(r RepublishSpec) func(RepublishSpec) bool {
		return func(o RepublishSpec) bool {
			return o.StreamID == r.StreamID && o.WHIP == r.WHIP && o.Token == r.Token && o.Bitrate == r.Bitrate && slices.Equal(o.Only, r.Only) && slices.Equal(o.Except, r.Except)
		}
	}
	l.relays = slices.DeleteFunc(l.relays, func(r *relay) bool {
		if slices.ContainsFunc(want, same(r.spec)) {
			return false
		}
		l.ended = append(l.ended, r)
		if r.spec.WHIP == "" {
			l.pubs.Remove(r.spec.StreamID)
		}
		return true
	})
	for _, spec := range want {
		if slices.ContainsFunc(l.relays, func(r *relay) bool { return same(spec)(r.spec) }) {
			continue
		}
		pub := joiner.NewPublication(spec.StreamID, l.channels)
		if spec.WHIP == "" {
			pub = l.pubs.Add(spec.StreamID, publishedInfo(l.id), l.channels)
		}
		l.relays = append(l.relays, &relay{spec: spec, pub: pub, queue: pcm.NewQueue(republishQueue)})
	}
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
	}
	for _, r := range relays {
		if r.running {
			continue
		}
		r.running = true
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
		if r.spec.WHIP != "" {
			wg.Go(func() {
				l.push.Push(ctx, joiner.Endpoint{StreamID: r.spec.StreamID, URL: r.spec.WHIP, Token: r.spec.Token}, r.pub)
			})
		}
	}
}

// republish encodes one mix and publishes it; packet n starts at sample
// n*960 of the stream, so its RTP time is the time of the mix.
func (l *live) republish(ctx context.Context, r *relay) error {
	enc, err := opus.NewEncoder(opus.EncoderConfig{
		Channels: l.channels, Bitrate: r.spec.Bitrate, FEC: true, LossPercent: republishLoss,
	})
	if err != nil {
		return fmt.Errorf("republish %s: %w", r.spec.StreamID, err)
	}
	var frame pcm.Frame
	var buf [1500]byte
	for pos := int64(0); ; pos += pcm.FrameSize {
		if err := r.queue.Read(ctx, &frame); err != nil {
			return err
		}
		n, err := enc.Encode(&frame, buf[:])
		if err != nil {
			return fmt.Errorf("republish %s: %w", r.spec.StreamID, err)
		}
		_ = r.pub.WritePacket(joiner.OutPacket{ // counted by the publication
			Pos: pos, Samples: pcm.FrameSize, Level: audioLevel(&frame), Payload: buf[:n],
		})
		l.latency.sent(l.oldest())
	}
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
