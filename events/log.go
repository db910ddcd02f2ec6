package events

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mixdown/storage"
)

const (
	// maxPending bounds what waits in memory for a disk that fails. Above it
	// numbered events still find room, without their data, up to twice as much.
	maxPending = 16 << 20

	flushEvery = 50 * time.Millisecond // at least between two fsyncs
	retryEvery = time.Second           // after a failed write
)

// ErrClosed is returned to readers who wait when the log has ended.
var ErrClosed = errors.New("the log of events is closed")

// Options of a [Log]; zero values mean the defaults.
type Options struct {
	Keep     time.Duration // events older than that may go; default 168 h
	MaxBytes int64         // of all files; default 1 GiB
	Log      *slog.Logger
}

// Log is the ordered log of events, in files below one folder.
//
// Publish numbers an event and leaves it in memory; [Log.Run] writes what
// waits and syncs it, at most every 50 ms. Nobody is shown an event before it
// is durable, so a number that was seen never means something else after a
// crash. While the disk fails events wait, bounded; what finds no room is
// counted, and the log says so in an event of its own (events.dropped) when
// there is room again. Sequence numbers have no holes.
//
// All methods are safe for concurrent use.
type Log struct {
	dir     string
	options Options
	id      string    // of this log: other folders have other logs
	created time.Time // of the log

	mu      sync.Mutex // never held across I/O
	next    uint64     // number of the next event
	durable uint64     // number of the last event on disk
	memory  histories  // of all that was published
	pending []*Entry   // published, not yet taken by Run
	held    int        // bytes of pending and of what Run writes
	lost    lost
	recent  recent // the newest durable events
	files   []*file
	changed chan struct{} // closed and made anew when durable moves
	closed  bool
	trouble error

	wake    chan struct{}
	disk    writer    // of Run
	written histories // of what is durable; of Run
	indexed uint64    // how far index.json goes; of Run
}

// lost counts what found no room since the log last said so.
type lost struct {
	Count uint64       `json:"count"`
	Since storage.Time `json:"since"`
	total uint64
}

// Open opens the log in the folder dir and makes it if it is not there. What
// an earlier process was writing when it died is cut at the last whole event.
func Open(dir string, o Options) (*Log, error) {
	if o.Keep <= 0 {
		o.Keep = 168 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{dir: dir, options: o, next: 1, changed: make(chan struct{}), wake: make(chan struct{}, 1)}
	l.disk.log = l
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = errors.Join(syncPath(filepath.Dir(dir)), l.load(), l.writeIndex())
	}
	if err != nil {
		return nil, fmt.Errorf("log of events: %w", err)
	}
	return l, nil
}

// load reads what earlier processes left.
func (l *Log) load() (err error) {
	if l.files, err = findFiles(l.dir); err != nil {
		return err
	}
	var index index
	if index, err = readIndex(l.dir); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.options.Log.Warn("the index of the events is made anew", "err", err)
		}
		index.ID, index.Created = strings.ToLower(rand.Text()[:10]), time.Now().UTC()
	}
	l.id, l.created, l.memory, l.written = index.ID, index.Created, histories{}, histories{}
	for id, h := range index.Captures {
		l.memory[id], l.written[id] = h.clone(), h
	}
	l.next = index.UpTo + 1
	for _, sp := range l.spansLocked(index.UpTo, math.MaxUint64) {
		if _, err := sp.scan(func(e *Entry, _ int64) bool {
			l.memory.remember(e.Head)
			l.written.remember(e.Head)
			l.next = e.Seq + 1
			return true
		}); err != nil {
			return err
		}
	}
	l.durable = l.next - 1
	if n := len(l.files); n > 0 { // an earlier process may have written it and died before it was synced
		return syncPath(filepath.Join(l.dir, fileName(l.files[n-1].first)))
	}
	return nil
}

// ID tells this log from others: numbers of one log mean nothing in another.
func (l *Log) ID() string { return l.id }

