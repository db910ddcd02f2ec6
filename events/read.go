package events

import (
	"context"
	"fmt"
	"sort"
)

const (
	maxRecent      = 1024
	maxRecentBytes = 8 << 20
)

// GoneError is returned for numbers that the log cannot go on from: what
// follows them was dropped because of its age, or they are of another log.
type GoneError struct{ After, Oldest, Last uint64 }

func (e *GoneError) Error() string {
	if e.After > e.Last {
		return fmt.Sprintf("there is no event %d: this log ends at %d; if you have it from another data folder, begin again with after=0", e.After, e.Last)
	}
	return fmt.Sprintf("the events from %d to %d are not kept any more; the oldest is %d: go on with after=%d", e.After+1, e.Oldest-1, e.Oldest, e.Oldest-1)
}

// Read returns up to limit events after a number that the filter takes, oldest
// first, and up to which number it has looked: that is where the next Read
// goes on. after 0 begins with the oldest that is kept. The error is a
// *GoneError if the log cannot tell what came after.
func (l *Log) Read(after uint64, limit int, f Filter) (list []*Entry, upTo uint64, err error) {
	l.mu.Lock()
	oldest, durable := l.oldestLocked(), l.durable
	if after > durable || (after > 0 && after+1 < oldest) {
		l.mu.Unlock()
		return nil, after, &GoneError{after, oldest, durable}
	}
	after = max(after, oldest-1)
	if list, upTo, ok := l.recent.read(after, limit, f); ok {
		l.mu.Unlock()
		return list, upTo, nil
	}
	spans := l.narrow(l.spansLocked(after, durable), f)
	l.mu.Unlock()
	for _, s := range spans {
		more, err := s.scan(func(e *Entry, _ int64) bool {
			if f.Match(e.Head) {
				list = append(list, e)
			}
			return len(list) < limit
		})
		if err != nil {
			return nil, after, err
		}
		if more {
			return list, list[len(list)-1].Seq, nil
		}
	}
	return list, durable, nil
}

// narrow leaves out files that hold nothing of the one capture that is asked
// for.
func (l *Log) narrow(all []span, f Filter) []span {
	if len(f.Captures) != 1 {
		return all
	}
	h := l.memory[f.Captures[0]]
	if h == nil {
		return all
	}
	kept := all[:0]
	for _, s := range all {
		if s.upTo >= h.First && s.after < h.Last {
			kept = append(kept, s)
		}
	}
	return kept
}

// Next is Read that waits until there is something. It returns the cause of
// ctx, or ErrClosed once the log has ended and all of it was read.
func (l *Log) Next(ctx context.Context, after uint64, limit int, f Filter) ([]*Entry, uint64, error) {
	for {
		l.mu.Lock()
		changed, closed, durable := l.changed, l.closed, l.durable // changed is closed if more comes from here on
		l.mu.Unlock()
		if durable != after {
			list, upTo, err := l.Read(after, limit, f)
			if err != nil || len(list) > 0 {
				return list, upTo, err
			}
			after = upTo
		}
		if closed {
			return nil, after, ErrClosed
		}
		select {
		case <-ctx.Done():
			return nil, after, context.Cause(ctx)
		case <-changed:
		}
	}
}

// Changed returns a channel that is closed when more can be read, or the log
// has ended. Take it before reading.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Last is the number of the newest event that can be read.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Get returns one event; a *GoneError if it is not kept.
func (l *Log) Get(seq uint64) (*Entry, error) {
	if seq == 0 {
		return nil, &GoneError{seq, 0, l.Last()}
	}
	list, _, err := l.Read(seq-1, 1, Filter{})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Seq != seq {
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, &GoneError{seq - 1, l.oldestLocked(), l.durable}
	}
	return list[0], nil
}

// oldestLocked is the number of the first event that is kept.
func (l *Log) oldestLocked() uint64 {
	if len(l.files) == 0 {
		return l.durable + 1
	}
	return min(l.files[0].first, l.durable+1)
}

// recent holds the newest events, so that readers who follow the log do not
// read files.
type recent struct {
	list  []*Entry
	bytes int
}

func (r *recent) add(e *Entry) {
	r.list = append(r.list, e)
	r.bytes += len(e.JSON)
	for len(r.list) > 1 && (len(r.list) > maxRecent || r.bytes > maxRecentBytes) {
		r.bytes -= len(r.list[0].JSON)
		r.list[0] = nil
		r.list = r.list[1:]
	}
}

// read is false if it does not hold what follows after.
func (r *recent) read(after uint64, limit int, f Filter) (list []*Entry, upTo uint64, ok bool) {
	if len(r.list) == 0 || after+1 < r.list[0].Seq {
		return nil, after, false
	}
	i := sort.Search(len(r.list), func(i int) bool { return r.list[i].Seq > after })
	for _, e := range r.list[i:] {
		after = e.Seq
		if f.Match(e.Head) {
			if list = append(list, e); len(list) == limit {
				break
			}
		}
	}
	return list, after, true
}
