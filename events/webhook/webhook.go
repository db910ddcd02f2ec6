// Package webhook carries the log of events to HTTP endpoints, signed as the
// Standard Webhooks specification says.
//
// It reads the log of package events as everybody does and keeps for each
// endpoint, on disk, how far it has read and what is not delivered yet. The
// events of one capture arrive in their order: a later one waits until the
// earlier one was taken or given up. Events of different captures do not wait
// for each other, and no endpoint waits for another. What an endpoint has not
// taken 72 h after it happened is a dead letter: visible, and sent again when
// somebody says so, as long as the log keeps the event.
//
// Delivery is at least once: after a crash an event may arrive again, with the
// same webhook-id. Redirects are not followed. Package cmd gives it a transport
// that dials public addresses only (package netguard); package api shows it.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mixdown/events"
	"mixdown/storage"
)

// Endpoint is where events are posted to. In patterns * stands for anything;
// empty lists take everything.
type Endpoint struct {
	URL      string   `json:"url" doc:"Where events are posted to." example:"https://backoffice.example.org/mixdown"`
	Events   []string `json:"events,omitempty" doc:"Patterns of event types, as capture.*; empty means all."`
	Captures []string `json:"captures,omitempty" doc:"Patterns of capture ids; empty means all."`
	Rooms    []string `json:"rooms,omitempty" doc:"Patterns of room ids; empty means all."`
	Disabled bool     `json:"disabled,omitempty" doc:"Nothing is sent; what happens waits, for 72 h."`
}

// Errors of a [Sender].
var (
	ErrNotFound   = errors.New("no such webhook")
	ErrBadName    = errors.New("a webhook's name needs 1 to 32 of 0-9 a-z -")
	ErrBadSecret  = errors.New("a secret needs whsec_ and 24 to 64 random bytes in base64; leave it out and one is made")
	ErrBadURL     = errors.New("url")
	ErrConfigured = errors.New("this webhook is part of the configuration file; change it there")
)

// Config is what a [Sender] needs.
type Config struct {
	Dir        string // where it keeps its files, e.g. <data>/webhooks
	Log        *events.Log
	Configured map[string]Configured // webhooks of the configuration file
	CheckURL   func(string) error    // refuses a URL when it is set; nil takes any
	Transport  http.RoundTripper
	Logger     *slog.Logger
}

// Configured is an endpoint of the configuration file.
type Configured struct {
	Endpoint
	Secret string
}

// definition is NAME.json.
type definition struct {
	Endpoint
	Secrets    []secret `json:"secrets"` // newest first
	Configured bool     `json:"-"`
}

// secret signs until it is replaced, and for a while after that.
type secret struct {
	Key   string    `json:"key"`
	Until time.Time `json:"until,omitzero"`
}

// Sender keeps all endpoints. Its methods are safe for concurrent use.
type Sender struct {
	config Config
	client *http.Client

	changing sync.Mutex // held by who defines, changes or deletes an endpoint, to its end

	mu    sync.Mutex
	hooks map[string]*hook
	fresh []*hook // to be run
	wake  chan struct{}
}

