// Package lines reads files of lines, most of them a JSON value each, of which a
// crash may have cut the last: event log, audit log, histories.
//
// It promises that a line is read whole, however long it is, and that a piece of
// one at the end is told apart from a line.
package lines

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// buffer is what nearly all lines fit into.
const buffer = 64 << 10

// Reader reads lines.
type Reader struct {
	r    *bufio.Reader
	long []byte
	most int
}

// New reads lines from r. Longer ones than most bytes are an error; 0 is any
// length, for what this program has written itself.
func New(r io.Reader, most int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, buffer), most: most}
}

// Next is the next line without its end, valid until the next call. With io.EOF
// comes the piece of a line that is left, or nothing.
func (l *Reader) Next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			if l.most > 0 && len(l.long) > l.most {
				return l.long, fmt.Errorf("a line is longer than %d bytes", l.most)
			}
			line, err = l.r.ReadSlice('\n')
			l.long = append(l.long, line...)
		}
		line = l.long
	}
	if err != nil {
		return line, err
	}
	return line[:len(line)-1], nil
}

// Each calls fn with every line that ends, until it returns an error, and tells
// how many bytes those are, and whether a piece of a line follows.
func (l *Reader) Each(fn func(line []byte) error) (whole int64, torn bool, err error) {
	for {
		line, err := l.Next()
		switch {
		case err == nil:
			if err := fn(line); err != nil {
				return whole, false, err
			}
			whole += int64(len(line)) + 1
		case errors.Is(err, io.EOF):
			return whole, len(line) > 0, nil
		default:
			return whole, true, err
		}
	}
}
