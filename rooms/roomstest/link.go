package roomstest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Link is a host's line to the network. Packets and streams of both directions
// pass it; the server's own line is perfect. It is safe for concurrent use.
type Link struct {
	mu      sync.Mutex
	cut     bool
	noMedia bool
	loss    float64
	delay   time.Duration
	jitter  time.Duration
	chance  *rand.Rand
	changed chan struct{}
}

func newLink() *Link {
	return &Link{chance: rand.New(rand.NewPCG(1, 2)), changed: make(chan struct{})}
}

// Cut cuts the line or mends it. While it is cut, packets are lost, streams
// stand still, and connection attempts get no answer.
func (l *Link) Cut(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = on
	close(l.changed)
	l.changed = make(chan struct{})
}

// CutMedia cuts or mends the line for packets only: signalling goes on.
func (l *Link) CutMedia(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noMedia = on
}

// Lose loses a fraction (0 to 1) of the packets of each direction, the same
// ones for the same seed and traffic. Streams lose nothing.
func (l *Link) Lose(fraction float64, seed uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loss = fraction
	l.chance = rand.New(rand.NewPCG(seed, seed))
}

// Delay makes each direction take delay, and packets up to jitter longer by
// chance, so that they overtake each other.
func (l *Link) Delay(delay, jitter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.jitter = delay, jitter
}

// packet says what becomes of a packet.
func (l *Link) packet() (delay time.Duration, lost bool) {
	if l == nil {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut || l.noMedia || l.loss > 0 && l.chance.Float64() < l.loss {
		return 0, true
	}
	delay = l.delay
	if l.jitter > 0 {
		delay += time.Duration(l.chance.Int64N(int64(l.jitter)))
	}
	return delay, false
}

// stream says how a stream fares, and returns a channel that is closed when
// that changes.
func (l *Link) stream() (delay time.Duration, cut bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay, l.cut, l.changed
}