// Open reads what earlier processes left.
func Open(c Config) (*Sender, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{config: c, hooks: map[string]*hook{}, wake: make(chan struct{}, 1)}
	s.client = &http.Client{
		Transport:     c.Transport,
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	for name, e := range c.Configured {
		d := definition{Endpoint: e.Endpoint, Secrets: []secret{{Key: e.Secret}}, Configured: true}
		if err := s.add(name, d); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !nameRule.MatchString(name) || s.hooks[name] != nil {
			continue
		}
		var d definition
		b, err := os.ReadFile(filepath.Join(c.Dir, e.Name()))
		if err == nil {
			err = json.Unmarshal(b, &d)
		}
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", name, err)
		}
		if err := s.add(name, d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

var nameRule = regexp.MustCompile(`^[0-9a-z][0-9a-z-]{0,31}$`)

// add makes the hook of a definition and hands it to Run.
func (s *Sender) add(name string, d definition) error {
	h, err := openHook(s, name, d)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", name, err)
	}
	s.hooks[name] = h
	s.fresh = append(s.fresh, h)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// Run delivers until ctx ends. What is not delivered then is by the next Run.
func (s *Sender) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		s.mu.Lock()
		fresh := s.fresh
		s.fresh = nil
		s.mu.Unlock()
		for _, h := range fresh {
			wg.Go(func() { h.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.wake:
		}
	}
}

// Drain waits until every endpoint that works has what happened, or ctx ends.
func (s *Sender) Drain(ctx context.Context) {
	s.mu.Lock()
	hooks := slices.Collect(maps.Values(s.hooks))
	s.mu.Unlock()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(hooks, func(h *hook) bool { return !h.drained() }) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sender) get(name string) (*hook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hooks[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("%q: %w", name, ErrNotFound)
}

// Put sets an endpoint and says whether it is new. An empty secret keeps the
// present one, or makes one; what it made is returned, once. A new endpoint
// gets what happens from now on.
func (s *Sender) Put(name string, e Endpoint, key string) (made string, created bool, err error) {
	if !nameRule.MatchString(name) {
		return "", false, fmt.Errorf("%q: %w", name, ErrBadName)
	}
	if s.config.CheckURL != nil {
		if err := s.config.CheckURL(e.URL); err != nil {
			return "", false, fmt.Errorf("%w: %w", ErrBadURL, err)
		}
	}
	if key != "" && !goodSecret(key) {
		return "", false, ErrBadSecret
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[name]
	if h == nil {
		if key == "" {
			key = newSecret()
			made = key
		}
		d := definition{Endpoint: e, Secrets: []secret{{Key: key}}}
		if err := s.store(name, d); err != nil {
			return "", false, err
		}
		return made, true, s.add(name, d)
	}
	return "", false, h.redefine(func(d *definition) error {
		if d.Configured {
			return ErrConfigured
		}
		d.Endpoint = e
		if key != "" && key != d.Secrets[0].Key {
			d.Secrets = []secret{{Key: key}}
		}
		return s.store(name, *d)
	})
}

// maxSecrets sign at a time at most: each is a signature in a header.
const maxSecrets = 8

// Rotate makes a new secret and returns it, once. Those before sign as well
// until overlap has passed, or until an earlier rotation said that they end:
// whoever rotates twice, or again because no answer came, cuts nobody off. Of too
// many the newest and the oldest stay: those are known to somebody.
func (s *Sender) Rotate(name string, overlap time.Duration) (string, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	h, err := s.get(name)
	if err != nil {
		return "", err
	}
	key := newSecret()
	return key, h.redefine(func(d *definition) error {
		if d.Configured {
			return ErrConfigured
		}
		now := time.Now().UTC()
		all := []secret{{Key: key}}
		for _, old := range d.Secrets {
			if until := now.Add(overlap); old.Until.IsZero() || until.Before(old.Until) {
				old.Until = until
			}
			if now.Before(old.Until) {
				all = append(all, old)
			}
		}
		if n := len(all); n > maxSecrets {
			all = slices.Delete(all, maxSecrets-1, n-1)
		}
		d.Secrets = all
		return s.store(name, *d)
	})
}

// Delete removes an endpoint with all that waits for it.
func (s *Sender) Delete(name string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	h := s.hooks[name]
	if h == nil {
		s.mu.Unlock()
		return fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	if h.configured() {
		s.mu.Unlock()
		return ErrConfigured
	}
	delete(s.hooks, name)
	s.fresh = slices.DeleteFunc(s.fresh, func(f *hook) bool { return f == h })
	s.mu.Unlock()
	h.end()
	var errs []error
	for _, ext := range []string{".json", stateExt, deadExt} { // the definition first: without it the rest is nothing
		if err := os.Remove(s.file(name, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Sender) file(name, ext string) string { return filepath.Join(s.config.Dir, name+ext) }

func (s *Sender) store(name string, d definition) error { return s.write(name, ".json", d) }

func (s *Sender) write(name, ext string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = storage.WriteFile(s.file(name, ext), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("webhook %s: %w", name, err)
	}
	return nil
}

func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

func goodSecret(s string) bool {
	encoded, ok := strings.CutPrefix(s, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	return ok && err == nil && len(raw) >= 24 && len(raw) <= 64
}

// sign is the webhook-signature of a message, by every secret that is valid.
func (d *definition) sign(id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, key := range d.Secrets {
		if !key.Until.IsZero() && at.After(key.Until) {
			continue
		}
		wh, err := standardwebhooks.NewWebhook(key.Key)
		if err != nil {
			return "", err
		}
		signature, err := wh.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		all = append(all, signature)
	}
	return strings.Join(all, " "), nil
}

func (d *definition) filter() events.Filter {
	return events.Filter{Types: d.Events, Captures: d.Captures, Rooms: d.Rooms}
}
