package native_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/rooms/roomstest"
)

// recorder is a Room that keeps what it hears of every stream.
type recorder struct {
	refuse bool // play nothing

	mu      sync.Mutex
	lines   []string
	streams map[string]*heard
	err     error // of the last state
	state   joiner.State
	at      map[joiner.State]time.Time // the last change to it
}

// heard is what came of one stream, over all connections.
type heard struct {
	mu      sync.Mutex
	stream  joiner.Stream
	packets []packet
	reports []report
	ended   bool
	late    int // packets after the end
}

type packet struct {
	number    int64
	sequence  uint16
	timestamp uint32
	ssrc      uint32
	marker    bool
	level     uint8
	at        time.Time
}

type report struct {
	joiner.SenderReport
	at time.Time
}

func newRecorder() *recorder {
	return &recorder{streams: make(map[string]*heard), at: make(map[joiner.State]time.Time)}
}

func (r *recorder) Event(e joiner.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case joiner.StateChanged:
		r.state, r.err = e.State, e.Err
		r.at[e.State] = time.Now()
		r.lines = append(r.lines, string(e.State))
	case joiner.UserAdded:
		r.lines = append(r.lines, "+ "+e.User.ID)
	case joiner.UserRemoved:
		r.lines = append(r.lines, "- "+e.User.ID)
	case joiner.StreamRemoved:
		r.lines = append(r.lines, fmt.Sprintf("end %s: %s", e.StreamID, e.Reason))
		if h := r.streams[e.StreamID]; h != nil {
			h.mu.Lock()
			h.ended = true
			h.mu.Unlock()
		}
	case joiner.StreamChanged:
		r.lines = append(r.lines, fmt.Sprintf("info %s: %s", e.Stream.ID, e.Stream.ExtraInfo))
	}
}

func (r *recorder) Stream(s joiner.Stream) joiner.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, "stream "+s.ID)
	if r.refuse {
		return nil
	}
	h := r.streams[s.ID]
	if h == nil {
		h = &heard{}
		r.streams[s.ID] = h
	}
	h.mu.Lock()
	h.stream, h.ended = s, false
	h.mu.Unlock()
	return h
}

func (h *heard) Packet(p *rtp.Packet, level uint8, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		h.late++
	}
	h.packets = append(h.packets, packet{roomstest.Number(p.Payload), p.SequenceNumber, p.Timestamp, p.SSRC, p.Marker, level, at})
}

func (h *heard) Report(r joiner.SenderReport, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, report{r, at})
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *recorder) of(streamID string) *heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.streams[streamID]; h != nil {
		return h
	}
	return &heard{}
}

func (r *recorder) status() (joiner.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.err
}

// received returns copies of what arrived.
func (h *heard) received() ([]packet, []report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.packets), slices.Clone(h.reports)
}

// stray is how many packets came after the end.
func (h *heard) stray() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

func (h *heard) numbers() []int64 {
	packets, _ := h.received()
	var list []int64
	for _, p := range packets {
		list = append(list, p.number)
	}
	return list
}

// missing lists the numbers of [from, to) that did not arrive.
func (h *heard) missing(from, to int64) []int64 {
	numbers := h.numbers()
	slices.Sort(numbers)
	var list []int64
	for n := from; n < to; n++ {
		if _, ok := slices.BinarySearch(numbers, n); !ok {
			list = append(list, n)
		}
	}
	return list
}

// joined is a participant that runs.
type joined struct {
	*recorder
	host *roomstest.Host
	pubs *joiner.Publications
	stop context.CancelCauseFunc
	done chan struct{}
	err  error
}

func join(t *testing.T, bed *roomstest.Bed, host *roomstest.Host, login joiner.Login) *joined {
	t.Helper()
	return joinAs(t, bed, host, login, newRecorder())
}

func joinAs(t *testing.T, bed *roomstest.Bed, host *roomstest.Host, login joiner.Login, r *recorder) *joined {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	j := &joined{recorder: r, host: host, pubs: new(joiner.Publications), stop: stop, done: make(chan struct{})}
	p := joiner.NewParticipant(host.System, login, r, j.pubs, nil, bed.Log.With("host", login.UserID))
	go func() {
		defer close(j.done)
		j.err = p.Run(ctx)
	}()
	t.Cleanup(func() {
		stop(errTestOver)
		<-j.done
	})
	return j
}

// connected waits for the login.
func (j *joined) connected(t *testing.T) *joined {
	t.Helper()
	within(t, time.Second, "login", func() bool { s, _ := j.status(); return s == joiner.Connected })
	return j
}

// leaves waits for the end of the participant and returns why it ended.
func (j *joined) leaves(t *testing.T, d time.Duration) error {
	t.Helper()
	within(t, d, "end of the participant", func() bool {
		select {
		case <-j.done:
			return true
		default:
			return false
		}
	})
	return j.err
}

var errTestOver = errors.New("test over")

// within waits until what is true, for at most d, and returns how long it took.
func within(t *testing.T, d time.Duration, what string, condition func() bool) time.Duration {
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
