package capture

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/playout"
)

// live is the live path: what must be heard now. Its clock runs while
// somebody asks for it: a republished mix or a listener.
type live struct {
	log      *slog.Logger
	id       string // of the capture
	channels int
	settings *atomic.Pointer[settings] // the capture's
	pubs     *joiner.Publications
	push     joiner.Pusher
	clock    *clock
	mixer    *mixer.Mixer

	mu        sync.Mutex
	streams   map[string]*receiver // by stream id
	listeners int
	wanted    int         // republished mixes and listeners
	audience  func(n int) // tells those who receive that somebody listens now
	wake      chan struct{}
	relays    []*relay
	ended     []*relay  // not stopped yet
	applied   *settings // what the mixer was told last

	latency latency
}

func newLive(now *atomic.Pointer[settings], mix MixSpec, id string, c *clock, log *slog.Logger) *live {
	l := &live{
		log: log, id: id, channels: mix.Channels, settings: now, clock: c, pubs: &joiner.Publications{},
		mixer:   mixer.New(mixer.Config{Level: mix.Level}),
		streams: map[string]*receiver{}, wake: make(chan struct{}, 1), audience: func(int) {},
	}
	l.change(now.Load())
	return l
}

// change applies settings at once.
func (l *live) change(s *settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, rec := range l.streams {
		s.fade(l.mixer, id, rec.stream, true)
	}
	before := l.applied
	l.applied = s
	if l.wanted > 0 {
		s.beep(l.mixer, before, 0)
	}
	l.relay(s.Republish)
	l.need()
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
	var encoders sync.WaitGroup
	defer encoders.Wait()
	for ctx.Err() == nil {
		l.reconcile(ctx, &encoders)
		if !l.needed() {
			l.sleep(ctx)
			continue
		}
		l.audience(1)
		clocked, stop := context.WithCancel(ctx)
		var ticking sync.WaitGroup
		ticking.Go(func() { _ = l.mixer.Run(clocked) }) // ends with its context only
		for l.needed() && ctx.Err() == nil {
			l.reconcile(ctx, &encoders)
			l.sleep(ctx)
		}
		stop()
		ticking.Wait()
		l.audience(-1)
	}
}

// needed says that somebody wants the live mix.
func (l *live) needed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wanted > 0
}

// sleep waits for a change.
func (l *live) sleep(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-l.wake:
	}
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
	l.applied.fade(l.mixer, rec.stream.ID, rec.stream, true)
	l.mixer.AddInput(rec.stream.ID, p)
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

// want counts listeners.
func (l *live) want(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners += n
	l.need()
}

// need counts who needs the live mix; the first starts the inputs, the last
// ends them. The caller holds mu.
func (l *live) need() {
	before := l.wanted
	l.wanted = l.listeners + len(l.relays)
	for _, rec := range l.streams {
		switch {
		case before == 0 && l.wanted > 0:
			l.play(rec)
		case before > 0 && l.wanted == 0:
			if p := rec.live.Swap(nil); p != nil {
				p.End()
			}
		}
	}
	switch {
	case before == 0 && l.wanted > 0:
		l.applied.beep(l.mixer, nil, 0)
	case before > 0 && l.wanted == 0:
		l.mixer.RemoveInputs() // also what was left of those who are gone: it is over when the mix begins again
	}
	select {
	case l.wake <- struct{}{}:
	default:
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
