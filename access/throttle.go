package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxDenials  = 20 // wrong keys in a row from one address
	denialPause = time.Minute
	maxWatched  = 10000 // addresses
)

// Throttle slows down whoever tries keys: after twenty wrong ones from an
// address it is told to wait before more are looked at. IPv6 addresses count by
// their /64. Loopback is exempt: a proxy may stand there, behind which
// everybody has one address.
type Throttle struct {
	mu  sync.Mutex
	all map[netip.Prefix]*denials
}

type denials struct {
	n     int
	until time.Time // of the pause
	last  time.Time
}

func network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// Wait is how long an address has to wait before it may try again; 0 is now.
func (t *Throttle) Wait(a netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.all[network(a)]
	if d == nil {
		return 0
	}
	return max(0, time.Until(d.until))
}

// Denied counts a wrong key.
func (t *Throttle) Denied(a netip.Addr) {
	if a.Unmap().IsLoopback() {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[netip.Prefix]*denials{}
	}
	p := network(a)
	d := t.all[p]
	if d == nil {
		if len(t.all) >= maxWatched {
			t.forget(now)
		}
		d = &denials{}
		t.all[p] = d
	}
	if now.Sub(d.last) > denialPause {
		d.n = 0
	}
	d.n, d.last = d.n+1, now
	if d.n >= maxDenials {
		d.until = now.Add(denialPause)
		d.n = 0
	}
}

// forget makes room: first of those who have been quiet, else of all.
func (t *Throttle) forget(now time.Time) {
	for p, d := range t.all {
		if now.Sub(d.last) > denialPause && now.After(d.until) {
			delete(t.all, p)
		}
	}
	if len(t.all) >= maxWatched {
		clear(t.all)
	}
}

// Allowed forgets the wrong keys of an address that has shown a right one.
func (t *Throttle) Allowed(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, network(a))
}
