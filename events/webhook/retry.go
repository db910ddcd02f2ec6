package webhook

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

const (
	maxAtOnce = 4 // requests to one endpoint

	firstPause   = time.Second // between the attempts of one event
	longestPause = 15 * time.Minute

	// downAfter is after how many failures in a row an endpoint counts as
	// down. It then gets one request at a time, at most one in longestProbe,
	// and everything at once when it takes one.
	downAfter    = 5
	longestProbe = time.Minute
)

// due gives up what is too old, and picks the lanes whose first event is to be
// tried now; they are busy then. wait is when to look again at the latest.
func (h *hook) due() (due []string, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	free := maxAtOnce
	if h.failures >= downAfter {
		free = 1
	}
	var ready []string
	for capture, l := range h.state.Lanes {
		if l.busy {
			free--
			continue
		}
		for len(l.Items) > 0 && !now.Before(l.Items[0].Until) {
			h.giveUpLocked(l, "72 h have passed")
		}
		switch {
		case len(l.Items) == 0:
			delete(h.state.Lanes, capture)
		case !l.next.After(now):
			ready = append(ready, capture)
			wait = min(wait, l.Items[0].Until.Sub(now))
		default:
			wait = min(wait, l.next.Sub(now), l.Items[0].Until.Sub(now))
		}
	}
	if h.def.Disabled || len(ready) == 0 || free <= 0 {
		return nil, wait
	}
	if now.Before(h.notUntil) {
		return nil, min(wait, h.notUntil.Sub(now))
	}
	slices.SortFunc(ready, func(a, b string) int {
		x, y := h.state.Lanes[a], h.state.Lanes[b]
		if (x.Attempts == 0) != (y.Attempts == 0) { // an event that was never refused tells more of the endpoint
			return min(x.Attempts, 1) - min(y.Attempts, 1)
		}
		return int(int64(x.Items[0].Seq) - int64(y.Items[0].Seq))
	})
	due = ready[:min(free, len(ready))]
	for _, capture := range due {
		h.state.Lanes[capture].busy = true
	}
	return due, wait
}

// failedLocked decides when to try again.
func (h *hook) failedLocked(l *lane, a Attempt) {
	now := time.Now()
	l.Attempts++
	l.LastError = a.Error
	h.failures++
	h.changed = true
	l.next = now.Add(jitter(pause(l.Attempts, longestPause)))
	if h.failures >= downAfter {
		h.notUntil = now.Add(jitter(pause(h.failures-downAfter+1, longestProbe)))
	}
	if a.after > 0 {
		h.notUntil = now.Add(a.after)
	}
	if h.failures == downAfter {
		h.s.config.Logger.Warn("a webhook's endpoint is down", "webhook", h.name, "err", a.Error)
	}
	if a.Status == http.StatusGone && !h.def.Disabled { // its way of saying that nobody lives there
		h.def.Disabled = true
		h.s.config.Logger.Error("a webhook is disabled: its endpoint answered 410", "webhook", h.name)
		if !h.def.Configured {
			if err := h.s.store(h.name, h.def); err != nil {
				h.s.config.Logger.Error("that could not be written down", "webhook", h.name, "err", err)
			}
		}
	}
}

// pause doubles with each attempt.
func pause(attempts int, longest time.Duration) time.Duration {
	return min(firstPause<<min(attempts-1, 20), longest)
}

// jitter keeps many from coming back at one moment.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}