// Publish implements [Publisher].
func (l *Log) Publish(e Event) {
	now := time.Now()
	if e.At.IsZero() {
		e.At = now
	}
	l.mu.Lock()
	known := l.known(e)
	l.mu.Unlock()
	if known {
		return
	}
	data := encodeData(e.Data) // not under the lock: it may be long
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known(e) || l.closed {
		return
	}
	if full := l.held + len(data) - maxPending; full > 0 && e.Series != "" && full < maxPending {
		data = encodeData(map[string]string{"omitted": "the disk did not take it in time"})
	} else if full > 0 {
		if l.lost.Count == 0 {
			l.lost.Since = storage.At(now)
		}
		l.lost.Count++
		l.lost.total++
		return
	}
	if l.lost.Count > 0 && l.held < maxPending/2 {
		l.appendLocked(Head{Type: "events.dropped", Time: storage.At(now)}, encodeData(l.lost))
		l.lost.Count = 0
	}
	l.appendLocked(Head{Type: e.Type, Time: storage.At(e.At), Capture: e.Capture, Room: e.Room, Series: e.Series, Number: e.Number}, data)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// appendLocked numbers an event and leaves it to Run.
func (l *Log) appendLocked(h Head, data []byte) {
	h.Seq = l.next
	l.next++
	h.CaptureSeq = l.memory.remember(h)
	e := &Entry{h, encode(h, data)}
	l.pending = append(l.pending, e)
	l.held += len(e.JSON)
}

// Run writes what is published until ctx ends, and then what is left.
// Readers who wait are told ErrClosed.
func (l *Log) Run(ctx context.Context) error {
	defer l.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return context.Cause(ctx)
		case <-l.wake:
		case <-timer.C:
		}
		wait := time.Minute // what grew old goes, also when nothing happens
		if !l.flush() {
			wait = retryEvery
		}
		select {
		case <-ctx.Done():
		case <-time.After(flushEvery):
		}
		timer.Reset(wait)
	}
}

// flush makes durable what was published and lets go of what is too old. It
// says false if the disk does not take it; the next flush tries again.
func (l *Log) flush() bool {
	l.mu.Lock()
	batch := l.pending
	l.mu.Unlock()
	err := l.disk.write(batch)
	l.mu.Lock()
	before := l.trouble
	l.trouble = err
	if err == nil && len(batch) > 0 {
		l.pending = append([]*Entry(nil), l.pending[len(batch):]...)
		for _, e := range batch {
			l.held -= len(e.JSON)
			l.recent.add(e)
		}
		l.durable = batch[len(batch)-1].Seq
		close(l.changed)
		l.changed = make(chan struct{})
	}
	l.mu.Unlock()
	if err == nil {
		for _, e := range batch {
			l.written.remember(e.Head)
		}
	}
	switch {
	case err != nil && before == nil:
		l.options.Log.Error("events wait in memory: the disk does not take them", "dir", l.dir, "err", err)
	case err == nil && before != nil:
		l.options.Log.Info("events are written again", "dir", l.dir)
	}
	if err == nil {
		l.tidy()
	}
	return err == nil
}

func (l *Log) close() {
	err := l.disk.close()
	if err != nil {
		l.options.Log.Warn("the log of events could not be closed well", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.changed)
	}
}

// Figures are the state of a log.
type Figures struct {
	Oldest, Last uint64 // numbers of the first and the last event that can be read; Oldest is Last+1 if there is none
	Bytes        int64  // of all files
	Pending      int    // published, not yet durable
	Dropped      uint64 // found no room in memory while the disk failed
	Trouble      error  // why nothing is written
}

// Figures tells how the log stands.
func (l *Log) Figures() Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := Figures{Oldest: l.oldestLocked(), Last: l.durable, Pending: len(l.pending), Dropped: l.lost.total, Trouble: l.trouble}
	for _, file := range l.files {
		f.Bytes += file.size
	}
	return f
}
