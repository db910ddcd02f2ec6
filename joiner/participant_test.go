package joiner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
)

// script is a System whose connections follow a script, one function each.
type script []func(ctx context.Context, room joiner.Room) error

type scripted struct {
	connections script
	at          []time.Duration // of each Connect since start
	start       time.Time
}

func (s *scripted) Connect(ctx context.Context, _ joiner.Login, room joiner.Room, _ *joiner.Publications) error {
	n := len(s.at)
	s.at = append(s.at, time.Since(s.start))
	if n >= len(s.connections) {
		return fmt.Errorf("%w: the script is over", joiner.ErrPermanent)
	}
	return s.connections[n](ctx, room)
}

// diary is a Room that writes down what it is told.
type diary struct {
	lines    []string
	receiver *sink
	on       func(line string)
}

type sink struct{}

func (*sink) Packet(*rtp.Packet, uint8, time.Time)  {}
func (*sink) Report(joiner.SenderReport, time.Time) {}
func (d *diary) write(format string, args ...any)   { d.add(fmt.Sprintf(format, args...)) }
func (d *diary) Stream(s joiner.Stream) joiner.Receiver {
	d.write("stream %s of %s", s.ID, s.User.ID)
	return d.receiver
}
func up(room joiner.Room)                { room.Event(joiner.StateChanged{State: joiner.Connected}) }
func user(id string) joiner.User         { return joiner.User{ID: id, Name: "the " + id} }
func added(id string) joiner.Event       { return joiner.UserAdded{User: user(id)} }
func stream(id, by string) joiner.Stream { return joiner.Stream{ID: id, User: user(by)} }
func lost(s string) func(context.Context, joiner.Room) error {
	return func(context.Context, joiner.Room) error { return errors.New(s) }
}

func (d *diary) add(line string) {
	d.lines = append(d.lines, line)
	if d.on != nil {
		d.on(line)
	}
}

func (d *diary) Event(e joiner.Event) {
	switch e := e.(type) {
	case joiner.StateChanged:
		line := string(e.State)
		if e.Err != nil {
			line, _, _ = strings.Cut(line+": "+e.Err.Error(), "\n")
		}
		d.add(line)
	case joiner.UserAdded:
		d.write("+ %s", e.User.ID)
	case joiner.UserRemoved:
		d.write("- %s", e.User.ID)
	case joiner.StreamRemoved:
		d.write("end %s: %s", e.StreamID, e.Reason)
	case joiner.StreamChanged:
		d.write("info %s: %s", e.Stream.ID, e.Stream.ExtraInfo)
	}
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.lines, want) {
		t.Errorf("told:\n  %s\nwant:\n  %s", strings.Join(d.lines, "\n  "), strings.Join(want, "\n  "))
	}
}

func run(ctx context.Context, d *diary, backoff func(int) time.Duration, connections ...func(context.Context, joiner.Room) error) (*scripted, error) {
	s := &scripted{connections: connections, start: time.Now()}
	p := joiner.NewParticipant(s, joiner.Login{RoomID: "r", UserID: "me"}, d, nil, backoff, slog.New(slog.DiscardHandler))
	return s, p.Run(ctx)
}

func TestParticipantReconciles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{receiver: new(sink)}
		_, err := run(t.Context(), d, nil,
			func(_ context.Context, room joiner.Room) error {
				room.Event(added("ann"))
				room.Event(added("bob"))
				room.Stream(stream("a", "ann"))
				room.Stream(stream("b", "bob"))
				up(room)
				room.Event(joiner.UserRemoved{User: user("nobody")})
				room.Event(joiner.StreamRemoved{StreamID: "nothing"})
				return errors.New("cut")
			},
			lost("still cut"),
			func(_ context.Context, room joiner.Room) error {
				room.Event(joiner.Present{Users: []string{"bob", "cat"}, Streams: []string{"b"}})
				room.Event(added("bob"))
				room.Event(added("cat"))
				if room.Stream(stream("b", "bob")) != d.receiver {
					t.Error("the receiver was lost on the way")
				}
				up(room)
				room.Event(joiner.StreamChanged{Stream: stream("b", "bob")})
				room.Event(joiner.StreamChanged{Stream: joiner.Stream{ID: "b", User: user("bob"), ExtraInfo: "loud"}})
				room.Stream(stream("b", "cat")) // taken over
				return nil
			},
		)
		if !errors.Is(err, joiner.ErrPermanent) {
			t.Errorf("error %v", err)
		}
		d.expect(t,
			"CONNECTING",
			"+ ann", "+ bob", "stream a of ann", "stream b of bob",
			"CONNECTED",
			"CONNECTING: cut",
			"CONNECTING: still cut",
			"end a: gone while disconnected", "- ann",
			"+ cat", "stream b of bob",
			"CONNECTED",
			"info b: loud",
			"end b: published by another user", "stream b of cat",
			"CONNECTING: connection ended",
			"DISCONNECTED: permanent: the script is over",
		)
	})
}

