package capture_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/joiner"
)

// bomb is a room system with a fault in it.
type bomb struct {
	*stage
	explode func(ctx context.Context, room joiner.Room)
}

func (b *bomb) Connect(ctx context.Context, login joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	b.explode(ctx, room)
	return b.stage.Connect(ctx, login, room, pubs)
}

// TestPanic: a fault that panics ends the capture that it is in, whose status
// says so, and no other.
func TestPanic(t *testing.T) {
	v := newVoice(t, "a-mic", 400)
	for _, test := range []struct {
		name    string
		state   capture.State
		explode func(ctx context.Context, room joiner.Room)
		url     func() string
	}{
		{name: "room system", state: capture.Failed, explode: func(context.Context, joiner.Room) { panic("system") }},
		{name: "packet", state: capture.Interrupted, explode: func(ctx context.Context, room joiner.Room) {
			r := room.Stream(joiner.Stream{ID: "x", User: joiner.User{ID: "x"}})
			go r.Packet(nil, 0, time.Now()) // as from a goroutine of the connection's
		}},
		{name: "the capture itself", state: capture.Interrupted, url: func() string { panic("url") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				s.enter("a-mic", "ann", 1)
				var armed atomic.Bool
				var asked atomic.Int64 // first by the check of the spec, which is not the capture's
				h := open(t, t.TempDir(), s, func(c *capture.Config) {
					c.Systems["bomb"] = &bomb{s, test.explode}
					c.URL = func(capture.RoomSpec) (string, error) {
						if armed.Load() && test.url != nil && asked.Add(1) > 1 {
							return test.url(), nil
						}
						return "ws://stage/ws", nil
					}
				})
				good := h.start("good")
				var talking sync.WaitGroup
				talking.Go(func() { v.speak(s, 20*time.Second) })
				time.Sleep(5 * time.Second)
				armed.Store(true)
				bad := h.start("bad", func(s *capture.Spec) {
					if test.explode != nil {
						s.Room.System = "bomb"
					}
				})
				time.Sleep(5 * time.Second)
				if st := bad.Status(); st.State != test.state || !strings.Contains(st.Reason, "panic") {
					t.Errorf("the broken capture is %s: %q", st.State, st.Reason)
				}
				if err := bad.Stop(t.Context()); err != nil && !(test.state == capture.Interrupted && errors.Is(err, capture.ErrInterrupted)) {
					t.Errorf("stop the broken capture: %v", err)
				}
				talking.Wait()
				if err := good.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				mix, start := h.listen(h.recording("good"), "mix-wav")
				near(t, "ann in the good capture", heard(mix, start, 400), [][2]int64{{0, 20000}}, 20)
			})
		})
	}
}
