package mixer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
)

func TestRunKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mixer.New(mixer.Config{})
		start := time.Now()
		var n time.Duration
		m.AddOutput(writer(func(*pcm.Frame) error {
			if at := time.Since(start); at != n*pcm.FrameTime {
				t.Errorf("frame %d mixed at %v", n, at)
			}
			n++
			return nil
		}))
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Minute+time.Millisecond, func() { cancel(why) })
		if err := m.Run(ctx); !errors.Is(err, why) {
			t.Errorf("Run: %v, want the cause", err)
		}
		if n != 30001 {
			t.Errorf("%d frames in ten minutes, want 30001", n)
		}
		if s := m.Stats(); s.Frames != 30001 || s.Late != 0 || s.Lateness != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// After a stall the missing frames come at once, and the clock is where it was.
func TestRunCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mixer.New(mixer.Config{})
		start := time.Now()
		var at []time.Duration
		m.AddOutput(writer(func(*pcm.Frame) error {
			at = append(at, time.Since(start))
			if len(at) == 11 {
				time.Sleep(507 * time.Millisecond)
			}
			return nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second-1, cancel)
		if err := m.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if len(at) != 100 {
			t.Fatalf("%d frames in two seconds, want 100", len(at))
		}
		for n, got := range at {
			want := time.Duration(n) * pcm.FrameTime
			if n > 10 {
				want = max(want, 10*pcm.FrameTime+507*time.Millisecond)
			}
			if got != want {
				t.Errorf("frame %d at %v, want %v", n, got, want)
			}
		}
		// Frames 11 to 34 were due at 220 ms to 680 ms and came at 707 ms.
		if s := m.Stats(); s.Late != 24 || s.Lateness != 487*time.Millisecond {
			t.Errorf("stats %+v, want 24 late, the worst by 487ms", s)
		}
	})
}

// A mixer that cannot keep up still ends when it is told to.
func TestRunStopsWhileBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mixer.New(mixer.Config{})
		m.AddOutput(writer(func(*pcm.Frame) error { time.Sleep(time.Second); return nil }))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mixer.New(mixer.Config{Level: -23})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- m.Run(ctx) }()
		speak := func(f *pcm.Frame) error { *f = pcm.Frame{{0.5, 0.5}}; return nil }
		for range 500 {
			m.AddInput("alice", reader(speak))
			remove := m.AddOutput(writer(func(*pcm.Frame) error { return nil }), mixer.Except("alice"))
			removeDual := m.AddOutput(writer(func(*pcm.Frame) error { return nil }), mixer.Levelled(), mixer.Dual(func(string) mixer.Side { return mixer.Left }))
			m.SetGain("alice", -3)
			m.SetSolo("bob", true)
			time.Sleep(7 * time.Millisecond)
			m.Levels(nil)
			m.Speakers(nil)
			m.Spurts(nil)
			m.Snapshot()
			m.Stats()
			m.RemoveInput("alice")
			remove()
			removeDual()
		}
		cancel()
		<-ran
	})
}
