package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mixdown/storage/lines"
)

// Lines yields the lines of the entries after the one with number after, up
// to the end of what was durable when it was called, as they are in the log.
func (l *Log) Lines(after int64) iter.Seq2[[]byte, error] {
	head := l.Head()
	return func(yield func([]byte, error) bool) { l.lines(after, head.Seq, yield) }
}

func (l *Log) lines(after, last int64, yield func([]byte, error) bool) {
	names, err := stretches(l.config.Dir)
	if err != nil {
		yield(nil, fmt.Errorf("read the audit log: %w", err))
		return
	}
	for i, name := range names {
		if i+1 < len(names) && firstOf(names[i+1]) <= after+1 {
			continue // all of it is before
		}
		more, err := l.read(name, after, last, yield)
		if err != nil {
			yield(nil, fmt.Errorf("read the audit log: %w", err))
		}
		if !more || err != nil {
			return
		}
	}
}

func firstOf(name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(name, stretchExt), 10, 64) // else it is 0: read it
	return n
}

// read yields what is wanted of one stretch and says whether more is.
func (l *Log) read(name string, after, last int64, yield func([]byte, error) bool) (more bool, err error) {
	f, err := os.Open(filepath.Join(l.config.Dir, name))
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := lines.New(f, maxLine)
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		var e struct {
			Seq int64 `json:"seq"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		if e.Seq > last {
			return false, nil
		}
		if e.Seq > after && !yield(line, nil) {
			return false, nil
		}
	}
}

// Entries returns up to limit entries after the one with number after.
func (l *Log) Entries(after int64, limit int) ([]Entry, error) {
	all := []Entry{}
	for line, err := range l.Lines(after) {
		if err != nil {
			return nil, err
		}
		if len(all) == limit {
			break
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		all = append(all, e)
	}
	return all, nil
}

// Export writes the lines after the entry with number after, and the signed
// head as the last line: what [VerifyExport] checks.
func (l *Log) Export(w io.Writer, after int64) error {
	note, head, err := l.Sign()
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	l.lines(after, head.Seq, func(line []byte, lerr error) bool {
		if err = lerr; err == nil {
			_, err = b.Write(line)
		}
		if err == nil {
			err = b.WriteByte('\n')
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	end, err := json.Marshal(exportEnd{note, after})
	if err != nil {
		return err
	}
	if _, err := b.Write(append(end, '\n')); err != nil {
		return err
	}
	return b.Flush()
}
