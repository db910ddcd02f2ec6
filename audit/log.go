package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// stretchBytes is how long a file of the log gets before the next begins.
const stretchBytes = 32 << 20

// Config is what a log needs.
type Config struct {
	Dir    string       // <data>/audit
	Key    *storage.Key // signs heads
	Events events.Publisher
	Log    *slog.Logger
}

// Log is the log. It is safe for concurrent use.
type Log struct {
	config  Config
	found   Report               // at the start
	stretch int64                // bytes after which the next file begins
	sync    func(*os.File) error // a test can refuse it

	mu      sync.Mutex
	file    *os.File
	end     int64  // of the file
	last    Head   // of what is written
	durable Head   // of what is synced
	synced  int64  // bytes of the file that are
	batch   *batch // of what is not
	untidy  bool   // behind end lies what was taken back
	signed  Head   // of the checkpoint on disk

	flushing sync.Mutex // held by who syncs for all
	signing  sync.Mutex // held by who writes the checkpoint
}

// Head is where the log ends.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"` // SHA-256 of the line of Seq, hex; of none, 64 zeros
}

// batch is the lines that become durable, or not, together.
type batch struct{ err error }

// Open opens or makes the log in config.Dir and checks all of it. A line that
// a crash cut off is taken away; anything else that is wrong is reported, noted
// in the log, and left as it is.
func Open(config Config) (*Log, error) {
	if config.Events == nil {
		config.Events = events.Discard
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	l := &Log{config: config, stretch: stretchBytes, sync: (*os.File).Sync, batch: &batch{}}
	report, tail, err := verifyDir(config.Dir, config.Key.PublicKeys())
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	l.found, l.last = report, report.Head
	if err := l.open(tail); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	if len(report.Problems) == 0 {
		return l, nil
	}
	config.Log.Error("the audit log is not what was written", "problems", report.Problems)
	l.config.Events.Publish(events.Event{Type: "audit.broken", Data: map[string]any{"problems": report.Problems}})
	act, err := l.Begin(context.Background(), "audit.broken", config.Dir)
	if err == nil {
		act.Note("problems", report.Problems)
		err = act.End("audit_broken", 0)
	}
	return l, err
}

// open opens the last stretch for writing, without the torn line at its end.
func (l *Log) open(t tail) error {
	if t.name == "" {
		return l.begin()
	}
	f, err := os.OpenFile(filepath.Join(l.config.Dir, t.name), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if t.torn {
		l.config.Log.Warn("the audit log's last line was cut off by a crash; it was not acknowledged", "file", t.name)
		err = errors.Join(f.Truncate(t.whole), f.Sync())
	}
	l.file, l.end, l.synced, l.durable = f, t.whole, t.whole, l.last
	return err
}

// begin begins a stretch. Its name is the number of its first entry.
func (l *Log) begin() error {
	name := filepath.Join(l.config.Dir, fmt.Sprintf("%012d%s", l.last.Seq+1, stretchExt))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(l.config.Dir); err != nil {
		return errors.Join(err, f.Close())
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			l.config.Log.Warn("a stretch of the audit log could not be closed", "err", err) // all of it is synced
		}
	}
	l.file, l.end, l.synced, l.durable = f, 0, 0, l.last
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close writes the last checkpoint and closes the log.
func (l *Log) Close() error {
	err := l.checkpoint()
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(err, l.file.Close())
}

// Found is what Open found.
func (l *Log) Found() Report { return l.found }

// write appends an entry and returns when it is durable. Who writes at the
// same time shares one fsync.
func (l *Log) write(e *Entry) (Head, error) {
	b, h, err := l.append(e)
	if err == nil {
		err = l.flush(b)
	}
	if err != nil {
		return Head{}, fmt.Errorf("write to the audit log: %w", err)
	}
	return h, nil
}

func (l *Log) append(e *Entry) (*batch, Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.untidy {
		if err := l.takeBack(); err != nil {
			return nil, Head{}, err
		}
	}
	if l.end >= l.stretch && l.end == l.synced {
		if err := l.begin(); err != nil {
			return nil, Head{}, err
		}
	}
	e.Seq, e.At, e.Prev = l.last.Seq+1, storage.At(time.Now()), l.last.Hash
	line, err := e.line()
	if err != nil {
		return nil, Head{}, err
	}
	if _, err := l.file.WriteAt(line, l.end); err != nil {
		return nil, Head{}, errors.Join(err, l.takeBack())
	}
	l.end += int64(len(line))
	l.last = Head{e.Seq, hashLine(line[:len(line)-1])}
	return l.batch, l.last, nil
}

// flush makes a batch durable. If that fails all of it, and what was written
// behind it, is taken back: nothing of it was acknowledged.
func (l *Log) flush(b *batch) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	if l.batch != b { // somebody else did it
		l.mu.Unlock()
		return b.err
	}
	l.batch = &batch{}
	f, end, head := l.file, l.end, l.last
	l.mu.Unlock()
	err := l.sync(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		b.err, l.batch.err = err, err
		l.batch = &batch{}
		l.end, l.last = l.synced, l.durable
		return errors.Join(err, l.takeBack())
	}
	l.synced, l.durable = end, head
	return nil
}

// takeBack cuts the file where its good lines end.
func (l *Log) takeBack() error {
	err := l.file.Truncate(l.end)
	l.untidy = err != nil
	return err
}

func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Head is the end of what is durable.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}
