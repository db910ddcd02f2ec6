package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// Status is an endpoint as operators see it, without its secrets.
type Status struct {
	Name string `json:"name"`
	Endpoint
	Configured bool          `json:"configured" doc:"It is part of the configuration file."`
	Secrets    int           `json:"secrets" doc:"How many secrets sign: more than one for a while after a rotation."`
	State      string        `json:"state" enum:"ok,retrying,down,disabled"`
	Pending    int           `json:"pending" doc:"Events that wait to be taken."`
	OldestSeq  uint64        `json:"oldestPending,omitempty" doc:"Number of the oldest of them."`
	Dead       int           `json:"dead" doc:"Events that were not taken within 72 h."`
	Sent       uint64        `json:"sent" doc:"Events that were taken."`
	Behind     uint64        `json:"behind" doc:"Events of the log that were not looked at yet."`
	NextTry    *storage.Time `json:"nextTry,omitempty" doc:"While it is down: no request before."`
	Last       *LastTry      `json:"last,omitempty" doc:"The last attempt."`
}

// LastTry is the last attempt to deliver.
type LastTry struct {
	At  storage.Time `json:"at"`
	Seq uint64       `json:"seq"`
	Attempt
}

// List describes all endpoints by name.
func (s *Sender) List() (all []Status) {
	s.mu.Lock()
	hooks := maps.Clone(s.hooks)
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		all = append(all, hooks[name].status())
	}
	return all
}

// Get describes an endpoint.
func (s *Sender) Get(name string) (Status, error) {
	h, err := s.get(name)
	if err != nil {
		return Status{}, err
	}
	return h.status(), nil
}

func (h *hook) status() Status {
	last := h.s.config.Log.Last()
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	s := Status{
		Name: h.name, Endpoint: h.def.Endpoint, Configured: h.def.Configured, State: "ok",
		Pending: h.pending, Dead: len(h.dead), Sent: h.state.Sent, Last: h.last,
	}
	if last > h.state.Read {
		s.Behind = last - h.state.Read
	}
	for _, key := range h.def.Secrets {
		if key.Until.IsZero() || now.Before(key.Until) {
			s.Secrets++
		}
	}
	for _, l := range h.state.Lanes {
		if len(l.Items) > 0 && (s.OldestSeq == 0 || l.Items[0].Seq < s.OldestSeq) {
			s.OldestSeq = l.Items[0].Seq
		}
		if l.Attempts > 0 {
			s.State = "retrying"
		}
	}
	if h.failures >= downAfter {
		s.State = "down"
	}
	if now.Before(h.notUntil) {
		at := storage.At(h.notUntil)
		s.NextTry = &at
	}
	if h.def.Disabled {
		s.State = "disabled"
	}
	return s
}

// Test posts an event of type webhook.test, which is in no log, once.
func (s *Sender) Test(ctx context.Context, name string) (Attempt, error) {
	h, err := s.get(name)
	if err != nil {
		return Attempt{}, err
	}
	h.mu.Lock()
	d := h.def
	h.mu.Unlock()
	body, err := json.Marshal(struct {
		events.Head
		Data map[string]string `json:"data"`
	}{events.Head{Type: "webhook.test", Time: storage.At(time.Now())}, map[string]string{"webhook": name}})
	if err != nil {
		return Attempt{}, err
	}
	return s.post(ctx, d, "test_"+strings.ToLower(rand.Text()[:16]), body), nil
}
