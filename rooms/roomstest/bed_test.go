package roomstest_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/roomstest"
)

// ear counts what it hears.
type ear struct {
	mu      sync.Mutex
	numbers []int64
	delays  []time.Duration
	state   joiner.State
	start   time.Time
}

func (e *ear) Stream(joiner.Stream) joiner.Receiver { return e }

func (e *ear) Event(event joiner.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := event.(joiner.StateChanged); ok {
		e.state = s.State
	}
}

func (e *ear) Packet(p *rtp.Packet, _ uint8, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := joinertest.Number(p.Payload)
	e.numbers = append(e.numbers, n)
	e.delays = append(e.delays, at.Sub(e.start)-time.Duration(n)*joinertest.FrameTime)
}

func (e *ear) Report(joiner.SenderReport, time.Time) {}

func listen(t *testing.T, bed *roomstest.Bed, host *roomstest.Host, e *ear) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = joiner.NewParticipant(host.System, bed.Login("r", "listener", true), e, nil, nil, bed.Log).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestDelay: a link's delay is what packets take, and jitter makes them
// overtake each other.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		ann, host := bed.Speaker("r", "ann"), bed.Host()
		e := &ear{start: time.Now()}
		listen(t, bed, host, e)
		ann.Say(time.Second)
		host.Link.Delay(30*time.Millisecond, 0)
		ann.Say(time.Second)
		host.Link.Delay(30*time.Millisecond, 60*time.Millisecond)
		ann.Say(2 * time.Second)
		time.Sleep(time.Second)

		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.numbers) != 200 {
			t.Fatalf("%d packets", len(e.numbers))
		}
		swaps := 0
		for i, n := range e.numbers {
			d := e.delays[i]
			switch {
			case n >= 100 && (d < 30*time.Millisecond || d > 91*time.Millisecond), n >= 50 && n < 100 && d != 30*time.Millisecond:
				t.Errorf("packet %d took %v", n, d)
			}
			if i > 0 && n < e.numbers[i-1] {
				swaps++
			}
		}
		if swaps < 10 {
			t.Errorf("%d packets overtook", swaps)
		}
	})
}

// TestHTTPOverLink: the server's other doors are reached over the link, and
// not while it is cut.
func TestHTTPOverLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		host := bed.Host()
		host.Link.Delay(50*time.Millisecond, 0)
		get := func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodOptions, "http://room.test/whip/r/s", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := host.HTTP.Do(request)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			_, err = io.Copy(io.Discard, answer.Body)
			return err
		}
		start := time.Now()
		if err := get(t.Context()); err != nil || time.Since(start) != 200*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err) // two for the connection, two for the request
		}
		host.HTTP.CloseIdleConnections()
		host.Link.Cut(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := get(ctx); err == nil {
			t.Error("a cut link carried a request")
		}
		time.AfterFunc(2*time.Second, func() { host.Link.Cut(false) })
		start = time.Now()
		if err := get(t.Context()); err != nil || time.Since(start) < 2200*time.Millisecond || time.Since(start) > 3200*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err) // attempts at 0, 1 and 3 s, and those of the request before
		}
	})
}
