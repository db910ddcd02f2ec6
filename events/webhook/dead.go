package webhook

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// maxDead is how many dead letters an endpoint has; the oldest go first, and
// remain in the log.
const maxDead = 100_000

// ErrNoLetter is returned for a dead letter that is not there.
var ErrNoLetter = errors.New("no such dead letter")

// Letter is an event that an endpoint has not taken in time.
type Letter struct {
	Seq      uint64       `json:"seq" doc:"Number of the event; /v1/events shows it as long as it is kept."`
	Died     storage.Time `json:"diedAt"`
	Attempts int          `json:"attempts"`
	Error    string       `json:"error" doc:"What the endpoint said last."`
}

// giveUpLocked makes a dead letter of the first event of a lane.
func (h *hook) giveUpLocked(l *lane, why string) {
	if l.LastError != "" {
		why += "; last: " + l.LastError
	} else if h.last != nil && h.last.Error != "" {
		why += "; last: " + h.last.Error
	}
	h.dead = append(h.dead, Letter{l.Items[0].Seq, storage.At(time.Now()), l.Attempts, why})
	h.dead = h.dead[max(0, len(h.dead)-maxDead):]
	h.s.config.Logger.Error("an event could not be delivered to a webhook", "webhook", h.name, "seq", l.Items[0].Seq, "err", why)
	h.settleLocked(l)
	h.died = true
}

// Dead lists dead letters after a number, oldest event first, and whether
// there are more.
func (s *Sender) Dead(name string, after uint64, limit int) (list []Letter, more bool, err error) {
	h, err := s.get(name)
	if err != nil {
		return nil, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list = []Letter{}
	for _, l := range h.sortedLocked() {
		if l.Seq <= after {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		list = append(list, l)
	}
	return list, false, nil
}

func (h *hook) sortedLocked() []Letter {
	all := slices.Clone(h.dead)
	slices.SortFunc(all, func(a, b Letter) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return all
}

// Resend lets dead letters be tried again for 72 h: one, or all for 0. It
// returns how many; those whose event is not kept any more stay dead.
func (s *Sender) Resend(name string, seq uint64) (n int, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	h, err := s.get(name)
	if err != nil {
		return 0, err
	}
	if err := h.save(); err != nil { // what died lately, in the order that keeps it
		return 0, fmt.Errorf("webhook %s: %w", name, err)
	}
	if n, err = h.revive(seq); err != nil {
		return n, err
	}
	if err := h.save(); err != nil {
		return n, fmt.Errorf("webhook %s: %w", name, err)
	}
	return n, nil
}

func (h *hook) revive(seq uint64) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := []Letter{}
	for _, l := range h.sortedLocked() {
		if seq != 0 && l.Seq != seq {
			left = append(left, l)
			continue
		}
		e, err := h.s.config.Log.Get(l.Seq)
		if err != nil {
			if seq != 0 || !errors.As(err, new(*events.GoneError)) {
				return n, fmt.Errorf("dead letter %d: %w", l.Seq, err)
			}
			left = append(left, l)
			continue
		}
		h.reviveLocked(e)
		n++
	}
	if n == 0 && seq != 0 {
		return 0, fmt.Errorf("%d: %w", seq, ErrNoLetter)
	}
	h.dead, h.changed, h.died, h.revived = left, true, true, true
	h.awakeLocked()
	return n, nil
}

// reviveLocked puts an event back among those of its capture.
func (h *hook) reviveLocked(e *events.Entry) {
	l := h.state.Lanes[e.Capture]
	if l == nil {
		l = &lane{}
		h.state.Lanes[e.Capture] = l
	}
	from := 0
	if l.busy {
		from = 1 // the first is on its way
	}
	at := from
	for at < len(l.Items) && l.Items[at].Seq < e.Seq {
		at++
	}
	if at == 0 {
		l.Attempts, l.LastError = 0, ""
	}
	l.Items = slices.Insert(l.Items, at, item{e.Seq, time.Now().Add(tryFor)})
	h.pending++
}
