package rooms

import (
	"context"
	"sync"
)

// worklist is a queue of work for one goroutine. Adding never blocks, which is
// what media callbacks and holders of the lock need.
type worklist struct {
	mu   sync.Mutex
	work []func()
	wake chan struct{}
}

func newWorklist() *worklist { return &worklist{wake: make(chan struct{}, 1)} }

func (w *worklist) add(f func()) {
	w.mu.Lock()
	w.work = append(w.work, f)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worklist) take() []func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	work := w.work
	w.work = nil
	return work
}

// run does the work as it comes until ctx ends.
func (w *worklist) run(ctx context.Context, s *Service, what string) {
	for {
		w.drain(s, what)
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (w *worklist) drain(s *Service, what string) {
	for _, f := range w.take() {
		s.guard(what, f)
	}
}
