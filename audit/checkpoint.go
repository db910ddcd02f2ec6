package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mixdown/events"
	"mixdown/storage"
)

// Format is the first line of every signed head.
const Format = "mixdown.audit/1"

const (
	checkpointName  = "checkpoint"
	checkpointEvery = time.Second
	publishEvery    = 24 * time.Hour
)

// Run keeps a signed head on disk, not more than a second behind the log, and
// publishes one a day and at the end: whoever keeps those elsewhere can prove
// what was in the log. It ends with ctx.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var published time.Time
	for {
		if time.Since(published) >= publishEvery {
			published = time.Now()
			l.publish()
		}
		select {
		case <-ctx.Done():
			l.publish()
			return nil
		case <-tick.C:
			if err := l.checkpoint(); err != nil {
				l.config.Log.Error("the audit log's head could not be signed", "err", err)
			}
		}
	}
}

func (l *Log) publish() {
	if l.Head().Seq == 0 {
		return // nothing to prove
	}
	note, h, err := l.Sign()
	if err != nil {
		l.config.Log.Error("the audit log's head could not be signed", "err", err)
		return
	}
	l.config.Events.Publish(events.Event{Type: "audit.checkpoint", Data: map[string]any{"seq": h.Seq, "hash": h.Hash, "note": note}})
}

// Sign gives the present head as a signed note: format, number, hash and time,
// a line each.
func (l *Log) Sign() (note string, h Head, err error) {
	h = l.Head()
	note, err = l.sign(h)
	return note, h, err
}

func (l *Log) sign(h Head) (string, error) {
	b, err := l.config.Key.Sign(fmt.Sprintf("%s\n%d\n%s\n%s\n", Format, h.Seq, h.Hash, storage.At(time.Now())))
	return string(b), err
}

// checkpoint writes the signed head beside the log if there is news.
func (l *Log) checkpoint() error {
	l.signing.Lock()
	defer l.signing.Unlock()
	h := l.Head()
	if h == l.signed {
		return nil
	}
	note, err := l.sign(h)
	if err != nil {
		return err
	}
	if err := storage.WriteFile(filepath.Join(l.config.Dir, checkpointName), []byte(note), 0o600); err != nil {
		return err
	}
	l.signed = h
	return nil
}

// openCheckpoint reads a signed head.
func openCheckpoint(note string, publicKeys []string) (h Head, signedBy string, known bool, err error) {
	text, signedBy, known, err := storage.OpenNote([]byte(note), publicKeys)
	if err != nil {
		return Head{}, "", false, err
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != Format {
		return Head{}, "", false, errors.New("it is no head of an audit log")
	}
	h.Hash = lines[2]
	h.Seq, err = strconv.ParseInt(lines[1], 10, 64)
	return h, signedBy, known, err
}