// TestParticipantBackoff: the waits grow with each failure and begin anew
// after a connection that lasted.
func TestParticipantBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backoff := func(attempt int) time.Duration { return time.Duration(attempt+1) * time.Second }
		lasted := func(d time.Duration) func(context.Context, joiner.Room) error {
			return func(_ context.Context, room joiner.Room) error {
				up(room)
				time.Sleep(d)
				return errors.New("cut")
			}
		}
		s, _ := run(t.Context(), new(diary), backoff, lost("1"), lost("2"), lasted(time.Minute), lost("3"), lasted(time.Second), lost("4"))
		want := []time.Duration{0, 1, 3, 64, 66, 70, 74}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(s.at, want) {
			t.Errorf("connected at %v, want %v", s.at, want)
		}
	})
}

func TestDefaultBackoff(t *testing.T) {
	for attempt, top := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000, 2000} {
		top *= time.Millisecond
		for range 100 {
			if d := joiner.Backoff(attempt); d > top || d < top/2 {
				t.Fatalf("attempt %d: %v", attempt, d)
			}
		}
	}
	if d := joiner.Backoff(1 << 30); d > 2*time.Second || d < time.Second {
		t.Errorf("attempt 2^30: %v", d)
	}
}

func TestParticipantLogsOut(t *testing.T) {
	enough := errors.New("enough")
	stay := func(ctx context.Context, room joiner.Room) error {
		up(room)
		<-ctx.Done()
		time.Sleep(time.Second) // logging out
		return context.Cause(ctx)
	}
	for name, connections := range map[string]script{
		"while connected":     {stay},
		"while it waits":      {lost("cut")},
		"after being stalled": {lost("cut"), lost("cut"), stay},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(59*time.Second, func() { cancel(enough) })
				d := new(diary)
				start := time.Now()
				_, err := run(ctx, d, func(int) time.Duration { return 20 * time.Second }, append(connections, stay)...)
				if !errors.Is(err, enough) || errors.Is(err, joiner.ErrPermanent) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); took > 60*time.Second {
					t.Errorf("it took %v", took)
				}
				if last := d.lines[len(d.lines)-1]; last != "DISCONNECTED: enough" {
					t.Errorf("last told %q", last)
				}
			})
		})
	}
}

// TestParticipantPanics: a panic of the room's or the system's ends the
// participant, not the program, and the room hears of nothing afterwards.
func TestParticipantPanics(t *testing.T) {
	stay := func(ctx context.Context, room joiner.Room) error {
		room.Event(added("ann"))
		room.Stream(stream("a", "ann"))
		up(room)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for _, at := range []string{"CONNECTING", "+ ann", "stream a of ann", "CONNECTED"} {
		t.Run("room at "+at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{on: func(line string) {
					if line == at {
						panic("the room is on fire")
					}
				}}
				_, err := run(t.Context(), d, nil, stay)
				if !errors.Is(err, joiner.ErrPermanent) || !strings.Contains(err.Error(), "on fire") {
					t.Errorf("error %v", err)
				}
				if last := d.lines[len(d.lines)-1]; last != at {
					t.Errorf("told %q after the panic", last)
				}
			})
		})
	}
	t.Run("system", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := new(diary)
			_, err := run(t.Context(), d, nil, func(context.Context, joiner.Room) error { panic("the wire is on fire") })
			if !errors.Is(err, joiner.ErrPermanent) || !strings.Contains(err.Error(), "on fire") {
				t.Errorf("error %v", err)
			}
			d.expect(t, "CONNECTING", "DISCONNECTED: permanent: room system panicked: the wire is on fire")
		})
	})
}
