package joinertest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"mixdown/joiner"
)

// Recorder is a participant that runs, with an Ear as its room. It ends with
// the test.
type Recorder struct {
	*Ear
	Pubs *joiner.Publications
	Stop context.CancelCauseFunc

	done chan struct{}
	err  error
}

var errTestOver = errors.New("test over")

// Join lets a participant run. log may be nil.
func Join(t testing.TB, system joiner.System, login joiner.Login, ear *Ear, log *slog.Logger) *Recorder {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	r := &Recorder{Ear: ear, Pubs: new(joiner.Publications), Stop: stop, done: make(chan struct{})}
	p := joiner.NewParticipant(system, login, ear, r.Pubs, nil, log)
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	t.Cleanup(func() {
		stop(errTestOver)
		<-r.done
	})
	return r
}

// Ended says whether the participant has ended.
func (r *Recorder) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Leaves waits for the end of the participant and returns why it ended.
func (r *Recorder) Leaves(t testing.TB, d time.Duration) error {
	t.Helper()
	Within(t, d, "end of the participant", r.Ended)
	return r.err
}

// Connected waits for the login.
func (r *Recorder) Connected(t testing.TB, d time.Duration) {
	t.Helper()
	Within(t, d, "login", func() bool { s, _ := r.State(); return s == joiner.Connected })
}

// Within waits until something is true, for at most d, and returns how long it
// took.
func Within(t testing.TB, d time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > d {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}
